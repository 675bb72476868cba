"""Minimum sizes: nodes bought because a pool or group is below its minimum, whether pods need them or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from springtide.planning.groups.limits import Ledger, is_atomic, pool_bounds
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.scale_up.balancing import Bin, spread
from springtide.planning.scale_up.basket import Basket


def fill_up(eligible: Iterable[GroupState], *, landscape: Landscape, ledger: Ledger, basket: Basket) -> None:
    """Bring groups, then pools, to their minimum. The new nodes join the landscape, so that pending pods use them
    before more is bought."""
    by_pool: dict[str, list[GroupState]] = {}
    for state in eligible:
        by_pool.setdefault(state.pool.name, []).append(state)
    for states in by_pool.values():
        for state in states:
            lacking = state.group.min_size - ledger.target(state.key)
            share = _share(state, lacking, ledger)
            if share > 0:
                _buy(state.key, share, f"min {state.group.min_size}", landscape, ledger, basket)
        pool = states[0].pool
        minimum = pool_bounds(pool).min_size
        lacking = minimum - ledger.pool_target(pool)
        for key, share in (_shares(states, lacking, ledger) if lacking > 0 else {}).items():
            _buy(key, share, f"min {minimum} of pool {pool.name}", landscape, ledger, basket)


def _share(state: GroupState, lacking: int, ledger: Ledger) -> int:
    """What the group gets if so many nodes are lacking; of an atomic one all."""
    room = ledger.room(state.key).nodes if lacking > 0 else 0
    return room if is_atomic(state.pool) else min(max(0, lacking), room)


def _shares(states: Iterable[GroupState], lacking: int, ledger: Ledger) -> Mapping[GroupKey, int]:
    """What each group gets of what the pool lacks, evened out; the rooms the groups share are counted together."""
    known = list(states)
    if is_atomic(known[0].pool):
        first = next((state for state in known if ledger.room(state.key).nodes), None)
        return {first.key: ledger.room(first.key).nodes} if first is not None else {}
    allowed = min(lacking, ledger.room(*(state.key for state in known)).nodes)
    bins = [Bin(state.group.id, ledger.target(state.key), ledger.room(state.key).nodes) for state in known]
    return {(known[0].pool.name, group): share for group, share in spread(allowed, bins).items()}


def _buy(key: GroupKey, count: int, story: str, landscape: Landscape, ledger: Ledger, basket: Basket) -> None:
    ledger.buy(key, count)
    basket.add(key, nodes=count, story=story)
    if key in landscape.fresh:
        landscape.imagined[key] += count
