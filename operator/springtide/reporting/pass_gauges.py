"""Gauges of the last pass: made at scrape time, so that no series outlives what it is about."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from springtide.api.conditions import Condition, ConditionStatus
from springtide.cluster.degradation import DegradedMode
from springtide.planning.plan import Plan, PoolPlan

NODE_STATES = (
    "ready",
    "unready",
    "not_started",
    "long_not_started",
    "unregistered",
    "long_unregistered",
    "being_deleted",
)


@dataclass(frozen=True, slots=True)
class LastPass:
    """What the gauges show."""

    plan: Plan
    conditions: Mapping[str, tuple[Condition, ...]]
    """By pool name."""


class PassGauges(Collector):
    """Gauges made from the last pass at scrape time, so that no series outlives what it is about."""

    def __init__(self) -> None:
        self.last: LastPass | None = None

    def collect(self) -> Iterable[Metric]:
        if self.last is None:
            return
        yield from _cluster_gauges(self.last.plan)
        yield from _pool_gauges(self.last.plan.pools)
        yield _conditions(self.last.conditions)
        yield _backoffs(self.last.plan)
        yield from _costs(self.last.plan)
        yield _degraded(self.last.plan)
        yield from _budgets(self.last.plan)

    def describe(self) -> Iterable[Metric]:
        # Without this the registry would collect at registration to learn the names.
        return []


def _gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=labels)


def _cluster_gauges(plan: Plan) -> Iterator[Metric]:
    pending = _gauge(
        "springtide_pending_pods", "Pods that wait for a place, by what becomes of them.", ("outcome",)
    )
    tally = Tally[str]()
    for verdict in plan.pending:
        tally[verdict.outcome.value] += len(verdict.pods)
    for outcome, count in sorted(tally.items()):
        pending.add_metric([outcome], count)
    yield pending
    blocked = _gauge("springtide_blocked_nodes", "Nodes that stay, by why.", ("reason",))
    reasons = Tally(v.block.value for v in plan.nodes.values() if v.block is not None)
    for reason, count in sorted(reasons.items()):
        blocked.add_metric([reason], count)
    yield blocked
    healthy = _gauge(
        "springtide_cluster_healthy", "1 unless too many nodes are unready for anything to be changed."
    )
    healthy.add_metric([], float(plan.cluster_healthy))
    yield healthy


def _pool_gauges(pools: Mapping[str, PoolPlan]) -> Iterator[Metric]:
    sizes = {
        "target": _gauge("springtide_pool_target_nodes", "Nodes asked from the cloud.", ("pool",)),
        "min_size": _gauge("springtide_pool_min_nodes", "Fewest nodes in the pool.", ("pool",)),
        "max_size": _gauge("springtide_pool_max_nodes", "Most nodes in the pool.", ("pool",)),
    }
    nodes = _gauge("springtide_pool_nodes", "Nodes (and unregistered instances) by state.", ("pool", "state"))
    candidates = _gauge("springtide_pool_removal_candidates", "Unneeded nodes.", ("pool",))
    cost = _gauge("springtide_pool_hourly_cost", "Price an hour, in the policy's currency.", ("pool",))
    usage = _gauge(
        "springtide_pool_utilization_ratio", "Requested share of allocatable.", ("pool", "resource")
    )
    for name, pool in sorted(pools.items()):
        for attribute, gauge in sizes.items():
            gauge.add_metric([name], getattr(pool, attribute))
        for state in NODE_STATES:
            nodes.add_metric([name, state], getattr(pool.counts, state))
        candidates.add_metric([name], len(pool.candidates))
        if pool.hourly_cost is not None:
            cost.add_metric([name], pool.hourly_cost)
        for resource, percent in (
            ("cpu", pool.utilization_cpu_percent),
            ("memory", pool.utilization_memory_percent),
        ):
            if percent is not None:
                usage.add_metric([name, resource], percent / 100)
    yield from (*sizes.values(), nodes, candidates, cost, usage)


def _costs(plan: Plan) -> Iterator[Metric]:
    planned = _gauge(
        "springtide_purchases_hourly_cost",
        "Price an hour of the policy's last purchases, in its currency.",
        ("policy",),
    )
    bound = _gauge(
        "springtide_purchases_hourly_cost_lower_bound",
        "Least price an hour that any choice among the groups could have had, as far as it is proven.",
        ("policy",),
    )
    for policy, cost in sorted(plan.costs.items()):
        planned.add_metric([policy], cost.planned)
        bound.add_metric([policy], cost.lower_bound)
    yield from (planned, bound)


def _budgets(plan: Plan) -> Iterator[Metric]:
    labels = ("policy", "budget")
    allowed = _gauge(
        "springtide_disruption_budget_allowed",
        "Nodes that the budget lets be out of service; absent while it sets no bound.",
        labels,
    )
    in_use = _gauge(
        "springtide_disruption_budget_in_use",
        "Nodes of the policy's pools that are out of service: being removed, or unready.",
        labels,
    )
    for policy, states in sorted(plan.budgets.items()):
        for state in states:
            in_use.add_metric([policy, state.name], state.in_use)
            if state.allowed is not None:
                allowed.add_metric([policy, state.name], state.allowed)
    yield from (allowed, in_use)


def _conditions(conditions: Mapping[str, tuple[Condition, ...]]) -> Metric:
    gauge = _gauge(
        "springtide_pool_condition", "1 when the NodePool's condition is True.", ("pool", "condition")
    )
    for name, held in sorted(conditions.items()):
        for condition in held:
            gauge.add_metric([name, condition.type], float(condition.status == ConditionStatus.TRUE))
    return gauge


def _degraded(plan: Plan) -> Metric:
    gauge = _gauge("springtide_degraded", "1 while a degraded mode holds, somewhere at least.", ("mode",))
    held = {each.mode for each in plan.degradations}
    for mode in DegradedMode:
        gauge.add_metric([mode.value], float(mode in held))
    return gauge


def _backoffs(plan: Plan) -> Metric:
    gauge = _gauge(
        "springtide_group_backoff",
        "1 while a node group is left alone after failures.",
        ("pool", "group", "reason"),
    )
    for name, pool in sorted(plan.pools.items()):
        for group in pool.groups:
            if group.backoff is not None and group.backoff.until > plan.now:
                gauge.add_metric([name, group.group, group.backoff.reason.value], 1)
    return gauge
