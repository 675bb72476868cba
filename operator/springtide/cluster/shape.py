"""Pod shapes: the equivalence classes of pods that the scheduler cannot tell apart.

A shape carries everything that scheduling reads of a pod. Two pods with equal shapes get equal verdicts on
every node, so all work of a pass is per shape. Shapes are interned (see cluster.shape_table): identity is
equality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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


class Unmodelled(StrEnum):
    """Hard constraints that scheduling does not simulate yet: such pods never cause a purchase."""

    TOPOLOGY_SPREAD = "PodTopologySpread"
    POD_AFFINITY = "InterPodAffinity"
    VOLUMES = "VolumeBinding"
    RESOURCE_CLAIMS = "DynamicResources"
    RESIZE = "InPlaceResize"


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
    priority: int = 0
    unmodelled: tuple[Unmodelled, ...] = ()
    repels_others: bool = False
    """It has required pod (anti-)affinity or a hard spread, so its presence can change others' verdicts."""
