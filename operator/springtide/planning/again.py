"""Planning again: a pass that finds everything as the one before left it takes that one's plan.

Most passes of most clusters are such: the heartbeat beats, nothing has changed, no timer has ended. What a plan follows
from is all in its snapshot, so two snapshots that differ in the clock alone give the same plan until the instant it names
(Plan.wake_at). Some timers are not in that instant (a pod that takes too long to end, say), and texts tell how long
something has been so; therefore no plan is taken for longer than MOST_AGE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Final

from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from springtide.planning.workbench import Workbench

MOST_AGE: Final = timedelta(seconds=60)
_PASSING: Final = frozenset({"now", "plan_id", "picture", "pools"})
"""Fields of a snapshot that differ from pass to pass, or are compared by what is in them."""
_UNREAD: Final = frozenset({"picture_age", "groups"})
"""The same for a pool's view. Planning never looks at ages; whoever does sets problems or forbids."""


class Planner:
    """Makes the plans of one process, one after the other."""

    def __init__(self, make: Callable[..., Plan] = plan) -> None:
        """`make`: makes a plan of a snapshot; `bench` is what the pass before has left to it."""
        self._make = make
        self._bench = Workbench()
        self._last: tuple[Snapshot, Plan] | None = None

    def plan(self, snapshot: Snapshot) -> Plan:
        """The plan for this snapshot: made, or taken from the last one that was made if it still holds."""
        if self._last is not None and still_holds(self._last[1], made_for=self._last[0], at=snapshot):
            return replace(self._last[1], id=snapshot.plan_id, now=snapshot.now)
        made = self._make(snapshot, bench=self._bench)
        self._last = (snapshot, made)
        return made


def still_holds(made: Plan, *, made_for: Snapshot, at: Snapshot) -> bool:
    """Whether planning for `at` would only say again what the plan says. A plan that acts never does: what became of its
    actions must be looked at."""
    return (
        not _acts(made)
        and made_for.picture.version == at.picture.version > 0
        and made_for.now <= at.now < made_for.now + MOST_AGE
        and (made.wake_at is None or at.now < made.wake_at)
        and _same(made_for, at, besides=_PASSING)
        and _same_pools(made_for.pools, at.pools)
    )


def _acts(made: Plan) -> bool:
    actions = (made.purchases, made.cancellations, made.removals, made.unregistered, made.soft_taints)
    return any(actions)


def _same_pools(before: tuple[PoolView, ...], after: tuple[PoolView, ...]) -> bool:
    return len(before) == len(after) and all(
        _same(one, other, besides=_UNREAD)
        and not any(memory.purchase is not None for memory in other.memory.values())
        and [replace(group, read_at=None) for group in one.groups]
        == [replace(group, read_at=None) for group in other.groups]
        for one, other in zip(before, after, strict=True)
    )


def _same(one: Any, other: Any, *, besides: Iterable[str]) -> bool:
    return one is other or all(
        getattr(one, each.name) == getattr(other, each.name)
        for each in fields(one)
        if each.name not in besides
    )
