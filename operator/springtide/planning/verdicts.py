"""Verdicts on pending pods: for every shape, what each node group could or could not do for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from springtide.planning.catalog import Catalog
from springtide.planning.eligibility import Refusal
from springtide.planning.landscape import GroupKey
from springtide.planning.limits import Ledger
from springtide.planning.nearest import with_nearest
from springtide.planning.pending import Demand
from springtide.planning.plan import GroupRefusal, GroupVerdict, PendingOutcome, PendingVerdict
from springtide.planning.readiness import GroupState
from springtide.planning.scale_up import Served


def of_served(
    served: Iterable[Served],
    *,
    states: Sequence[GroupState],
    refusals: Mapping[GroupKey, Refusal | None],
    catalog: Catalog,
    ledger: Ledger,
) -> list[PendingVerdict]:
    """Verdicts on the pods that fitted no node. `ledger` is that after all purchases."""
    rooms = {state.key: ledger.room(state.key) for state in states if refusals.get(state.key) is None}

    def on_group(demand: Demand, state: GroupState, used: frozenset[GroupKey]) -> GroupVerdict:
        pool, group = state.key
        if state.key in used:
            return GroupVerdict(pool=pool, group=group, used=True)
        misfit = catalog.misfit(demand.shape, state.key)
        if misfit is not None:
            return GroupVerdict(pool=pool, group=group, misfit=misfit)
        refusal = refusals.get(state.key) or _at_the_end(demand, state)
        return GroupVerdict(pool=pool, group=group, refusal=refusal.refusal, detail=refusal.detail)

    def _at_the_end(demand: Demand, state: GroupState) -> Refusal:
        if state.pool.name in demand.closed_pools:
            return Refusal(GroupRefusal.EXCLUDED)
        room = rooms[state.key]
        if room.refusal is not None:
            return Refusal(room.refusal, room.detail)
        return Refusal(GroupRefusal.NOT_CHOSEN)

    verdicts = [verdict for each in served for verdict in _of_one(each, states, on_group)]
    fresh, index = catalog.side_by_side
    return with_nearest(verdicts, fresh=fresh, index=index)


def _of_one(
    served: Served,
    states: Sequence[GroupState],
    on_group: Callable[[Demand, GroupState, frozenset[GroupKey]], GroupVerdict],
) -> list[PendingVerdict]:
    """One verdict on the pods that are bought for, one on those that nothing helps."""
    bought_for = served.demand.but(served.left)
    verdicts = []
    for demand, outcome, used in (
        (bought_for, PendingOutcome.TRIGGERS, served.used),
        (served.left, PendingOutcome.NO_GROUP, frozenset[GroupKey]()),
    ):
        if demand.count:
            groups = tuple(on_group(demand, state, used) for state in states)
            verdicts.append(
                PendingVerdict(shape=demand.shape, pods=demand.pods, outcome=outcome, groups=groups)
            )
    return verdicts
