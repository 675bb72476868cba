"""The settings in force for a pool: its policy's, overridden by its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

from springtide.api.model import apply_overrides
from springtide.api.nodepool import NodePoolSpec
from springtide.api.nodepool_status import EffectiveSettings
from springtide.api.policy import AutoscalerPolicySpec
from springtide.api.rules import Problem, broken_rules
from springtide.api.settings import (
    MODE_STRICTNESS,
    Mode,
    ScaleDownOverrides,
    ScaleDownSettings,
    ScaleUpOverrides,
    ScaleUpSettings,
)


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """Everything planning needs to know of how a pool should behave, in native types."""

    mode: Mode
    """The stricter of the pool's and the policy's."""
    min_size: int | None
    """Of the whole pool; None: the sum of the groups' own minimums."""
    max_size: int | None
    """Of the whole pool; None: the sum of the groups' own maximums."""
    scale_up: ScaleUpSettings
    scale_down: ScaleDownSettings
    own_scale_down: frozenset[str] = frozenset()
    """Fields of scale_down that the pool itself has set: what they bound is counted for the pool alone."""
    weight: int = 0
    """For the expander priority: the highest wins."""


def resolve(pool: NodePoolSpec, policy: AutoscalerPolicySpec) -> PoolSettings:
    """The settings in force; total: ask `contradictions` whether they make sense together."""
    return PoolSettings(
        mode=stricter(pool.mode, policy.mode),
        min_size=pool.min_size,
        max_size=pool.max_size,
        scale_up=apply_overrides(policy.scale_up, pool.scale_up),
        scale_down=apply_overrides(policy.scale_down, pool.scale_down),
        own_scale_down=frozenset(pool.scale_down.given()) if pool.scale_down is not None else frozenset(),
        weight=pool.weight,
    )


def effective(
    settings: PoolSettings, *, policy_generation: int, min_size: int, max_size: int
) -> EffectiveSettings:
    """The settings in force as the pool's status shows them; the sizes are those after the groups' own bounds."""
    return EffectiveSettings(
        policy_generation=policy_generation,
        mode=settings.mode,
        min_size=min_size,
        max_size=max_size,
        scale_up=_shown_scale_up(settings.scale_up),
        scale_down=_shown_scale_down(settings.scale_down),
    )


# Equal for most pools, the same in every pass.
@lru_cache(maxsize=512)
def _shown_scale_up(settings: ScaleUpSettings) -> ScaleUpOverrides:
    return ScaleUpOverrides.model_validate(asdict(settings))


@lru_cache(maxsize=512)
def _shown_scale_down(settings: ScaleDownSettings) -> ScaleDownOverrides:
    return ScaleDownOverrides.model_validate(asdict(settings))


def stricter(one: Mode, other: Mode) -> Mode:
    """Paused before DryRun before Active."""
    return max(one, other, key=MODE_STRICTNESS.__getitem__)


@lru_cache(maxsize=512)
def contradictions(settings: PoolSettings) -> tuple[Problem, ...]:
    """Rules broken by the combination though neither pool nor policy breaks them alone, as seen from the
    pool.

    Example: the pool lengthens backoff.initial beyond the policy's backoff.max.
    """
    return (
        *broken_rules(settings.scale_up, path="spec.scaleUp"),
        *broken_rules(settings.scale_down, path="spec.scaleDown"),
    )
