"""The scheduler's rules once more, plain and slow: one pod, one node, one filter at a time. What arrays must equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.cluster.shape import HostPort, NodeRequirement, NodeSelectorTerm, PodShape, Toleration
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.verdict import Plugin


@dataclass
class ReferenceNode:
    name: str
    labels: Mapping[str, str]
    taints: Sequence[Taint]
    unschedulable: bool
    allocatable: Mapping[str, int]
    pods: list[PodShape] = field(default_factory=list)
    withdrawn: bool = False
    terminating: list[PodShape] = field(default_factory=list)
    """Those of `pods` that are being deleted."""

    @classmethod
    def of(cls, record: NodeRecord) -> ReferenceNode:
        return cls(record.name, record.labels, record.taints, record.unschedulable, record.allocatable)

    @classmethod
    def fresh(cls, fresh: FreshNode, name: str) -> ReferenceNode:
        labels = {**fresh.labels, "kubernetes.io/hostname": name}
        return cls(name, labels, fresh.taints, False, fresh.allocatable, list(fresh.daemon_shapes))

    def copy(self) -> ReferenceNode:
        return ReferenceNode(
            self.name,
            self.labels,
            self.taints,
            self.unschedulable,
            self.allocatable,
            list(self.pods),
            self.withdrawn,
            list(self.terminating),
        )

    def free(self, resource: str) -> int:
        used = len(self.pods) if resource == "pods" else sum(p.requests.get(resource, 0) for p in self.pods)
        return self.allocatable.get(resource, 0) - used

    def takes(self, shape: PodShape) -> bool:
        """For shapes without rules between pods."""
        return not self.withdrawn and rejection(shape, self) is None


def rejection(shape: PodShape, node: ReferenceNode) -> Plugin | None:
    """The first plugin, in the scheduler's order, that keeps the pod off the node, wherever other pods are."""
    for plugin, rejects in _FILTERS:
        if rejects(shape, node):
            return plugin
    return None


def place_one(shape: PodShape, nodes: Sequence[ReferenceNode]) -> int | None:
    """Put one pod on the first node that takes it; its index. For shapes without rules between pods."""
    for index, node in enumerate(nodes):
        if node.takes(shape):
            node.pods.append(shape)
            return index
    return None


def pack(fresh: FreshNode, demands: Sequence[tuple[PodShape, int]], max_nodes: int) -> list[list[int]]:
    """First-fit decreasing, pod by pod, on new nodes: for each node the demand of each pod on it, in order."""
    nodes: list[ReferenceNode] = []
    contents: list[list[int]] = []

    def share(number: int) -> float:
        requests = demands[number][0].requests
        return sum(
            requests.get(r, 0) / fresh.allocatable[r] for r in ("cpu", "memory") if fresh.allocatable.get(r)
        )

    for number in sorted(range(len(demands)), key=share, reverse=True):
        shape, count = demands[number]
        for _ in range(count):
            index = place_one(shape, nodes)
            if index is None:
                new = ReferenceNode.fresh(fresh, f"new-{len(nodes)}")
                if len(nodes) >= max_nodes or place_one(shape, [new]) is None:
                    break
                nodes.append(new)
                contents.append([])
                index = len(nodes) - 1
            contents[index].append(number)
    return contents


def _left_out_by_names(shape: PodShape, node: ReferenceNode) -> bool:
    if not shape.node_affinity:
        return False
    names: set[str] = set()
    for term in shape.node_affinity:
        asked = [set(f.values) for f in term.fields if f.key == "metadata.name" and f.operator == "In"]
        if not asked:
            return False
        names |= set.intersection(*asked)
    return node.name not in names


def _cordoned(shape: PodShape, node: ReferenceNode) -> bool:
    cordon = Taint("node.kubernetes.io/unschedulable", "", TaintEffect.NO_SCHEDULE)
    return node.unschedulable and not any(_tolerates(t, cordon) for t in shape.tolerations)


def _other_name(shape: PodShape, node: ReferenceNode) -> bool:
    return shape.required_node_name not in ("", node.name)


def tainted(shape: PodShape, node: ReferenceNode) -> bool:
    """Whether the node has a hard taint that the pod does not tolerate."""
    hard = [t for t in node.taints if t.effect != TaintEffect.PREFER_NO_SCHEDULE]
    return any(not any(_tolerates(toleration, t) for toleration in shape.tolerations) for t in hard)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    return (
        toleration.effect in ("", taint.effect)
        and toleration.key in ("", taint.key)
        and (toleration.operator == "Exists" or toleration.value == taint.value)
    )


def unwanted(shape: PodShape, node: ReferenceNode) -> bool:
    """Whether the pod's nodeSelector or node affinity excludes the node."""
    if any(node.labels.get(key) != value for key, value in shape.node_selector.items()):
        return True
    return shape.node_affinity is not None and not any(_term_matches(t, node) for t in shape.node_affinity)


def _term_matches(term: NodeSelectorTerm, node: ReferenceNode) -> bool:
    if not term.expressions and not term.fields:
        return False
    on_labels = all(_holds(r, node.labels) for r in term.expressions)
    return on_labels and all(_holds(r, {"metadata.name": node.name}) for r in term.fields)


def _holds(requirement: NodeRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator.value:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return _beyond(requirement, value)


def _beyond(requirement: NodeRequirement, value: str | None) -> bool:
    digits = (value or "").removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        return False
    bound = int(requirement.values[0])
    return int(value or "") > bound if requirement.operator == "Gt" else int(value or "") < bound


def _port_taken(shape: PodShape, node: ReferenceNode) -> bool:
    taken = [port for resident in node.pods for port in resident.host_ports]
    return any(_clash(wanted, other) for wanted in shape.host_ports for other in taken)


def _clash(one: HostPort, other: HostPort) -> bool:
    ips = {one.host_ip or "0.0.0.0", other.host_ip or "0.0.0.0"}
    same_port = (one.protocol, one.port) == (other.protocol, other.port)
    return same_port and (len(ips) == 1 or "0.0.0.0" in ips)


def _short(shape: PodShape, node: ReferenceNode) -> bool:
    wanted = {"pods": 1, **shape.requests}
    return any(node.free(resource) < amount for resource, amount in wanted.items())


def _unmodelled(shape: PodShape, _node: ReferenceNode) -> bool:
    return bool(shape.unmodelled)


_FILTERS: tuple[tuple[Plugin, Callable[[PodShape, ReferenceNode], bool]], ...] = (
    (Plugin.NODE_AFFINITY, _left_out_by_names),
    (Plugin.NODE_UNSCHEDULABLE, _cordoned),
    (Plugin.NODE_NAME, _other_name),
    (Plugin.TAINT_TOLERATION, tainted),
    (Plugin.NODE_AFFINITY, unwanted),
    (Plugin.NODE_PORTS, _port_taken),
    (Plugin.NODE_RESOURCES_FIT, _short),
    (Plugin.NOT_MODELLED, _unmodelled),
)
