"""The settings in force: a pool's own where it has some, else its policy's."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from springtide.api.nodepool import NodePool
from springtide.api.parse import parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.api.resolve import PoolSettings, contradictions, effective, resolve, stricter
from springtide.api.settings import (
    Mode,
    ScaleDownOverrides,
    ScaleDownSettings,
    ScaleUpOverrides,
    ScaleUpSettings,
)
from tests.manifests import nodepool, policy


def settings(*, pool: dict[str, Any], policy_spec: dict[str, Any]) -> PoolSettings:
    read_pool, read_policy = parse_nodepool(nodepool(**pool)), parse_policy(policy(**policy_spec))
    assert isinstance(read_pool, NodePool)
    assert isinstance(read_policy, AutoscalerPolicy)
    return resolve(read_pool.spec, read_policy.spec)


def test_a_pool_that_says_nothing_follows_its_policy() -> None:
    resolved = settings(pool={}, policy_spec={"scaleDown": {"unneededTime": "3m"}})
    assert resolved == PoolSettings(
        mode=Mode.ACTIVE,
        min_size=None,
        max_size=None,
        scale_up=ScaleUpSettings(),
        scale_down=ScaleDownSettings(unneeded_time=timedelta(minutes=3)),
    )


def test_a_pool_overrides_field_by_field() -> None:
    resolved = settings(
        pool={
            "minSize": 1,
            "maxSize": 9,
            "scaleDown": {"unneededTime": "1m"},
            "scaleUp": {"backoff": {"reset": "1h"}},
        },
        policy_spec={
            "scaleDown": {"unneededTime": "3m", "unreadyTime": "4m"},
            "scaleUp": {"backoff": {"initial": "2m"}},
        },
    )
    assert (resolved.min_size, resolved.max_size) == (1, 9)
    assert resolved.scale_down.unneeded_time == timedelta(minutes=1)
    assert resolved.scale_down.unready_time == timedelta(minutes=4)
    assert resolved.scale_up.backoff.initial == timedelta(minutes=2)
    assert resolved.scale_up.backoff.reset == timedelta(hours=1)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("enabled", False, False), ("utilizationThresholdPercent", 0, 0), ("delayAfterAdd", "0s", timedelta(0))],
)
def test_zero_and_false_override_too(field: str, value: object, expected: object) -> None:
    resolved = settings(pool={"scaleDown": {field: value}}, policy_spec={})
    assert expected in [getattr(resolved.scale_down, item.name) for item in fields(resolved.scale_down)]
    assert resolved.scale_down != ScaleDownSettings()


@pytest.mark.parametrize(
    ("one", "other", "in_force"),
    [
        (Mode.ACTIVE, Mode.ACTIVE, Mode.ACTIVE),
        (Mode.ACTIVE, Mode.DRY_RUN, Mode.DRY_RUN),
        (Mode.ACTIVE, Mode.PAUSED, Mode.PAUSED),
        (Mode.DRY_RUN, Mode.PAUSED, Mode.PAUSED),
    ],
)
def test_the_stricter_mode_is_in_force(one: Mode, other: Mode, in_force: Mode) -> None:
    assert stricter(one, other) == stricter(other, one) == in_force
    assert settings(pool={"mode": one.value}, policy_spec={"mode": other.value}).mode == in_force


@pytest.mark.parametrize(
    ("defaults", "overrides"),
    [(ScaleUpSettings, ScaleUpOverrides), (ScaleDownSettings, ScaleDownOverrides)],
)
def test_every_setting_can_be_overridden(defaults: Any, overrides: Any) -> None:
    assert list(overrides.model_fields) == [field.name for field in fields(defaults)]


def test_pool_and_policy_may_contradict_each_other_though_neither_does_itself() -> None:
    resolved = settings(
        pool={"scaleUp": {"backoff": {"initial": "45m"}}},
        policy_spec={"scaleUp": {"backoff": {"max": "30m"}}},
    )
    (problem,) = contradictions(resolved)
    assert problem.field == "spec.scaleUp.backoff"
    assert problem.remedy == "shorten initial or lengthen max"


def test_sensible_settings_contradict_nothing() -> None:
    assert not list(contradictions(settings(pool={}, policy_spec={})))


def test_the_status_shows_every_setting_in_force() -> None:
    resolved = settings(pool={"scaleDown": {"unneededTime": "90s"}, "mode": "DryRun"}, policy_spec={})
    shown = effective(resolved, policy_generation=4, min_size=1, max_size=9).to_wire()
    assert (shown["policyGeneration"], shown["mode"], shown["minSize"], shown["maxSize"]) == (
        4,
        "DryRun",
        1,
        9,
    )
    assert shown["scaleDown"]["unneededTime"] == "1m30s"
    assert shown["scaleUp"]["backoff"] == {"initial": "5m", "max": "30m", "reset": "3h"}
    assert len(shown["scaleDown"]) == len(fields(ScaleDownSettings))
