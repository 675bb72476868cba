"""Families: which node groups share purchases, so that their sizes even out.

A pool's own groups do when their nodes are the same size: to put them in one pool says that they belong together. Groups of
different pools do when the policy has `balanceSimilarPools` and a comparator calls their nodes similar. Similarity is not
transitive, so a family is the groups that are similar to its oldest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from springtide.cluster.snapshot import PolicyView, PoolView, Snapshot
from springtide.planning.groups.limits import is_atomic
from springtide.planning.groups.readiness import GroupState
from springtide.planning.groups.similarity import Rules, Sample, difference
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import SimilarPool
from springtide.scheduling.fresh import FreshNode

MAX_COMPARED: Final = 16
"""Other pools that a pool's status speaks of."""


@dataclass(frozen=True)
class Families:
    """The families of one policy's groups."""

    policy: PolicyView
    states: Sequence[GroupState]
    """Oldest pool first."""
    fresh: Mapping[GroupKey, FreshNode]
    closed_pools: frozenset[str] = frozenset()
    """Pools that are closed to some pods by their own settings: those keep to themselves."""

    def of(self, state: GroupState) -> object:
        """What the groups of a family have in common, and no others. The group must have a template."""
        if is_atomic(state.pool):
            return state.key
        if not self.policy.spec.balance_similar_pools or state.pool.name in self.closed_pools:
            return (state.pool.name, self.fresh[state.key].size)
        return self._families[state.key]

    @cached_property
    def _families(self) -> Mapping[GroupKey, GroupKey]:
        """The key of the oldest member of each group's family."""
        families: dict[GroupKey, GroupKey] = {}
        known: dict[object, GroupKey] = {}
        oldest: dict[object, list[tuple[GroupKey, Sample]]] = {}
        for state in self.states:
            fresh = self.fresh.get(state.key)
            if fresh is None or state.pool.name in self.closed_pools or is_atomic(state.pool):
                continue
            own = (state.pool.name, fresh.size)
            if own not in known:
                known[own] = self._join(state, Sample.of(fresh), oldest)
            families[state.key] = known[own]
        return families

    def _join(
        self, state: GroupState, sample: Sample, oldest: dict[object, list[tuple[GroupKey, Sample]]]
    ) -> GroupKey:
        """The first family with a similar oldest member, or a new one."""
        rules = _rules(self.policy, state.pool)
        # Only nodes equal in what has no tolerance can be similar, so few are compared one by one.
        alike = oldest.setdefault((state.pool.provider, _exact(sample, rules)), [])
        for key, other in alike:
            if difference(other, sample, rules) is None:
                return key
        alike.append((state.key, sample))
        return state.key


def similar_pools(
    snapshot: Snapshot, fresh: Mapping[GroupKey, FreshNode]
) -> dict[str, tuple[SimilarPool, ...]]:
    """For each pool whose policy balances similar pools, how it compares with the policy's others."""
    compared: dict[str, tuple[SimilarPool, ...]] = {}
    for policy in snapshot.policies:
        if policy.spec.balance_similar_pools:
            mine = [pool for pool in snapshot.pools if pool.policy == policy.name]
            samples = {pool.name: _samples(pool, fresh) for pool in mine}
            for pool in mine:
                others = islice((each for each in mine if each is not pool), MAX_COMPARED)
                compared[pool.name] = tuple(
                    SimilarPool(each.name, _between(policy, pool, each, samples)) for each in others
                )
    return compared


def _samples(pool: PoolView, fresh: Mapping[GroupKey, FreshNode]) -> Sequence[Sample]:
    """One for each size of node that the pool has."""
    sizes: dict[object, Sample] = {}
    for group in pool.groups:
        node = fresh.get((pool.name, group.id))
        if node is not None:
            sizes.setdefault(node.size, Sample.of(node))
    return tuple(sizes.values())


def _between(
    policy: PolicyView, pool: PoolView, other: PoolView, samples: Mapping[str, Sequence[Sample]]
) -> str:
    """What keeps two pools apart: the first difference, if no node of the one is similar to one of the other."""
    if pool.provider != other.provider:
        return f"provider: {pool.provider} ≠ {other.provider}"
    first = ""
    rules = _rules(policy, pool)
    for one in samples[pool.name]:
        for two in samples[other.name]:
            found = difference(one, two, rules)
            if found is None:
                return ""
            first = first or str(found)
    return first or "it is unknown what its nodes look like"


def _rules(policy: PolicyView, pool: PoolView) -> Rules:
    return Rules.of(policy.spec.similarity, provider=pool.provider)


def _exact(sample: Sample, rules: Rules) -> object:
    """What two similar nodes must have in common."""
    if rules.only_labels:
        return tuple(sample.labels.get(key) for key in rules.only_labels)
    if rules.pool_labels:
        return None
    return (
        frozenset((name, amount) for name, amount in sample.capacity.items() if name != "memory"),
        frozenset((key, value) for key, value in sample.labels.items() if key not in rules.ignored),
    )
