"""What the demo has seen of the cluster so far: pods, nodes, pools, and what Springtide said about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from springtide.api.foreign_text import shown
from springtide.cluster.quantity import parse_amount
from springtide.providers.aws.instance_types import packaged_prices

Object = dict[str, Any]

POOL_LABEL: Final = "demo.springtide.dev/pool"
"""The demo's groups give it to their nodes by tag, as an administrator would."""
HARD_TAINT: Final = "ToBeDeletedByClusterAutoscaler"
SOFT_TAINT: Final = "DeletionCandidateOfClusterAutoscaler"

SPRINGTIDE: Final = "springtide"
"""The component that its events name."""

RESOURCES: Final = ("cpu", "memory", "nvidia.com/gpu")

SECONDS_PER_HOUR: Final = 3600.0

DECISIONS_KEPT: Final = 200

MOST_SHOWN: Final = 1024
"""Characters of one decision."""


@dataclass(slots=True)
class PodSeen:
    """One pod of the demo. Times are seconds of the picture's clock."""

    name: str
    requests: Mapping[str, int]
    """Milli-cpu, bytes, GPUs."""
    created: float
    node: str = ""
    phase: str = "Pending"
    leaving: bool = False
    running: float | None = None
    """When it first ran."""


@dataclass(slots=True)
class NodeSeen:
    """One node, or what is remembered of it. Times are seconds of the picture's clock."""

    name: str
    pool: str
    zone: str
    instance_type: str
    allocatable: Mapping[str, int]
    joined: float
    ready: bool = False
    candidate: bool = False
    """Carries the soft taint: under-used, and its pods fit elsewhere."""
    removing: bool = False
    """Carries the hard taint."""
    left: float | None = None

    @property
    def hourly_price(self) -> float | None:
        """On demand, USD; None when nobody published it."""
        return packaged_prices().get(self.instance_type)

    def seconds(self, now: float) -> float:
        """How long it was there, or is until now."""
        return (now if self.left is None else self.left) - self.joined

    def cost(self, now: float) -> float:
        """USD, on demand; 0 when its price is unknown."""
        return self.seconds(now) * (self.hourly_price or 0.0) / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing Springtide said it does."""

    at: float
    reason: str
    message: str
    warning: bool


@dataclass
class Picture:
    """Everything seen; fed by the watches through `pod`, `node`, `pool` and `event`."""

    clock: Callable[[], float]
    """Seconds since the demo began."""
    pods: dict[str, PodSeen] = field(default_factory=dict)
    """Present ones by uid."""
    nodes: dict[str, NodeSeen] = field(default_factory=dict)
    """Present ones by name."""
    pools: dict[str, Object] = field(default_factory=dict)
    """NodePools as they are in the cluster, by name."""
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=DECISIONS_KEPT))
    departed: list[NodeSeen] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds from each pod's creation until it ran."""
    peak_nodes: int = 0
    peak_hourly_cost: float = 0.0
    listeners: list[Callable[[Decision | NodeSeen], None]] = field(default_factory=list)
    """Told of each decision, and of each node that joined (`left` is None) or left."""

    # --- what the watches bring -----------------------------------------------------------------------------------

    def pod(self, kind: str, item: Object) -> None:
        """A pod of the demo's namespace."""
        uid = item["metadata"]["uid"]
        if kind == "DELETED":
            self.pods.pop(uid, None)
            return
        seen = self.pods.get(uid)
        if seen is None:
            seen = self.pods[uid] = PodSeen(
                name=item["metadata"]["name"], requests=_requests(item), created=self.clock()
            )
        seen.node = item["spec"].get("nodeName", "")
        seen.phase = item.get("status", {}).get("phase", "Pending")
        seen.leaving = "deletionTimestamp" in item["metadata"]
        if seen.phase == "Running" and seen.running is None:
            seen.running = self.clock()
            self.waits.append(seen.running - seen.created)

    def node(self, kind: str, item: Object) -> None:
        """A node."""
        name = item["metadata"]["name"]
        if kind == "DELETED":
            gone = self.nodes.pop(name, None)
            if gone is not None:
                gone.left = self.clock()
                self.departed.append(gone)
                self._tell(gone)
            return
        seen = self.nodes.get(name)
        if seen is None:
            seen = self.nodes[name] = _node(item, joined=self.clock())
            self.peak_nodes = max(self.peak_nodes, len(self.nodes))
            self.peak_hourly_cost = max(self.peak_hourly_cost, self.hourly_cost())
            self._tell(seen)
        taints = {taint["key"] for taint in item["spec"].get("taints", ())}
        seen.candidate, seen.removing = SOFT_TAINT in taints, HARD_TAINT in taints
        conditions = item.get("status", {}).get("conditions", ())
        seen.ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)

    def pool(self, kind: str, item: Object) -> None:
        """A NodePool."""
        name = item["metadata"]["name"]
        if kind == "DELETED":
            self.pools.pop(name, None)
        else:
            self.pools[name] = item

    def event(self, kind: str, item: Object) -> None:
        """An Event about a NodePool."""
        if kind != "ADDED" or item.get("source", {}).get("component") != SPRINGTIDE:
            return
        # Whoever may write Events may name us as their source: what they say must not drive the terminal.
        reason, message = (
            shown(item.get(field) or "", at_most=MOST_SHOWN) for field in ("reason", "message")
        )
        decision = Decision(self.clock(), reason, message, item.get("type") == "Warning")
        self.decisions.append(decision)
        self._tell(decision)

    def _tell(self, news: Decision | NodeSeen) -> None:
        for listener in self.listeners:
            listener(news)

    # --- what is asked of it --------------------------------------------------------------------------------------

    def waiting(self) -> list[PodSeen]:
        """Pods that do not run yet."""
        return [pod for pod in self.pods.values() if pod.phase == "Pending" and not pod.leaving]

    def running(self) -> int:
        """Pods that run, those about to leave excepted."""
        return sum(pod.phase == "Running" and not pod.leaving for pod in self.pods.values())

    def used(self) -> dict[str, dict[str, int]]:
        """By node: what the demo's pods on it request, by resource."""
        used: dict[str, dict[str, int]] = {name: dict.fromkeys(RESOURCES, 0) for name in self.nodes}
        for pod in self.pods.values():
            if pod.node in used:
                for resource, amount in pod.requests.items():
                    used[pod.node][resource] += amount
        return used

    def hourly_cost(self) -> float:
        """USD an hour for the nodes that are there now."""
        return sum(node.hourly_price or 0.0 for node in self.nodes.values())

    def all_nodes(self) -> Iterator[NodeSeen]:
        """Present and departed."""
        yield from self.departed
        yield from self.nodes.values()

    def spent(self, now: float) -> float:
        """USD for all nodes from when they joined until they left, or now."""
        return sum(node.cost(now) for node in self.all_nodes())

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no removal, no candidate, and every pool has the nodes it asked for."""
        if any(node.removing or node.candidate or not node.ready for node in self.nodes.values()):
            return False
        return all(pool_target(pool) == self.count(name) for name, pool in self.pools.items())

    def count(self, pool: str) -> int:
        """Nodes of a pool."""
        return sum(node.pool == pool for node in self.nodes.values())


def pool_target(pool: Object) -> int:
    """Nodes asked from the cloud, as far as the status says."""
    return int(pool.get("status", {}).get("size", {}).get("target", 0))


def _requests(pod: Object) -> dict[str, int]:
    totals = dict.fromkeys(RESOURCES, 0)
    for container in pod["spec"]["containers"]:
        for resource, text in container.get("resources", {}).get("requests", {}).items():
            if resource in totals:
                totals[resource] += parse_amount(resource, text)
    return totals


def _node(item: Object, *, joined: float) -> NodeSeen:
    labels = item["metadata"].get("labels", {})
    allocatable = item.get("status", {}).get("allocatable", {})
    return NodeSeen(
        name=item["metadata"]["name"],
        pool=labels.get(POOL_LABEL, ""),
        zone=labels.get("topology.kubernetes.io/zone", ""),
        instance_type=labels.get("node.kubernetes.io/instance-type", ""),
        allocatable={
            name: parse_amount(name, text) for name, text in allocatable.items() if name in RESOURCES
        },
        joined=joined,
    )
