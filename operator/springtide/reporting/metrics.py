"""Prometheus metrics: gauges read from the last pass, counters and histograms fed by outcomes.

Names and meanings are documented in docs/metrics.md; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from springtide.reporting.pass_gauges import LastPass, PassGauges

PASS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RENEWAL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAIT_BUCKETS = (5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 900, 1800)
MAX_GROUPS = 5_000
"""Groups counted by name in a process's life. A discovery that finds new groups every day must not fill Prometheus:
counters cannot forget, so further ones are counted together."""
MAX_POOLS = 1_000
MANY_OTHERS = "(others)"
"""Label value for them: no object of Kubernetes can have this name."""


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._groups: set[tuple[str, str]] = set()
        self._pools: set[str] = set()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._gauges = PassGauges()
        self.registry.register(self._gauges)
        self._declare_passes()
        self._declare_purchases()
        self._declare_removals()
        self._declare_leadership()

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
        self._events_dropped = Counter(
            "springtide_events_dropped",
            "Events that were never written: too many were waiting, or the API server refused them.",
            registry=registry,
        )
        self._events_waiting = Gauge(
            "springtide_events_waiting", "Events that are not written yet.", registry=registry
        )
        self._lag = Gauge(
            "springtide_event_loop_lag_seconds",
            "By how much the event loop was late, at most, since the last pass.",
            registry=registry,
        )
        self._unreadable = Gauge(
            "springtide_unreadable_objects",
            "Objects of the API server that cannot be read, by resource.",
            ["resource"],
            registry=registry,
        )

    def _declare_leadership(self) -> None:
        registry = self.registry
        self.leader = Gauge("springtide_leader", "1 while this process leads.", registry=registry)
        self.leader_transitions = Gauge(
            "springtide_leader_transitions",
            "How often the Lease had changed hands when this process took it.",
            registry=registry,
        )
        self.lease_renewals = Histogram(
            "springtide_lease_renewal_duration_seconds",
            "How long the API server took to renew the Lease.",
            buckets=RENEWAL_BUCKETS,
            registry=registry,
        )
        self.lease_renewal_failures = Counter(
            "springtide_lease_renewal_failures",
            "Attempts to renew the Lease that failed; there are several before leadership is lost.",
            registry=registry,
        )

    def _declare_purchases(self) -> None:
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
        self._unregistered = Counter(
            "springtide_unregistered_instances_terminated",
            "Instances that never became a Node.",
            group,
            registry=registry,
        )

    def _declare_removals(self) -> None:
        registry = self.registry
        group, pool = ["pool", "group"], ["pool"]
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

    def event_dropped(self) -> None:
        self._events_dropped.inc()

    def watch(self, *, events_waiting: Callable[[], int], lag_seconds: Callable[[], float]) -> None:
        """Where to read, at each scrape, what changes between passes."""
        self._events_waiting.set_function(events_waiting)
        self._lag.set_function(lag_seconds)

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
