"""Slim records of storage objects: immutable, decoded once. Sizes are bytes, rounded up as the scheduler does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import NodeSelectorTerm

READ_WRITE_ONCE_POD = "ReadWriteOncePod"


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim."""

    namespace: str
    name: str
    uid: str = ""
    class_name: str = ""
    volume_name: str = ""
    bind_completed: bool = False
    """Has the annotation that tells a bound claim from one that only asks for a volume by name."""
    selected_node: str | None = None
    """The node that the scheduler chose for provisioning; None: nothing has been chosen yet."""
    lost: bool = False
    deleting: bool = False
    owner_uid: str = ""
    """Uid of its controller: the pod, for the claim of an ephemeral volume."""
    size_bytes: int | None = None
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    attributes_class: str = ""
    selector: LabelSelector | None = None

    @property
    def bound(self) -> bool:
        return bool(self.volume_name) and self.bind_completed

    @property
    def exclusive(self) -> bool:
        """Only one pod may use it at a time."""
        return READ_WRITE_ONCE_POD in self.access_modes


@dataclass(frozen=True, slots=True)
class ClaimReference:
    namespace: str
    name: str
    uid: str = ""
    """Empty: reserved by name for whatever claim gets it."""

    def means(self, claim: Claim) -> bool:
        return (
            (self.namespace, self.name) == (claim.namespace, claim.name)
            # Written by hand it has no uid.
            and self.uid in ("", claim.uid)
        )


@dataclass(frozen=True, slots=True)
class PersistentVolume:
    name: str
    class_name: str = ""
    driver: str = ""
    """CSI driver, also of an in-tree disk that one has taken over; empty: attached volumes are not counted."""
    handle: str = ""
    node_terms: tuple[NodeSelectorTerm, ...] | None = None
    """Required node affinity; None: it can be mounted everywhere."""
    labels: Mapping[str, str] = field(default_factory=dict)
    claim: ClaimReference | None = None
    available: bool = False
    """Phase Available: free to be bound."""
    deleting: bool = False
    size_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    attributes_class: str = ""


@dataclass(frozen=True, slots=True)
class StorageClass:
    name: str
    provisioner: str
    waits_for_consumer: bool = False
    """volumeBindingMode WaitForFirstConsumer."""
    allowed_topologies: tuple[NodeSelectorTerm, ...] = ()
    """Any of which a node must match; none: volumes can be made for every node."""


@dataclass(frozen=True, slots=True)
class CsiDriver:
    name: str
    tracks_capacity: bool = False
    """Publishes CSIStorageCapacity objects and wants them looked at."""


@dataclass(frozen=True, slots=True)
class CsiNode:
    name: str
    volume_limits: Mapping[str, int] = field(default_factory=dict)
    """CSI driver -> how many of its volumes the node can have attached; a driver that sets no limit is left out."""


@dataclass(frozen=True, slots=True)
class StorageCapacity:
    """A CSIStorageCapacity: the largest volume of a class that can be made for some nodes."""

    class_name: str
    largest_bytes: int | None = None
    """maximumVolumeSize, else capacity; None: nothing is known to be left."""
    topology: LabelSelector | None = None
    """Labels of the nodes; None: reachable from no node."""
