"""Prometheus metrics: gauges read from the last pass, counters and histograms fed by outcomes.

Names and meanings are documented in docs/metrics.md; a test holds the two against each other.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatchmethod

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from springtide import __version__
from springtide.actuation.outcome import (
    CancellationDone,
    EvictionBlocked,
    InstanceLost,
    Outcome,
    PodEvicted,
    PurchaseAcknowledged,
    PurchaseFailed,
    PurchaseRefused,
    RemovalDone,
    RemovalFailed,
    RemovalRolledBack,
    RemovalStarted,
    UnregisteredTerminated,
)
from springtide.api.conditions import Condition, ConditionStatus
from springtide.cluster.degradation import DegradedMode
from springtide.planning.plan import Plan, PoolPlan

PASS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_BUCKETS = (5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 900, 1800)
MAX_GROUPS = 5_000
"""Groups counted by name in a process's life. A discovery that finds new groups every day must not fill Prometheus:
counters cannot forget, so further ones are counted together."""
MAX_POOLS = 1_000
MANY_OTHERS = "(others)"
"""Label value for them: no object of Kubernetes can have this name."""
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


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._groups: set[tuple[str, str]] = set()
        self._pools: set[str] = set()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._gauges = _PassCollector()
        self.registry.register(self._gauges)
        self._declare_passes()
        self._declare_actions()

    def _declare_passes(self) -> None:
        registry = self.registry
        Info("springtide_build", "Version of this process.", registry=registry).info({"version": __version__})
        self._passes = Counter(
            "springtide_passes", "Passes, by what asked for them first.", ["cause"], registry=registry
        )
        self._pass_failures = Counter(
            "springtide_pass_failures", "Passes that ended with an error.", registry=registry
        )
        self._last_pass = Gauge(
            "springtide_last_pass_timestamp_seconds",
            "When the last pass ended (Unix time).",
            registry=registry,
        )
        self._durations = Histogram(
            "springtide_pass_duration_seconds",
            "Duration of a pass, by phase; phase total is the whole.",
            ["phase"],
            buckets=PASS_BUCKETS,
            registry=registry,
        )
        self._status_writes = Counter(
            "springtide_status_writes", "Writes to status subresources.", ["resource"], registry=registry
        )

        self._unreadable = Gauge(
            "springtide_unreadable_objects",
            "Objects of the API server that cannot be read, by resource.",
            ["resource"],
            registry=registry,
        )

    def _declare_actions(self) -> None:
        registry = self.registry
        group, pool = ["pool", "group"], ["pool"]
        self._bought = Counter(
            "springtide_nodes_bought", "Nodes asked from the cloud.", group, registry=registry
        )
        self._purchases = Counter(
            "springtide_purchases", "Acknowledged raises of a target.", group, registry=registry
        )
        self._purchase_failures = Counter(
            "springtide_purchase_failures",
            "Purchases that failed, by reason.",
            [*group, "reason"],
            registry=registry,
        )
        self._fulfilled = Histogram(
            "springtide_purchase_duration_seconds",
            "From the purchase until all its nodes were ready.",
            pool,
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._removals = Counter(
            "springtide_removals_started", "Removals begun, by reason.", [*group, "reason"], registry=registry
        )
        self._removed = Counter(
            "springtide_nodes_removed", "Nodes given back to the cloud.", group, registry=registry
        )
        self._removal_failures = Counter(
            "springtide_removal_failures",
            "Removals undone or failed, by reason.",
            [*group, "reason"],
            registry=registry,
        )
        self._removal_duration = Histogram(
            "springtide_removal_duration_seconds",
            "From the taint until instance and Node were gone.",
            pool,
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._unregistered = Counter(
            "springtide_unregistered_instances_terminated",
            "Instances that never became a Node.",
            group,
            registry=registry,
        )
        self._lost = Counter(
            "springtide_instances_lost",
            "Instances that the cloud, or somebody there, took away; by cause.",
            [*group, "cause"],
            registry=registry,
        )
        self._evictions = Counter(
            "springtide_evictions", "Evictions, by result.", [*pool, "result"], registry=registry
        )

    def _group(self, outcome: Outcome) -> tuple[str, str]:
        """The labels pool and group of an outcome."""
        known = (outcome.pool, outcome.group)
        if known not in self._groups:
            if len(self._groups) >= MAX_GROUPS:
                return MANY_OTHERS, MANY_OTHERS
            self._groups.add(known)
        return known

    def _pool(self, name: str) -> str:
        """The label pool of what is counted for no group."""
        if name not in self._pools:
            if len(self._pools) >= MAX_POOLS:
                return MANY_OTHERS
            self._pools.add(name)
        return name

    # --- fed by the engine ---------------------------------------------------------------------------------------

    def follow_unreadable(self, resource: str, count: Callable[[], int]) -> None:
        """Ask `count` at every scrape how many objects of the resource cannot be read."""
        self._unreadable.labels(resource).set_function(count)

    def passed(self, last: LastPass, *, cause: str, phases: Mapping[str, timedelta], ended_at: float) -> None:
        """A pass ended well. `ended_at` in Unix seconds."""
        self._gauges.last = last
        self._passes.labels(cause).inc()
        self._last_pass.set(ended_at)
        for phase, duration in phases.items():
            self._durations.labels(phase).observe(duration.total_seconds())
        self._durations.labels("total").observe(sum(d.total_seconds() for d in phases.values()))

    def pass_failed(self) -> None:
        self._pass_failures.inc()

    def status_written(self, resource: str) -> None:
        self._status_writes.labels(resource).inc()

    def purchase_fulfilled(self, pool: str, took: timedelta) -> None:
        self._fulfilled.labels(self._pool(pool)).observe(took.total_seconds())

    @singledispatchmethod
    def count(self, outcome: Outcome) -> None:
        """Count an outcome; those without a counter are ignored."""

    @count.register
    def _(self, outcome: PurchaseAcknowledged) -> None:
        self._purchases.labels(*self._group(outcome)).inc()
        self._bought.labels(*self._group(outcome)).inc(max(0, outcome.target - outcome.before))

    @count.register
    def _(self, outcome: PurchaseRefused) -> None:
        self._purchase_failures.labels(*self._group(outcome), "CallRefused").inc()

    @count.register
    def _(self, outcome: PurchaseFailed) -> None:
        self._purchase_failures.labels(*self._group(outcome), "CallFailed").inc()

    @count.register
    def _(self, outcome: CancellationDone) -> None:
        self._purchase_failures.labels(*self._group(outcome), outcome.failure.value).inc()

    @count.register
    def _(self, outcome: UnregisteredTerminated) -> None:
        self._unregistered.labels(*self._group(outcome)).inc(len(outcome.instances))

    @count.register
    def _(self, outcome: RemovalStarted) -> None:
        self._removals.labels(*self._group(outcome), outcome.reason).inc()

    @count.register
    def _(self, outcome: RemovalDone) -> None:
        self._removed.labels(*self._group(outcome)).inc()
        self._removal_duration.labels(self._pool(outcome.pool)).observe(outcome.took.total_seconds())

    @count.register
    def _(self, outcome: RemovalRolledBack) -> None:
        self._removal_failures.labels(*self._group(outcome), outcome.reason.value).inc()

    @count.register
    def _(self, outcome: RemovalFailed) -> None:
        self._removal_failures.labels(*self._group(outcome), "StepFailed").inc()

    @count.register
    def _(self, outcome: InstanceLost) -> None:
        self._lost.labels(*self._group(outcome), outcome.cause.value).inc()

    @count.register
    def _(self, outcome: PodEvicted) -> None:
        self._evictions.labels(self._pool(outcome.pool), "accepted").inc()

    @count.register
    def _(self, outcome: EvictionBlocked) -> None:
        self._evictions.labels(self._pool(outcome.pool), "refused").inc()


class _PassCollector(Collector):
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
