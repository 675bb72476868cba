"""Pod shapes: the equivalence classes of pods that the scheduler cannot tell apart.

A shape carries everything that scheduling reads of a pod. Two pods with equal shapes get equal verdicts on
every node, so all work of a pass is per shape. Shapes are interned (see cluster.shape_table): identity is
equality.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from springtide.cluster.selector import LabelSelector

if TYPE_CHECKING:
    from springtide.cluster.volumes.needs import VolumeNeeds


class NodeSelectorOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


@dataclass(frozen=True, slots=True)
class NodeRequirement:
    """One entry of matchExpressions or matchFields."""

    key: str
    operator: NodeSelectorOperator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeSelectorTerm:
    """Requirements that must all hold. A term without any requirement matches no node."""

    expressions: tuple[NodeRequirement, ...] = ()
    fields: tuple[NodeRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str = ""
    """Empty with operator Exists tolerates every key."""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    """Empty tolerates every effect."""


@dataclass(frozen=True, slots=True)
class HostPort:
    protocol: str
    host_ip: str
    """"0.0.0.0" (and what the API stores as empty) is the wildcard."""
    port: int


@dataclass(frozen=True, slots=True)
class PodAffinityTerm:
    """One required term of pod affinity or anti-affinity: which pods, near in which sense."""

    topology_key: str
    selector: LabelSelector | None = None
    """None (absent) selects no pod, one without requirements every pod. matchLabelKeys and mismatchLabelKeys
    are in it already: the API server merges them when it stores a pod."""
    namespaces: tuple[str, ...] = ()
    """Names of namespaces, sorted; the pod's own where the manifest gives neither names nor a selector."""
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels, besides those by name; None: no others, without requirements: all."""


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    """One topology spread constraint with whenUnsatisfiable: DoNotSchedule."""

    topology_key: str
    max_skew: int
    selector: LabelSelector | None = None
    """None (absent) selects no pod. The pod's values of matchLabelKeys are in it."""
    min_domains: int = 1
    """With fewer eligible domains than this the minimum counts as 0."""
    honors_affinity: bool = True
    """nodeAffinityPolicy: nodes that the pod's selector and affinity exclude do not count."""
    honors_taints: bool = False
    """nodeTaintsPolicy: nodes with taints that the pod does not tolerate do not count."""


class Unmodelled(StrEnum):
    """Hard constraints that scheduling does not simulate yet: such pods never cause a purchase."""

    RESOURCE_CLAIMS = "DynamicResources"
    UNREADABLE = "Unreadable"
    """Nobody knows what the pod asks for: see cluster.unreadable."""


@dataclass(frozen=True, eq=False)
class PodShape:
    """Everything scheduling reads of a pod. Compared by identity: get them from a ShapeTable only."""

    number: int
    """Dense index: rows of arrays. Unique among the shapes alive; a later shape may get it once this one is
    gone, so a cache that outlives a snapshot is keyed by the shape itself (weakly), never by its number."""
    namespace: str
    labels: Mapping[str, str]
    requests: Mapping[str, int]
    """Effective request (init and sidecar containers, overhead, pod-level resources): cpu milli, others whole
    units. Only requested resources (amount > 0); every pod also takes one of the node's "pods"."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    node_affinity: tuple[NodeSelectorTerm, ...] | None = None
    """Required terms, any of which must match; None = no requirement, () = matches no node."""
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[HostPort, ...] = ()
    required_node_name: str = ""
    """spec.nodeName of a pod that is not bound by us; normally empty for pending pods."""
    pod_affinity: tuple[PodAffinityTerm, ...] = ()
    """Required terms; all must hold."""
    pod_anti_affinity: tuple[PodAffinityTerm, ...] = ()
    """Required terms; none may be violated, in either direction."""
    spread: tuple[SpreadConstraint, ...] = ()
    """Hard constraints; all must hold."""
    priority: int = 0
    unmodelled: tuple[Unmodelled, ...] = ()
    volumes: VolumeNeeds | None = None
    """What its volumes ask of a node; None: nothing, or not resolved (yet)."""

    @cached_property
    def nature(self) -> Hashable:
        """All that a pod of the shape asks of a node by itself. Shapes of one nature differ only in which other pods
        they mind and which mind them: they are many where every workload spreads, and are judged together."""
        return tuple(
            tuple(sorted(value.items())) if isinstance(value, Mapping) else value
            for value in (getattr(self, each.name) for each in fields(self) if each.name not in _RELATIONS)
        )


_RELATIONS: Final = frozenset(
    {
        "number",
        "namespace",
        "labels",
        "pod_affinity",
        "pod_anti_affinity",
        "spread",
        "priority",
    }
)
"""Fields of a shape that say nothing about what it asks of a node without other pods."""
