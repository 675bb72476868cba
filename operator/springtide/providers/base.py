"""The protocol between Springtide and a cloud: small, async, typed. One object per provider kind.

Listings are read on the provider's own cadence (see runtime); mutations do one fresh read first and are never
retried inside: the caller decides, after a new read. All methods may be called concurrently for different groups;
mutations of one group are serialised by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import PoolListing


class ProviderError(Exception):
    """A call to the cloud failed. `str()` is one line fit for a condition message: what failed, why, the way out."""


class CredentialsError(ProviderError):
    """Missing, expired or insufficient credentials."""


class ThrottledError(ProviderError):
    """The cloud asks to slow down; the call had no effect."""


class AmbiguousError(ProviderError):
    """The answer was lost: the call may or may not have had its effect. Read before anything is repeated."""


class RefusedError(ProviderError):
    """The cloud refused the change (bounds, state); repeating it unchanged is pointless."""


def reason_of(error: ProviderError) -> Reason:
    """The condition reason that tells users what kind of failure this is."""
    if isinstance(error, CredentialsError):
        return Reason.CREDENTIALS_DENIED
    if isinstance(error, ThrottledError):
        return Reason.PROVIDER_THROTTLED
    return Reason.PROVIDER_ERROR


@dataclass(frozen=True, slots=True)
class TargetChange:
    """What a mutation of a group's target did."""

    before: int
    """Fresh read just before the change."""
    after: int
    """The acknowledged target. Equal to `before` when nothing had to be done."""


class TerminateOutcome(StrEnum):
    TERMINATED = "Terminated"
    """Accepted; the target went down by one."""
    ALREADY_GONE = "AlreadyGone"
    """The instance does not exist (any more), or is terminating already; nothing was changed."""
    REFUSED = "Refused"
    """Would break the group's own minimum, or the instance is not of this group."""
    UNKNOWN = "Unknown"
    """The answer was lost; read the instance's state before any repetition."""
    NOT_SENT = "NotSent"
    """Nothing was done, because an earlier call of the same batch failed; may be asked for again."""


@dataclass(frozen=True, slots=True)
class TerminateResult:
    outcome: TerminateOutcome
    message: str = ""


class Lifecycle(StrEnum):
    """How far an instance is, as the cloud says of it by name."""

    ALIVE = "Alive"
    """It is there, or is being built or only stopped, in its group or elsewhere."""
    TERMINATING = "Terminating"
    """On its way out, by whomever: to be terminated no second time."""
    TERMINATED = "Terminated"
    """Off for good; or so long ago that the cloud has forgotten it."""


@runtime_checkable
class Provider(Protocol):
    """A cloud that has node groups."""

    @property
    def kind(self) -> str:
        """The key under spec.provider that selects it: "aws", "simulated", …"""
        ...

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        """Read all groups of these pools (only pools of this kind are given); keys are pool names.

        Never raises for one pool's trouble: that stands in its listing (`error`, `problems`). Groups that one pool
        names twice, or two pools claim, are all listed: ownership is decided by the caller.
        """
        ...

    async def raise_target(self, pool: NodePool, group_id: str, *, expected: int, to: int) -> TargetChange:
        """Set the target to `to` after a fresh read; never lowers.

        `expected` is the target the decision was based on. When the fresh read shows a target already >= `to`,
        nothing is sent. When it differs otherwise, RefusedError (the picture was stale).
        """
        ...

    async def cancel_unfulfilled(self, pool: NodePool, group_id: str, *, to: int) -> TargetChange:
        """Lower the target to `to`, but never below the number of existing instances (fresh read), nor the minimum."""
        ...

    async def terminate(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        """Terminate exactly these instances, each lowering the target by one. One result for each id.

        Raises ProviderError only when nothing was changed for any of them.
        """
        ...

    async def lifecycles(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, Lifecycle]:
        """Read how far each of these instances is, afresh and by name. One answer for each id.

        A listing in which an instance is missing is no answer: it may have been detached, and live on.
        Raises ProviderError when it cannot be read, in full.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
