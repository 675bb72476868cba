"""Pending pods: which of them ask for nodes now, which must wait, which are none of our business, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from springtide.api.duration import parse_duration
from springtide.api.settings import ScaleUpSettings
from springtide.cluster.annotations import POD_SCALE_UP_DELAY
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import PoolView
from springtide.planning.plan import PendingOutcome, PendingVerdict

Refused = frozenset[tuple[PodShape, str]]
"""Shapes of which a scheduler, by name, has refused a pod."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Pending pods of one shape that the same pools may serve, longest pending first."""

    shape: PodShape
    pods: tuple[PodRecord, ...]
    closed_pools: frozenset[str] = frozenset()
    """Pools whose own settings leave these pods out (priority cutoff, newPodDelay, schedulers)."""

    @property
    def count(self) -> int:
        return len(self.pods)

    def without(self, count: int) -> Demand:
        """What is left when the first `count` pods are served."""
        return replace(self, pods=self.pods[count:])

    def refused_after(self, moment: datetime) -> Demand:
        """Those that the scheduler refused later than this, or has not refused at all."""
        young = [p for p in self.pods if p.unschedulable_since is None or p.unschedulable_since > moment]
        return replace(self, pods=tuple(young))

    def but(self, others: Demand) -> Demand:
        """Without the pods of another part of the same demand."""
        gone = {pod.uid for pod in others.pods}
        return replace(self, pods=tuple(pod for pod in self.pods if pod.uid not in gone)) if gone else self


@dataclass(frozen=True, slots=True)
class Pending:
    """The pending pods, sorted out."""

    demands: tuple[Demand, ...] = ()
    """Highest priority first, as they must be served."""
    nominated: tuple[PodRecord, ...] = ()
    """The scheduler has made, or is making, room for them on a node by preemption."""
    verdicts: tuple[PendingVerdict, ...] = ()
    """Of those that ask for nothing now."""
    due_at: datetime | None = None
    """When the first of the pods that are too young is old enough."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """The part of a pool's settings that decides whether a pod counts."""

    cutoff: int
    delay: timedelta
    bypassed: tuple[str, ...]

    @classmethod
    def of(cls, settings: ScaleUpSettings) -> _Rules:
        return cls(
            cutoff=settings.expendable_pods_priority_cutoff,
            delay=settings.new_pod_delay,
            bypassed=settings.bypassed_schedulers,
        )


@dataclass(frozen=True, slots=True)
class _Objection:
    outcome: PendingOutcome
    detail: str
    until: datetime | None = None


def sort_out(
    pods: Iterable[PodRecord],
    *,
    pools: Iterable[PoolView],
    node_names: frozenset[str],
    now: datetime,
    recently_refused: Refused = frozenset(),
) -> Pending:
    """Sort the pending pods. Settings are per pool: a pod that every pool leaves out asks for nothing; one that
    only some leave out is closed to those.

    `node_names`: nodes on which a nomination can come true. `recently_refused`: see Snapshot.
    """
    pools_by_rules: dict[_Rules, set[str]] = {}
    for pool in pools:
        pools_by_rules.setdefault(_Rules.of(pool.settings.scale_up), set()).add(pool.name)
    rules = pools_by_rules or {_Rules.of(ScaleUpSettings()): set()}
    nominated: list[PodRecord] = []
    pods = tuple(pods)
    refused = _refused_shapes(pods) | recently_refused
    asking: dict[tuple[PodShape, frozenset[str]], list[PodRecord]] = {}
    waiting: dict[tuple[PodShape, PendingOutcome, str], list[PodRecord]] = {}
    due: list[datetime] = []
    for pod in pods:
        if pod.nominated_node_name in node_names:
            nominated.append(pod)
            continue
        objections = {each: _objection(pod, rules=each, refused=refused, now=now) for each in rules}
        first = next(iter(objections.values()))
        due += [objection.until for objection in objections.values() if objection and objection.until]
        if first is not None and all(objections.values()):
            waiting.setdefault((pod.shape, first.outcome, first.detail), []).append(pod)
        else:
            closed = _closed(objections, pools_by_rules)
            asking.setdefault((pod.shape, closed), []).append(pod)
    return Pending(
        demands=_ordered(asking),
        nominated=tuple(nominated),
        verdicts=tuple(
            PendingVerdict(shape=shape, pods=tuple(held), outcome=outcome, detail=detail)
            for (shape, outcome, detail), held in waiting.items()
        ),
        due_at=min(due, default=None),
    )


def _closed(
    objections: Mapping[_Rules, _Objection | None], pools_by_rules: Mapping[_Rules, set[str]]
) -> frozenset[str]:
    if not any(objections.values()):
        return _NONE_CLOSED
    return frozenset(
        pool for rules, objection in objections.items() if objection for pool in pools_by_rules[rules]
    )


_NONE_CLOSED: frozenset[str] = frozenset()


def _refused_shapes(pods: Iterable[PodRecord]) -> Refused:
    """The scheduler cannot tell pods of one shape apart: what it said of one holds for those it has not come to yet.

    So a burst is planned whole, although the scheduler is still busy refusing its pods one by one.
    """
    return frozenset((pod.shape, pod.scheduler_name) for pod in pods if pod.unschedulable_since is not None)


def _objection(pod: PodRecord, *, rules: _Rules, refused: Refused, now: datetime) -> _Objection | None:
    """Why the pod asks for nothing under these settings; None: it does."""
    ignored = _ignored(pod, rules=rules, refused=refused)
    if ignored:
        return _Objection(PendingOutcome.IGNORED, ignored)
    delay = _delay(pod, rules=rules)
    if delay and pod.created_at is not None and pod.created_at + delay > now:
        return _Objection(
            PendingOutcome.TOO_YOUNG,
            f"younger than {delay.total_seconds():g}s",
            until=pod.created_at + delay,
        )
    return None


def _ignored(pod: PodRecord, *, rules: _Rules, refused: Refused) -> str:
    if pod.gated:
        return "held by scheduling gates"
    if pod.is_daemon:
        return "a DaemonSet's pod: it belongs to one node, a new one would not help"
    if pod.shape.priority < rules.cutoff:
        return f"priority {pod.shape.priority} is below the cutoff {rules.cutoff}"
    seen = pod.unschedulable_since is not None or (pod.shape, pod.scheduler_name) in refused
    if not seen and pod.scheduler_name not in rules.bypassed:
        return f"scheduler {pod.scheduler_name} has not refused it"
    return ""


def _delay(pod: PodRecord, *, rules: _Rules) -> timedelta:
    """The settings' delay; the pod's annotation can only lengthen it. A malformed annotation is none."""
    text = pod.annotations.get(POD_SCALE_UP_DELAY)
    if text is None:
        return rules.delay
    try:
        return max(rules.delay, parse_duration(text))
    except ValueError:
        return rules.delay


def _ordered(asking: Mapping[tuple[PodShape, frozenset[str]], list[PodRecord]]) -> tuple[Demand, ...]:
    demands = [
        Demand(shape=shape, pods=tuple(sorted(pods, key=_seniority)), closed_pools=closed)
        for (shape, closed), pods in asking.items()
    ]
    return tuple(sorted(demands, key=lambda demand: (-demand.shape.priority, _seniority(demand.pods[0]))))


def _seniority(pod: PodRecord) -> tuple[float, str]:
    since = pod.unschedulable_since or pod.created_at
    return (since.timestamp() if since else 0.0, pod.uid)
