"""How many nodes go at the same time: maxParallel and maxParallelDrain.

They bound the removals in all pools of a policy together; those of a pool that sets one itself count for that pool alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from springtide.cluster.snapshot import PoolView
from springtide.planning.groups.limits import is_atomic
from springtide.planning.landscape import GroupKey
from springtide.planning.scale_down.node_eligibility import Spare

_Scope = tuple[str, str]
"""("policy" or "pool", its name): whose removals are counted together."""


class Parallelism:
    """Counts removals, and of these the drains. `fork` before trying out.

    An atomic group must go at once, so its own nodes do not count against each other (nor do they in Cluster Autoscaler).
    """

    def __init__(self, pools: Iterable[PoolView]) -> None:
        self._pools = {pool.name: pool for pool in pools}
        self._removals: Counter[_Scope] = Counter()
        self._drains: Counter[_Scope] = Counter()
        self._removals_of_group: Counter[GroupKey] = Counter()
        self._drains_of_group: Counter[GroupKey] = Counter()

    def fork(self) -> Parallelism:
        """An independent copy."""
        twin = Parallelism(self._pools.values())
        twin._removals, twin._drains = self._removals.copy(), self._drains.copy()
        twin._removals_of_group = self._removals_of_group.copy()
        twin._drains_of_group = self._drains_of_group.copy()
        return twin

    def count(self, key: GroupKey, *, drained: bool) -> None:
        """A node of the group is being removed; `drained`: pods are evicted from it. Those of a pool that is gone are
        rolled back, and count for nobody."""
        pool = self._pools.get(key[0])
        if pool is None:
            return
        self._removals[_scope(pool, "max_parallel")] += 1
        self._removals_of_group[key] += 1
        self._drains[_scope(pool, "max_parallel_drain")] += drained
        self._drains_of_group[key] += drained

    def exceeded(self, spare: Spare) -> str:
        """Which bound keeps the node, besides those that were counted already; empty: none does."""
        settings = spare.pool.settings.scale_down
        removals = self._removals[_scope(spare.pool, "max_parallel")]
        drains = self._drains[_scope(spare.pool, "max_parallel_drain")]
        if is_atomic(spare.pool):
            removals -= self._removals_of_group[spare.key]
            drains -= self._drains_of_group[spare.key]
        if removals >= settings.max_parallel:
            return f"maxParallel {settings.max_parallel} of {_owner(spare.pool, 'max_parallel')}"
        if not spare.is_empty and drains >= settings.max_parallel_drain:
            whose = _owner(spare.pool, "max_parallel_drain")
            return f"maxParallelDrain {settings.max_parallel_drain} of {whose}"
        return ""


def _scope(pool: PoolView, setting: str) -> _Scope:
    return ("pool", pool.name) if setting in pool.settings.own_scale_down else ("policy", pool.policy)


def _owner(pool: PoolView, setting: str) -> str:
    return " ".join(_scope(pool, setting))
