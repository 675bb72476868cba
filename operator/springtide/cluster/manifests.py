"""Records from manifests that are already Python dicts: read from YAML, a corpus or a single GET.

Informers never come this way (they decode bytes). All shapes made here share one table, so that equal pods
have the same shape wherever they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from springtide.cluster import decode
from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    LeaseRecord,
    NamespaceRecord,
    NodeRecord,
    PodRecord,
    Workload,
)
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.store import Store
from springtide.cluster.volumes import decode as volume_decode
from springtide.cluster.volumes import wire as volume_wire
from springtide.cluster.volumes.book import VolumeBook
from springtide.cluster.volumes.objects import VolumeObjects, limited
from springtide.cluster.wire import (
    BudgetWire,
    DaemonSetWire,
    LeaseWire,
    NamespaceWire,
    NodeWire,
    PodWire,
    WorkloadWire,
)

_Wire = TypeVar("_Wire")

_SHAPES = ShapeTable()

WORKLOAD_KINDS = ("ReplicaSet", "ReplicationController", "StatefulSet", "Job", "DaemonSet")


def pod_from_manifest(manifest: Mapping[str, Any], *, shapes: ShapeTable | None = None) -> PodRecord:
    """Raises msgspec.ValidationError if a field has the wrong type, QuantityError for a bad quantity."""
    return decode.pod_record(_convert(manifest, PodWire), shapes if shapes is not None else _SHAPES)


def node_from_manifest(manifest: Mapping[str, Any]) -> NodeRecord:
    return decode.node_record(_convert(manifest, NodeWire))


def disruption_budget_from_manifest(manifest: Mapping[str, Any]) -> DisruptionBudget:
    return decode.disruption_budget(_convert(manifest, BudgetWire))


def workload_from_manifest(manifest: Mapping[str, Any], *, kind: str | None = None) -> Workload:
    """`kind` is needed where the manifest does not say it, as in the items of a list."""
    kind = kind or str(manifest.get("kind", ""))
    if kind not in WORKLOAD_KINDS:
        raise ValueError(f"{kind!r} is not a workload; expected one of {', '.join(WORKLOAD_KINDS)}")
    if kind == "DaemonSet":
        return daemon_set_from_manifest(manifest).workload
    return decode.workload(_convert(manifest, WorkloadWire), kind=kind)


def daemon_set_from_manifest(
    manifest: Mapping[str, Any], *, shapes: ShapeTable | None = None
) -> DaemonSetRecord:
    return decode.daemon_set_record(
        _convert(manifest, DaemonSetWire), shapes if shapes is not None else _SHAPES
    )


def namespace_from_manifest(manifest: Mapping[str, Any]) -> NamespaceRecord:
    return decode.namespace_record(_convert(manifest, NamespaceWire))


def lease_from_manifest(manifest: Mapping[str, Any]) -> LeaseRecord:
    return decode.lease_record(_convert(manifest, LeaseWire))


def add_storage(objects: VolumeObjects, manifest: Mapping[str, Any]) -> None:
    """Put one storage object, of the kind that its manifest says, among the others."""
    kinds: dict[str, tuple[Store[Any], type[Any], Any]] = {
        "PersistentVolumeClaim": (objects.claims, volume_wire.ClaimWire, volume_decode.claim),
        "PersistentVolume": (
            objects.volumes,
            volume_wire.PersistentVolumeWire,
            volume_decode.persistent_volume,
        ),
        "StorageClass": (objects.classes, volume_wire.StorageClassWire, volume_decode.storage_class),
        "CSIDriver": (objects.drivers, volume_wire.CsiDriverWire, volume_decode.csi_driver),
        "CSINode": (objects.csi_nodes, volume_wire.CsiNodeWire, volume_decode.csi_node),
        "CSIStorageCapacity": (
            objects.capacities,
            volume_wire.StorageCapacityWire,
            volume_decode.storage_capacity,
        ),
    }
    store, wire, to_record = kinds[manifest["kind"]]
    metadata = manifest["metadata"]
    store.upsert((metadata.get("namespace", ""), metadata["name"]), to_record(_convert(manifest, wire)))


def with_volumes(
    pods: Sequence[PodRecord], objects: VolumeObjects, *, shapes: ShapeTable | None = None
) -> list[PodRecord]:
    """The pods, in order, with shapes that say what their volumes need. Pass all pods that may share a volume."""
    book = VolumeBook(objects, shapes if shapes is not None else _SHAPES)
    for pod in pods:
        book.pod_changed(None, pod)
    settled = {(pod.key, pod.uid): pod for pod in book.settle()}
    return [settled.get((pod.key, pod.uid), pod) for pod in pods]


def with_limits(nodes: Iterable[NodeRecord], objects: VolumeObjects) -> list[NodeRecord]:
    """The nodes with the limits that their CSINodes set."""
    return [limited(node, objects.csi_nodes.get(("", node.name))) for node in nodes]


def _convert(manifest: Mapping[str, Any], wire: type[_Wire]) -> _Wire:
    return msgspec.convert(manifest, wire)
