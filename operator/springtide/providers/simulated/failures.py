"""What can go wrong in the simulated cloud, as rules that are put in force and lifted while it runs.

`pool` and `group` narrow a rule; None means any.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from springtide.cluster.groups import FailureClass
from springtide.providers.base import ProviderError


class Call(StrEnum):
    """The calls that can be made to fail; values are the names in the provider protocol."""

    LIST_GROUPS = "list_groups"
    RAISE_TARGET = "raise_target"
    CANCEL_UNFULFILLED = "cancel_unfulfilled"
    TERMINATE = "terminate"
    LIFECYCLES = "lifecycles"


@dataclass(kw_only=True, eq=False)
class FailureRule:
    """Base of all rules. Compared by identity: two equal rules count separately."""

    pool: str | None = None
    group: str | None = None

    def covers(self, *, pool: str, group: str | None) -> bool:
        """Whether something in this pool, and group if any, falls under the rule."""
        return self.pool in (None, pool) and (group is None or self.group in (None, group))


@dataclass(kw_only=True, eq=False)
class LaunchesFail(FailureRule):
    """After `available` more launches every launch fails, and the group keeps trying, as clouds do."""

    available: int = 0
    failure_class: FailureClass = FailureClass.OUT_OF_CAPACITY
    message: str = "the simulated cloud has no more such machines"


def no_capacity(*, pool: str | None = None, group: str | None = None, available: int = 0) -> LaunchesFail:
    """The zone runs out of machines after `available` more."""
    return LaunchesFail(pool=pool, group=group, available=available)


def quota_reached(*, pool: str | None = None, group: str | None = None, available: int = 0) -> LaunchesFail:
    """The account may start `available` more machines."""
    return LaunchesFail(
        pool=pool,
        group=group,
        available=available,
        failure_class=FailureClass.QUOTA,
        message="the simulated account's quota is used up",
    )


@dataclass(kw_only=True, eq=False)
class SlowBoot(FailureRule):
    """Instances launched from now on take this many seconds until they run."""

    seconds: float


@dataclass(kw_only=True, eq=False)
class NeverRegisters(FailureRule):
    """Instances launched from now on run, but no Node comes of them."""


@dataclass(kw_only=True, eq=False)
class Vanishes(FailureRule):
    """Instances launched from now on disappear without notice this many seconds after their launch."""

    seconds: float


@dataclass(kw_only=True, eq=False)
class CallRule(FailureRule):
    """Base of rules about calls. `call` None means all; `times` None means until lifted."""

    call: Call | None = None
    times: int | None = None

    def applies(self, call: Call, *, pool: str, group: str | None) -> bool:
        """Whether this call falls under the rule; counts it if so."""
        if self.call not in (None, call) or self.times == 0 or not self.covers(pool=pool, group=group):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(kw_only=True, eq=False)
class CallFails(CallRule):
    """The call has no effect and ends with this error."""

    error: ProviderError


@dataclass(kw_only=True, eq=False)
class AnswerLost(CallRule):
    """The call has its effect, but the caller learns only that the answer was lost. For mutations."""


@dataclass(kw_only=True, eq=False)
class SlowCall(CallRule):
    """The answer takes this many seconds longer."""

    seconds: float
