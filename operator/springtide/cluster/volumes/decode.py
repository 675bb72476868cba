"""From wire structs to the records of storage objects, and to what a pod mounts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from sys import intern

from springtide.cluster.pod_constraints import label_selector
from springtide.cluster.quantity import parse_amount
from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, NodeSelectorTerm
from springtide.cluster.volumes.mounts import MIGRATED, NO_MOUNTS, Disk, DiskKind, Mounts
from springtide.cluster.volumes.records import (
    Claim,
    ClaimReference,
    CsiDriver,
    CsiNode,
    PersistentVolume,
    StorageCapacity,
    StorageClass,
)
from springtide.cluster.volumes.wire import (
    ClaimWire,
    CsiDriverWire,
    CsiNodeWire,
    PersistentVolumeWire,
    StorageCapacityWire,
    StorageClassWire,
    TopologyTermWire,
    VolumeSpecWire,
)
from springtide.cluster.wire import NodeSelectorWire, NodeTermWire, VolumeWire

_NO_LABELS: Mapping[str, str] = {}

_CLASS = "volume.beta.kubernetes.io/storage-class"
"""Older than the field, and still the one that counts where both are set."""
_BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_DEFAULT_RBD_POOL = "rbd"
_FILESYSTEM = "Filesystem"


def mounts(volumes: tuple[VolumeWire, ...], *, pod_name: str) -> Mounts:
    """What a pod of this name mounts; one shared value for pods that mount nothing that matters."""
    told = [volume for volume in volumes if volume.constrains_placement]
    if not told:
        return NO_MOUNTS
    claims: list[str] = []
    ephemeral: list[tuple[str, str]] = []
    disks: list[Disk] = []
    for volume in told:
        if volume.persistent_volume_claim is not None:
            claims.append(volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral is not None:
            name = f"{pod_name}-{volume.name}"
            claims.append(name)
            ephemeral.append((name, volume.name))
        elif (disk := _disk(volume)) is not None:
            disks.append(disk)
    return Mounts(claims=tuple(claims), ephemeral=tuple(ephemeral), disks=tuple(disks))


def claim(wire: ClaimWire) -> Claim:
    meta, spec = wire.metadata, wire.spec
    annotations = meta.annotations or _NO_LABELS
    size = (spec.resources.requests or {}).get("storage") if spec.resources is not None else None
    return Claim(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        class_name=intern(annotations.get(_CLASS, spec.storage_class_name or "")),
        volume_name=spec.volume_name,
        bind_completed=_BIND_COMPLETED in annotations,
        selected_node=annotations.get(_SELECTED_NODE),
        lost=wire.status.phase == "Lost",
        deleting=meta.deletion_timestamp is not None,
        owner_uid=next((owner.uid for owner in meta.owner_references if owner.controller), ""),
        size_bytes=None if size is None else parse_amount("storage", size),
        access_modes=_shared(spec.access_modes),
        volume_mode=intern(spec.volume_mode or _FILESYSTEM),
        attributes_class=intern(spec.volume_attributes_class_name or ""),
        selector=label_selector(spec.selector),
    )


def persistent_volume(wire: PersistentVolumeWire) -> PersistentVolume:
    meta, spec = wire.metadata, wire.spec
    driver, handle = _attached_as(spec)
    reference = spec.claim_ref
    return PersistentVolume(
        name=meta.name,
        class_name=intern((meta.annotations or _NO_LABELS).get(_CLASS, spec.storage_class_name)),
        driver=intern(driver),
        handle=handle,
        node_terms=_node_terms(spec.node_affinity.required) if spec.node_affinity is not None else None,
        labels={intern(key): intern(value) for key, value in meta.labels.items()}
        if meta.labels
        else _NO_LABELS,
        claim=None
        if reference is None
        else ClaimReference(intern(reference.namespace), reference.name, reference.uid),
        available=wire.status.phase == "Available",
        deleting=meta.deletion_timestamp is not None,
        size_bytes=parse_amount("storage", (spec.capacity or _NO_LABELS).get("storage", "0")),
        access_modes=_shared(spec.access_modes),
        volume_mode=intern(spec.volume_mode or _FILESYSTEM),
        attributes_class=intern(spec.volume_attributes_class_name or ""),
    )


def storage_class(wire: StorageClassWire) -> StorageClass:
    return StorageClass(
        name=wire.metadata.name,
        provisioner=intern(wire.provisioner),
        waits_for_consumer=wire.volume_binding_mode == "WaitForFirstConsumer",
        allowed_topologies=tuple(_topology(term) for term in wire.allowed_topologies),
    )


def csi_driver(wire: CsiDriverWire) -> CsiDriver:
    return CsiDriver(name=wire.metadata.name, tracks_capacity=wire.spec.storage_capacity)


def csi_node(wire: CsiNodeWire) -> CsiNode:
    limits = {
        driver.name: driver.allocatable.count
        for driver in wire.spec.drivers or ()
        if driver.allocatable is not None and driver.allocatable.count is not None
    }
    return CsiNode(name=wire.metadata.name, volume_limits=shared_limits(tuple(sorted(limits.items()))))


def storage_capacity(wire: StorageCapacityWire) -> StorageCapacity:
    # The largest single volume says more than the sum of what is left, where a driver knows it.
    largest = wire.maximum_volume_size if wire.maximum_volume_size is not None else wire.capacity
    return StorageCapacity(
        class_name=wire.storage_class_name,
        largest_bytes=None if largest is None else parse_amount("storage", largest),
        topology=label_selector(wire.node_topology),
    )


@lru_cache(maxsize=1024)
def shared_limits(limits: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    """One mapping for all nodes with the same limits."""
    return {intern(driver): count for driver, count in limits}


def _disk(volume: VolumeWire) -> Disk | None:
    for kind, source in (
        (DiskKind.AWS_EBS, volume.aws_elastic_block_store),
        (DiskKind.CINDER, volume.cinder),
        (DiskKind.PORTWORX, volume.portworx_volume),
    ):
        if source is not None:
            return Disk(kind, source.volume_id, source.read_only)
    if volume.gce_persistent_disk is not None:
        return Disk(DiskKind.GCE_PD, volume.gce_persistent_disk.pd_name, volume.gce_persistent_disk.read_only)
    if volume.azure_disk is not None:
        return Disk(DiskKind.AZURE_DISK, volume.azure_disk.disk_uri)
    if volume.iscsi is not None:
        return Disk(DiskKind.ISCSI, volume.iscsi.iqn, volume.iscsi.read_only)
    if volume.rbd is not None:
        image = f"{volume.rbd.pool or _DEFAULT_RBD_POOL}/{volume.rbd.image}"
        return Disk(DiskKind.RBD, image, volume.rbd.read_only, frozenset(volume.rbd.monitors))
    return None


def _attached_as(spec: VolumeSpecWire) -> tuple[str, str]:
    """(CSI driver, handle), also of in-tree volumes that a CSI driver has taken over; ("", "") of others."""
    if spec.csi is not None:
        return spec.csi.driver, spec.csi.volume_handle
    disk = _in_tree(spec)
    return ("", "") if disk is None else (MIGRATED[disk.kind], disk.handle)


def _in_tree(spec: VolumeSpecWire) -> Disk | None:
    for kind, source in (
        (DiskKind.AWS_EBS, spec.aws_elastic_block_store),
        (DiskKind.CINDER, spec.cinder),
        (DiskKind.PORTWORX, spec.portworx_volume),
    ):
        if source is not None:
            return Disk(kind, source.volume_id)
    if spec.gce_persistent_disk is not None:
        return Disk(DiskKind.GCE_PD, spec.gce_persistent_disk.pd_name)
    return None if spec.azure_disk is None else Disk(DiskKind.AZURE_DISK, spec.azure_disk.disk_uri)


def _topology(term: TopologyTermWire) -> NodeSelectorTerm:
    return NodeSelectorTerm(
        expressions=tuple(
            NodeRequirement(key=e.key, operator=NodeSelectorOperator.IN, values=tuple(sorted(set(e.values))))
            for e in term.match_label_expressions
        )
    )


def _node_terms(required: NodeSelectorWire | None) -> tuple[NodeSelectorTerm, ...] | None:
    if required is None:
        return None
    return _shared_terms(tuple(_node_term(term) for term in required.node_selector_terms))


def _node_term(wire: NodeTermWire) -> NodeSelectorTerm:
    expressions, fields = (
        tuple(
            NodeRequirement(key=intern(r.key), operator=NodeSelectorOperator(r.operator), values=r.values)
            for r in requirements
        )
        for requirements in (wire.match_expressions, wire.match_fields)
    )
    return NodeSelectorTerm(expressions=expressions, fields=fields)


# The volumes of one zone, and of one driver, say the same thousands of times.
@lru_cache(maxsize=16384)
def _shared_terms(terms: tuple[NodeSelectorTerm, ...]) -> tuple[NodeSelectorTerm, ...]:
    return terms


@lru_cache(maxsize=64)
def _shared(modes: tuple[str, ...]) -> tuple[str, ...]:
    return modes
