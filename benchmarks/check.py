"""Is the plan right? A plain second opinion that shares no code with planning: it reads pods and groups, counts, and
tries pod by pod to put the purchased-for pods onto the purchased nodes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.manifests import HOSTNAME, ZONE
from benchmarks.scene import hourly_price
from springtide.cluster.groups import NodeGroup
from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import PendingOutcome, Plan, Purchase


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a plan achieves, counted from scratch."""

    nodes: int
    vcpu: int
    hourly_cost: float
    unplaced: int
    """Pending pods that no node, existing or bought, is planned for."""
    removed: int
    skew: int | None
    """Largest difference between zones of bought-for pods of one spread app; None: nothing is to be spread."""
    complaints: tuple[str, ...]
    """What is wrong: empty for a right plan."""
    unproven: tuple[str, ...] = ()
    """Purchases whose pods fit by volume, but for which no simple order of packing found the arrangement."""


def verify(snapshot: Snapshot, plans: Sequence[Plan]) -> Verified:
    """Check the plans of consecutive passes, the first of which was made for `snapshot`."""
    groups = {(pool.name, group.id): group for pool in snapshot.pools for group in pool.groups}
    bought: Counter[tuple[str, str]] = Counter()
    served: defaultdict[tuple[str, str], list[PodRecord]] = defaultdict(list)
    for purchase in (purchase for plan in plans for purchase in plan.purchases):
        bought[_key(purchase)] += purchase.count
        served[_key(purchase)] += purchase.pods
    capacities = [(groups[key].template, count) for key, count in bought.items()]
    complaints = [
        *_counted_twice(served.values()),
        *_too_many(groups, bought),
        *(
            complaint
            for key, pods in served.items()
            for complaint in _overfull(groups[key], bought[key], pods)
        ),
        *_misplaced(snapshot, plans[0]),
    ]
    unproven = [
        f"{key[1]}: {len(pods)} pods on {bought[key]} nodes"
        for key, pods in (served.items() if not complaints else ())
        if not _is_packed(groups[key], bought[key], pods)
    ]
    return Verified(
        nodes=sum(bought.values()),
        vcpu=sum(t.capacity["cpu"] // 1000 * count for t, count in capacities if t is not None),
        hourly_cost=round(
            sum(hourly_price(t.capacity) * count for t, count in capacities if t is not None), 4
        ),
        unplaced=_unplaced(plans[-1]),
        removed=sum(len(plan.removals) for plan in plans),
        skew=_skew(groups, served),
        complaints=tuple(complaints),
        unproven=tuple(unproven),
    )


def _key(purchase: Purchase) -> tuple[str, str]:
    return (purchase.pool, purchase.group)


def _unplaced(plan: Plan) -> int:
    helpless = (PendingOutcome.NO_GROUP, PendingOutcome.IGNORED, PendingOutcome.TOO_YOUNG)
    return sum(len(verdict.pods) for verdict in plan.pending if verdict.outcome in helpless)


def _counted_twice(served: Iterable[Sequence[PodRecord]]) -> Iterable[str]:
    times = Counter(pod.uid for pods in served for pod in pods)
    twice = sum(count > 1 for count in times.values())
    return [f"{twice} pods are bought for twice"] if twice else []


def _too_many(
    groups: Mapping[tuple[str, str], NodeGroup], bought: Mapping[tuple[str, str], int]
) -> list[str]:
    return [
        f"group {groups[key].id} would have more than its maximum"
        for key, count in bought.items()
        if groups[key].target + count > groups[key].max_size
    ]


# --- do the pods fit? --------------------------------------------------------------------------------------------


def _overfull(group: NodeGroup, nodes: int, pods: Sequence[PodRecord]) -> list[str]:
    """What certainly does not fit."""
    if group.template is None:
        return [f"group {group.id} has no template"]
    allocatable = group.template.allocatable
    asked: Counter[str] = Counter({"pods": len(pods)})
    for pod in pods:
        asked.update(pod.shape.requests)
    beyond = [r for r, amount in asked.items() if amount > nodes * allocatable.get(r, 0)]
    if beyond:
        return [f"group {group.id}: the pods ask for more {beyond[0]} than {nodes} nodes have"]
    crowded = _crowded(nodes, pods)
    return [f"group {group.id}: {crowded}"] if crowded else []


def _is_packed(group: NodeGroup, nodes: int, pods: Sequence[PodRecord]) -> bool:
    """First fit, largest first by several measures in turn: one that succeeds proves that the pods fit. When none does,
    that proves nothing."""
    assert group.template is not None
    allocatable = group.template.allocatable
    lonely = [_loners(pod) for pod in pods]
    scarce = [resource for resource in allocatable if "/" in resource]
    measures = ("both", "largest", *scarce, "cpu", "memory")
    return any(_first_fit(allocatable, nodes, pods, lonely, by=measure) for measure in measures)


def _crowded(nodes: int, pods: Sequence[PodRecord]) -> str:
    of_app = Counter(app for pod in pods for app in _loners(pod))
    most = max(of_app.values(), default=0)
    return f"{most} pods that want nodes of their own on {nodes} nodes" if most > nodes else ""


def _loners(pod: PodRecord) -> tuple[str, ...]:
    """The pod's own app, when no two pods of it may share a node (the only anti-affinity in the workloads)."""
    affinity = getattr(pod.shape, "pod_anti_affinity", ())
    keys = [term.topology_key for term in affinity]
    return (pod.shape.labels.get("app", ""),) if HOSTNAME in keys else ()


def _first_fit(
    allocatable: Mapping[str, int],
    nodes: int,
    pods: Sequence[PodRecord],
    lonely: Sequence[tuple[str, ...]],
    *,
    by: str,
) -> bool:
    order = sorted(range(len(pods)), key=lambda i: _size(pods[i], allocatable, by), reverse=True)
    free: list[dict[str, int]] = []
    apps: list[set[str]] = []
    skipped_for: dict[int, int] = {}
    for i in order:
        shape = pods[i].shape
        needs = {"pods": 1, **shape.requests}
        # Equal pods find the same nodes full, so the search goes on where the last of them ended.
        start = skipped_for.get(id(shape), 0)
        for number in range(start, nodes):
            if number == len(free):
                free.append(dict(allocatable))
                apps.append(set())
            room = free[number]
            if all(room.get(r, 0) >= amount for r, amount in needs.items()) and apps[number].isdisjoint(
                lonely[i]
            ):
                for resource, amount in needs.items():
                    room[resource] -= amount
                apps[number].update(lonely[i])
                skipped_for[id(shape)] = number
                break
        else:
            return False
    return True


def _size(pod: PodRecord, allocatable: Mapping[str, int], by: str) -> float:
    shares = {
        resource: pod.shape.requests.get(resource, 0) / allocatable[resource]
        for resource in allocatable
        if allocatable[resource]
    }
    if by == "both":
        return sum(share for resource, share in shares.items() if resource != "pods")
    if by == "largest":
        return max(shares.values())
    return shares.get(by, 0.0)


# --- spread and removals -----------------------------------------------------------------------------------------


def _skew(
    groups: Mapping[tuple[str, str], NodeGroup], served: Mapping[tuple[str, str], Sequence[PodRecord]]
) -> int | None:
    """Over the apps of pods with a zone spread, and all zones that any group is in."""
    zones = {_zone(group) for group in groups.values()}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, pods in served.items():
        for pod in pods:
            if any(term.topology_key == ZONE for term in getattr(pod.shape, "spread", ())):
                counts[pod.shape.labels.get("app", "")][_zone(groups[key])] += 1
    skews = [max(c[zone] for zone in zones) - min(c[zone] for zone in zones) for c in counts.values()]
    return max(skews, default=None)


def _zone(group: NodeGroup) -> str:
    return group.template.labels.get(ZONE, "") if group.template is not None else ""


def _misplaced(snapshot: Snapshot, plan: Plan) -> list[str]:
    """Every pod of a removed node has a destination that stays, and no destination is asked for more than it has."""
    going = {removal.node for removal in plan.removals}
    free = {node.name: Counter(node.allocatable) for node in snapshot.picture.nodes if node.name not in going}
    for name, pods in snapshot.picture.pods_by_node.items():
        for pod in pods if name in free else ():
            free[name].subtract({"pods": 1, **pod.shape.requests})
    homeless, receiving = 0, set()
    for removal in plan.removals:
        for pod in removal.pods_to_evict:
            target = removal.destinations.get(pod.uid, "")
            if target not in free:
                homeless += 1
            else:
                free[target].subtract({"pods": 1, **pod.shape.requests})
                receiving.add(target)
    crowded = sum(any(amount < 0 for amount in free[name].values()) for name in receiving)
    return [
        *([f"{homeless} evicted pods have no place to go"] if homeless else []),
        *([f"{crowded} nodes would be overcommitted"] if crowded else []),
    ]
