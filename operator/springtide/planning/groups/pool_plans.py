"""Each pool's part of the plan: numbers and states for its status, and what must be remembered of its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from springtide.api.nodepool_status import ScaleDownState, ScaleUpState
from springtide.cluster.snapshot import PoolView
from springtide.planning.groups.backoff import in_force
from springtide.planning.groups.findings import of_pool
from springtide.planning.groups.limits import Ledger, pool_bounds
from springtide.planning.groups.readiness import GroupState, NodeState, counts, total
from springtide.planning.groups.upcoming import unfulfilled
from springtide.planning.plan import (
    GroupPlan,
    NodeVerdict,
    PoolPlan,
    Purchase,
    Removal,
    SimilarPool,
)
from springtide.planning.situation import Situation


@dataclass(frozen=True, slots=True)
class Usage:
    """What is requested and allocatable on ready nodes: cpu in milli, memory in bytes."""

    requested_cpu: int = 0
    allocatable_cpu: int = 0
    requested_memory: int = 0
    allocatable_memory: int = 0

    @property
    def cpu_percent(self) -> int | None:
        return _percent(self.requested_cpu, self.allocatable_cpu)

    @property
    def memory_percent(self) -> int | None:
        return _percent(self.requested_memory, self.allocatable_memory)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided, as far as pools show it."""

    purchases: Sequence[Purchase]
    removals: Sequence[Removal]
    candidates: Sequence[NodeVerdict]
    """Unneeded nodes, longest first."""
    held: Sequence[NodeVerdict]
    """Under-used nodes that something keeps, by name."""
    usage: Mapping[str, Usage]
    """By pool."""
    similar: Mapping[str, tuple[SimilarPool, ...]]
    """By pool; those that were not compared with any are absent."""


def of_pools(situation: Situation, decisions: Decisions, *, ledger: Ledger) -> dict[str, PoolPlan]:
    """One part for each pool, paused and left alone ones included. `ledger` is that after the plan."""
    return {pool.name: _pool_plan(pool, situation, decisions, ledger) for pool in situation.snapshot.pools}


def _pool_plan(pool: PoolView, situation: Situation, decisions: Decisions, ledger: Ledger) -> PoolPlan:
    groups = tuple(_group_plan(state, situation, ledger) for state in situation.readiness.of_pool(pool.name))
    summed = total(group.counts for group in groups)
    bounds = pool_bounds(pool)
    candidates = tuple(verdict for verdict in decisions.candidates if verdict.pool == pool.name)
    bought = sum(purchase.count for purchase in decisions.purchases if purchase.pool == pool.name)
    growing = bought + sum(group.upcoming for group in groups)
    leaving = sum(removal.pool == pool.name for removal in decisions.removals) + sum(
        removal.pool == pool.name for removal in situation.snapshot.removals.values()
    )
    usage = decisions.usage.get(pool.name, Usage())
    return PoolPlan(
        pool=pool.name,
        target=ledger.pool_target(pool),
        min_size=bounds.min_size,
        max_size=bounds.max_size,
        counts=summed,
        groups=groups,
        scale_up=_scale_up_state(pool, situation, growing),
        scale_down=_scale_down_state(leaving, candidates),
        candidates=candidates,
        held=tuple(verdict for verdict in decisions.held if verdict.pool == pool.name),
        findings=of_pool(
            pool, situation=situation, ledger=ledger, counts=summed, growing=growing, leaving=leaving
        ),
        similar_pools=decisions.similar.get(pool.name, ()),
        hourly_cost=_hourly_cost(pool, ledger),
        utilization_cpu_percent=usage.cpu_percent,
        utilization_memory_percent=usage.memory_percent,
    )


def _group_plan(state: GroupState, situation: Situation, ledger: Ledger) -> GroupPlan:
    upcoming, failure = situation.upcoming[state.key], situation.failures[state.key]
    return GroupPlan(
        group=state.group.id,
        target=ledger.target(state.key),
        counts=counts(state, long_unregistered=situation.overdue[state.key].count),
        unfulfilled=unfulfilled(state),
        upcoming=upcoming.total,
        backoff=failure.backoff,
        failures_seen_until=failure.seen_until,
        failure_message=failure.message,
        purchase_done=state.memory.purchase is not None and upcoming.fulfilled,
        ever_matched=state.memory.ever_matched or state.registered > 0,
        outstanding=upcoming.outstanding,
        missing=upcoming.missing,
    )


def _scale_up_state(pool: PoolView, situation: Situation, growing: int) -> ScaleUpState:
    if pool.policy in situation.unhealthy:
        return ScaleUpState.UNHEALTHY
    if growing:
        return ScaleUpState.IN_PROGRESS
    backoffs = [situation.failures[pool.name, group.id].backoff for group in pool.groups]
    if backoffs and all(in_force(backoff, now=situation.snapshot.now) for backoff in backoffs):
        return ScaleUpState.BACKOFF
    return ScaleUpState.NO_ACTIVITY


def _scale_down_state(leaving: int, candidates: Sequence[NodeVerdict]) -> ScaleDownState:
    if leaving:
        return ScaleDownState.IN_PROGRESS
    return ScaleDownState.CANDIDATES_PRESENT if candidates else ScaleDownState.NO_CANDIDATES


def _hourly_cost(pool: PoolView, ledger: Ledger) -> float | None:
    """Of all nodes asked for; None: the price of some is unknown."""
    cost = 0.0
    for group in pool.groups:
        target = ledger.target((pool.name, group.id))
        price = group.hourly_price
        if target and price is None:
            return None
        cost += target * (price or 0.0)
    return cost


def usage_of_pools(
    situation: Situation, *, free_cpu: Mapping[str, int], free_memory: Mapping[str, int]
) -> dict[str, Usage]:
    """Requested and allocatable per pool over its ready nodes, from what was free on each before anything was placed."""
    usage: dict[str, Usage] = {}
    sums: dict[str, list[int]] = {}
    for key, state in situation.states.items():
        parts = sums.setdefault(key[0], [0, 0, 0, 0])
        for node in state.in_state(NodeState.READY):
            cpu, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
            parts[0] += cpu - free_cpu.get(node.name, cpu)
            parts[1] += cpu
            parts[2] += memory - free_memory.get(node.name, memory)
            parts[3] += memory
    for pool, parts in sums.items():
        usage[pool] = Usage(*parts)
    return usage


def _percent(part: int, whole: int) -> int | None:
    return round(100 * part / whole) if whole > 0 else None
