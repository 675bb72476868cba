"""What a pod's volumes ask of a node, as one value: pods whose needs are equal differ for no filter.

Claims are not named where the name decides nothing: a thousand pods of a StatefulSet, each with a volume of its own in
the same zone, have the same needs, and so one shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from springtide.cluster.shape import NodeSelectorTerm
from springtide.cluster.volumes.mounts import Disk

Terms = tuple[NodeSelectorTerm, ...]
"""Alternatives, any of which a node must match; () matches no node."""

Attachment = tuple[str, str]
"""(CSI driver, volume handle): one volume, however many claims and pods use it."""


class VolumePlugin(StrEnum):
    """kube-scheduler's plugins that look at volumes and may reject a pod as a whole."""

    VOLUME_RESTRICTIONS = "VolumeRestrictions"
    VOLUME_BINDING = "VolumeBinding"
    VOLUME_ZONE = "VolumeZone"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the pod fits no node at all, whatever nodes there are."""

    plugin: VolumePlugin
    subject: str
    """In words: claim data-0 does not exist."""
    before_filters: bool = True
    """PreFilter says so, before any other plugin has looked at a node; else the plugin's own turn comes first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A PersistentVolume that could be bound to a claim."""

    name: str
    node_terms: Terms | None
    """Required node affinity; None: mountable everywhere."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class VolumePool:
    """The volumes that would do for a claim, the one to be taken first first. Compared by identity: claims that ask
    for the same share one."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Where a volume of a storage class can be made."""

    class_name: str
    allowed: Terms | None = None
    """allowedTopologies; None: everywhere."""
    size_bytes: int = 0
    """0 where the driver does not publish its capacity."""
    roomy: Terms | None = None
    """Where the driver says that a volume of this size can be made; None: it does not publish its capacity."""


@dataclass(frozen=True, slots=True)
class UnboundClaim:
    """A claim that is bound when its pod is scheduled."""

    class_name: str
    selected_node: str | None = None
    """Provisioning has begun for this node."""
    pool: VolumePool | None = None
    """Existing volumes to choose from, before one is made."""
    provisioning: Provisioning | None = None
    """None: none can be made."""


@dataclass(frozen=True, slots=True)
class ZoneRequirement:
    """A topology label of a bound volume, and the values of it that will do on a node."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VolumeNeeds:
    """Everything that VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone read of a pod."""

    rejection: Rejection | None = None
    bound: tuple[Terms, ...] = ()
    """Node affinity of the bound volumes: each must match."""
    unbound: tuple[UnboundClaim, ...] = ()
    """In the order in which volumes are chosen: the smallest first."""
    zones: tuple[ZoneRequirement, ...] = ()
    attaches: tuple[tuple[str, int], ...] = ()
    """(CSI driver, number) of the volumes that no other pod uses."""
    shared: tuple[Attachment, ...] = ()
    """Volumes that other pods use, too: attached once to a node, however many of them run there."""
    exclusive_claims: tuple[str, ...] = ()
    """namespace/name of ReadWriteOncePod claims that other pods name, too: whoever comes first keeps the others out."""
    disks: tuple[Disk, ...] = ()

    @property
    def pools(self) -> Iterator[VolumePool]:
        return (claim.pool for claim in self.unbound if claim.pool is not None)

    @property
    def one_at_a_time(self) -> bool:
        """A pod that found a place leaves less for the next, on whatever node: no node's room can be told apart."""
        return bool(self.exclusive_claims) or any(True for _ in self.pools)
