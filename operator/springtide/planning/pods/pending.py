"""Pending pods: which of them ask for nodes now, which must wait, which are none of our business, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

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

    def but(self, others: Demand) -> Demand:
        """Without the pods of another part of the same demand."""
        return self.but_pods(others.pods)

    def but_pods(self, pods: Iterable[PodRecord]) -> Demand:
        """Without these of its pods."""
        pods = tuple(pods)
        if self.pods[: len(pods)] == pods:  # as nearly always: the first in the queue are served first
            return self.without(len(pods)) if pods else self
        gone = {pod.uid for pod in pods}
        return replace(self, pods=tuple(pod for pod in self.pods if pod.uid not in gone))


def closed_to_some(demands: Iterable[Demand]) -> frozenset[str]:
    """Pools whose own settings leave some of these pods out."""
    return frozenset().union(*(demand.closed_pools for demand in demands))


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
    allowed: tuple[str, ...]

    @classmethod
    def of(cls, settings: ScaleUpSettings) -> _Rules:
        return cls(
            cutoff=settings.expendable_pods_priority_cutoff,
            delay=settings.new_pod_delay,
            bypassed=settings.bypassed_schedulers,
            allowed=settings.allowed_schedulers,
        )


class _Kind(NamedTuple):
    """What pods have in common that the settings treat alike, but for their age."""

    shape: PodShape
    scheduler: str
    gated: bool
    is_daemon: bool
    delay: str | None
    """The pod's own annotation."""


@dataclass(frozen=True, slots=True)
class _Objection:
    outcome: PendingOutcome
    detail: str


_Objections = Mapping[_Rules, _Objection | None]


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
    nominated, kinds = _by_kind(pods, node_names)
    refused = _refused_shapes(kinds) | recently_refused
    asking: dict[tuple[PodShape, frozenset[str]], list[PodRecord]] = {}
    waiting: dict[tuple[PodShape, PendingOutcome, str], list[PodRecord]] = {}
    due: list[datetime] = []
    for kind, alike in kinds.items():
        ignored = {each: _ignored(kind, rules=each, refused=refused) for each in rules}
        delays = {each: _delay(kind, rules=each) for each in rules}
        for objections, members in _by_age(alike, ignored=ignored, delays=delays, now=now, due=due):
            first = next(iter(objections.values()))
            if first is not None and all(objections.values()):
                waiting.setdefault((kind.shape, first.outcome, first.detail), []).extend(members)
            else:
                closed = _closed(objections, pools_by_rules)
                asking.setdefault((kind.shape, closed), []).extend(members)
    return Pending(
        demands=_ordered(asking),
        nominated=tuple(nominated),
        verdicts=tuple(
            PendingVerdict(shape=shape, pods=tuple(held), outcome=outcome, detail=detail)
            for (shape, outcome, detail), held in waiting.items()
        ),
        due_at=min(due, default=None),
    )


def _by_kind(
    pods: Iterable[PodRecord], node_names: frozenset[str]
) -> tuple[list[PodRecord], dict[_Kind, list[PodRecord]]]:
    """(nominated pods, the others by kind)."""
    nominated: list[PodRecord] = []
    kinds: dict[tuple[PodShape, str, bool, bool, str | None], list[PodRecord]] = {}
    for pod in pods:  # for every pending pod in every pass: each call less is worth it
        if pod.nominated_node_name and pod.nominated_node_name in node_names:
            nominated.append(pod)
            continue
        notes = pod.annotations
        delay = notes.get(POD_SCALE_UP_DELAY) if notes else None
        kind = (pod.shape, pod.scheduler_name, pod.gated, pod.is_daemon, delay)
        alike = kinds.get(kind)
        if alike is None:
            kinds[kind] = [pod]
        else:
            alike.append(pod)
    return nominated, {_Kind(*kind): alike for kind, alike in kinds.items()}


def _by_age(
    pods: Sequence[PodRecord],
    *,
    ignored: _Objections,
    delays: Mapping[_Rules, timedelta],
    now: datetime,
    due: list[datetime],
) -> Iterator[tuple[_Objections, Sequence[PodRecord]]]:
    """Pods of one kind by what the rules object to in them; `due` gets the instants at which they will not any more."""
    waits = {rules: delay for rules, delay in delays.items() if delay and ignored[rules] is None}
    if not waits:
        yield ignored, pods
        return
    parts: dict[frozenset[_Rules], list[PodRecord]] = {}
    for pod in pods:
        ends = {} if pod.created_at is None else {rules: pod.created_at + waits[rules] for rules in waits}
        young = frozenset(rules for rules, end in ends.items() if end > now)
        due += [ends[rules] for rules in young]
        parts.setdefault(young, []).append(pod)
    for young, members in parts.items():
        yield (
            {rules: _too_young(delays[rules]) if rules in young else ignored[rules] for rules in delays},
            members,
        )


def _closed(objections: _Objections, pools_by_rules: Mapping[_Rules, set[str]]) -> frozenset[str]:
    return frozenset(
        pool for rules, objection in objections.items() if objection for pool in pools_by_rules[rules]
    )


def _refused_shapes(kinds: Mapping[_Kind, Sequence[PodRecord]]) -> Refused:
    """The scheduler cannot tell pods of one shape apart: what it said of one holds for those it has not come to yet.

    So a burst is planned whole, although the scheduler is still busy refusing its pods one by one.
    """
    return frozenset(
        (kind.shape, kind.scheduler)
        for kind, pods in kinds.items()
        if any(pod.unschedulable_since is not None for pod in pods)
    )


def _ignored(kind: _Kind, *, rules: _Rules, refused: Refused) -> _Objection | None:
    """Why pods of the kind ask for nothing under these settings, whatever their age; None: they do."""
    if kind.gated:
        detail = "held by scheduling gates"
    elif kind.is_daemon:
        detail = "a DaemonSet's pod: it belongs to one node, a new one would not help"
    elif kind.shape.priority < rules.cutoff:
        detail = f"priority {kind.shape.priority} is below the cutoff {rules.cutoff}"
    elif rules.allowed and kind.scheduler not in rules.allowed:
        detail = f"scheduler {kind.scheduler} is not among scaleUp.allowedSchedulers"
    elif (kind.shape, kind.scheduler) not in refused and kind.scheduler not in rules.bypassed:
        detail = f"scheduler {kind.scheduler} has not refused it"
    else:
        return None
    return _Objection(PendingOutcome.IGNORED, detail)


def _too_young(delay: timedelta) -> _Objection:
    return _Objection(PendingOutcome.TOO_YOUNG, f"younger than {delay.total_seconds():g}s")


def _delay(kind: _Kind, *, rules: _Rules) -> timedelta:
    """The settings' delay; the pod's annotation can only lengthen it. A malformed annotation is none."""
    if kind.delay is None:
        return rules.delay
    try:
        return max(rules.delay, parse_duration(kind.delay))
    except ValueError:
        return rules.delay


def _ordered(asking: Mapping[tuple[PodShape, frozenset[str]], list[PodRecord]]) -> tuple[Demand, ...]:
    demands = [
        Demand(shape=shape, pods=_by_seniority(pods), closed_pools=closed)
        for (shape, closed), pods in asking.items()
    ]
    first = ((-demand.shape.priority, _since(demand.pods[0]), demand.pods[0].uid) for demand in demands)
    return tuple(demand for _, demand in sorted(zip(first, demands, strict=True), key=lambda entry: entry[0]))


def _by_seniority(pods: Sequence[PodRecord]) -> tuple[PodRecord, ...]:
    """Longest pending first, by uid within an instant. Two stable sorts by plain keys: faster than one by pairs."""
    return tuple(sorted(sorted(pods, key=attrgetter("uid")), key=_since))


def _since(pod: PodRecord) -> datetime:
    return pod.unschedulable_since or pod.created_at or _EPOCH


_EPOCH = datetime.fromtimestamp(0, UTC)
