"""Verdicts on pending pods: for every shape, what each node group could or could not do for it.

Thousands of shapes times hundreds of groups are millions of verdicts, of which users ask for a handful: each is worked
out when it is read, from facts that no longer change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final, overload

from springtide.planning.groups.eligibility import Refusal
from springtide.planning.groups.limits import Ledger, Room
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import GroupRefusal, GroupVerdict, PendingOutcome, PendingVerdict
from springtide.planning.pods.nearest import with_nearest
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Catalog
from springtide.planning.scale_up.scale_up import Served

_NOT_NEAR: Final = "no new node will have the pods that its affinity asks for, or room beside them"
"""Of pods that must share a node with others: they fit a fresh node, which is judged without any pods, but none of those
that could be bought."""


class GroupVerdicts(Sequence[GroupVerdict]):
    """A tuple that is made when it is first read. Compares, hashes and pickles as the tuple."""

    def __init__(self, make: Callable[[], Iterable[GroupVerdict]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> tuple[GroupVerdict, ...]:
        return tuple(self._make())

    @overload
    def __getitem__(self, index: int) -> GroupVerdict: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[GroupVerdict, ...]: ...
    def __getitem__(self, index: int | slice) -> GroupVerdict | tuple[GroupVerdict, ...]:
        return self._made[index]

    def __len__(self) -> int:
        return len(self._made)

    def __iter__(self) -> Iterator[GroupVerdict]:
        return iter(self._made)

    def __eq__(self, other: object) -> bool:
        return self._made == (other._made if isinstance(other, GroupVerdicts) else other)

    def __hash__(self) -> int:
        return hash(self._made)

    def __reduce__(self) -> tuple[Any, ...]:
        return (tuple, (self._made,))

    def __repr__(self) -> str:
        return repr(self._made)


def of_served(
    served: Iterable[Served],
    *,
    states: Sequence[GroupState],
    refusals: Mapping[GroupKey, Refusal | None],
    catalog: Catalog,
    ledger: Ledger,
) -> list[PendingVerdict]:
    """Verdicts on the pods that fitted no node. `ledger` is that after all purchases."""
    judge = _Judge(states, refusals, catalog, ledger.fork())
    verdicts = [verdict for each in served for verdict in _of_one(each, judge)]
    fresh, index = catalog.side_by_side
    return with_nearest(verdicts, fresh=fresh, index=index)


def _of_one(served: Served, judge: _Judge) -> list[PendingVerdict]:
    """One verdict on the pods that are bought for, one on those that nothing helps."""
    bought_for = served.demand.but(served.left)
    return [
        PendingVerdict(
            shape=demand.shape,
            pods=demand.pods,
            outcome=outcome,
            groups=GroupVerdicts(partial(judge.on_all, demand, used, why)),
            detail=why,
        )
        for demand, outcome, used, why in (
            (bought_for, PendingOutcome.TRIGGERS, served.used, ""),
            (served.left, PendingOutcome.NO_GROUP, frozenset[GroupKey](), served.why),
        )
        if demand.count
    ]


class _Judge:
    """Knows what stands against each group at the end of the purchases."""

    def __init__(
        self,
        states: Sequence[GroupState],
        refusals: Mapping[GroupKey, Refusal | None],
        catalog: Catalog,
        ledger: Ledger,
    ) -> None:
        self._states = states
        self._refusals = refusals
        self._catalog = catalog
        self._ledger = ledger
        self._rooms: dict[GroupKey, Room] = {}

    def on_all(self, demand: Demand, used: frozenset[GroupKey], why: str) -> Iterator[GroupVerdict]:
        """`why`: what rules over zones have against the pods, wherever they fit."""
        return (self._on_group(demand, state, used, why) for state in self._states)

    def _on_group(
        self, demand: Demand, state: GroupState, used: frozenset[GroupKey], why: str
    ) -> GroupVerdict:
        pool, group = state.key
        if state.key in used:
            return GroupVerdict(pool=pool, group=group, used=True)
        misfit = self._catalog.misfit(demand.shape, state.key)
        if misfit is not None:
            return GroupVerdict(pool=pool, group=group, misfit=misfit)
        refusal = self._refusals.get(state.key) or self._at_the_end(demand, state, why)
        return GroupVerdict(pool=pool, group=group, refusal=refusal.refusal, detail=refusal.detail)

    def _at_the_end(self, demand: Demand, state: GroupState, why: str) -> Refusal:
        if state.pool.name in demand.closed_pools:
            return Refusal(GroupRefusal.EXCLUDED)
        room = self._room(state.key)
        if room.refusal is not None:
            return Refusal(room.refusal, room.detail)
        why = why or (_NOT_NEAR if demand.shape.pod_affinity else "")
        return Refusal(GroupRefusal.POD_RULES, why) if why else Refusal(GroupRefusal.NOT_CHOSEN)

    def _room(self, key: GroupKey) -> Room:
        if key not in self._rooms:
            self._rooms[key] = self._ledger.room(key)
        return self._rooms[key]
