"""Storage objects and pods that mount them, as manifests with the fields that a test does not speak of filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from springtide.cluster.manifests import add_storage, pod_from_manifest, with_volumes
from springtide.cluster.records import PodRecord
from springtide.cluster.volumes.objects import VolumeObjects

Manifest = dict[str, Any]

DRIVER = "ebs.csi.aws.com"
ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"


def claim(
    name: str,
    volume: str = "",
    *,
    of: str = "fast",
    size: str | None = "10Gi",
    bound: bool | None = None,
    modes: Sequence[str] = ("ReadWriteOnce",),
    metadata: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    phase: str = "",
    **spec: Any,
) -> Manifest:
    """A claim of storage class `of`; with a volume's name it is bound to it unless `bound` is false."""
    completed = bool(volume) if bound is None else bound
    marks = {"pv.kubernetes.io/bind-completed": "yes"} if completed else {}
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "annotations": {**marks, **(annotations or {})},
            **(metadata or {}),
        },
        "spec": {
            "storageClassName": of,
            "volumeName": volume,
            "accessModes": list(modes),
            "resources": {"requests": {"storage": size} if size is not None else {}},
            **spec,
        },
        "status": {"phase": phase or ("Bound" if completed else "Pending")},
    }


def volume(
    name: str,
    *,
    of: str = "fast",
    size: str = "10Gi",
    on: Mapping[str, Sequence[str]] | None = None,
    handle: str | None = None,
    driver: str = DRIVER,
    labels: Mapping[str, str] | None = None,
    claim_ref: Mapping[str, str] | None = None,
    phase: str = "Bound",
    metadata: Mapping[str, Any] | None = None,
    modes: Sequence[str] = ("ReadWriteOnce",),
    **spec: Any,
) -> Manifest:
    """A volume that can be mounted on nodes with one of the values of each label in `on`; None: everywhere."""
    source = {} if handle is None else {"csi": {"driver": driver, "volumeHandle": handle}}
    return {
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": dict(labels or {}), **(metadata or {})},
        "spec": {
            "storageClassName": of,
            "capacity": {"storage": size},
            "accessModes": list(modes),
            **source,
            **({"claimRef": dict(claim_ref)} if claim_ref is not None else {}),
            **({"nodeAffinity": {"required": {"nodeSelectorTerms": [_term(on)]}}} if on is not None else {}),
            **spec,
        },
        "status": {"phase": phase},
    }


def free_volume(name: str, **fields: Any) -> Manifest:
    return volume(name, phase="Available", **fields)


def storage_class(
    name: str = "fast",
    *,
    provisioner: str = DRIVER,
    waits: bool = True,
    zones: Iterable[Sequence[str]] = (),
) -> Manifest:
    """`zones`: allowedTopologies, a term for each list of zones."""
    return {
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate",
        "allowedTopologies": [
            {"matchLabelExpressions": [{"key": ZONE, "values": list(values)}]} for values in zones
        ],
    }


def csi_node(name: str, limit: int | None = None, *, driver: str = DRIVER) -> Manifest:
    allocatable = {} if limit is None else {"allocatable": {"count": limit}}
    return {
        "kind": "CSINode",
        "metadata": {"name": name},
        "spec": {"drivers": [{"name": driver, "nodeID": name, **allocatable}]},
    }


def csi_driver(*, tracks_capacity: bool = True, name: str = DRIVER) -> Manifest:
    return {
        "kind": "CSIDriver",
        "metadata": {"name": name},
        "spec": {"storageCapacity": tracks_capacity},
    }


def capacity(name: str, *, of: str = "fast", topology: Mapping[str, Any] | None, **sizes: str) -> Manifest:
    """`sizes`: capacity, maximumVolumeSize."""
    return {
        "kind": "CSIStorageCapacity",
        "metadata": {"name": name, "namespace": "kube-system"},
        "storageClassName": of,
        **({"nodeTopology": dict(topology)} if topology is not None else {}),
        **sizes,
    }


def pod(name: str, *claims: str, node: str = "", **spec: Any) -> Manifest:
    """A pod that mounts these claims; `volumes` in `spec` come on top."""
    mounted = [{"name": f"v{n}", "persistentVolumeClaim": {"claimName": c}} for n, c in enumerate(claims)]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {
            "containers": [],
            **({"nodeName": node} if node else {}),
            **spec,
            "volumes": [*mounted, *spec.get("volumes", ())],
        },
        "status": {"phase": "Running" if node else "Pending"},
    }


def objects_of(*manifests: Manifest) -> VolumeObjects:
    objects = VolumeObjects()
    for manifest in manifests:
        add_storage(objects, manifest)
    return objects


def resolved(objects: VolumeObjects, *pods: Manifest) -> list[PodRecord]:
    """The pods, with shapes that say what they need."""
    return with_volumes([pod_from_manifest(manifest) for manifest in pods], objects)


def _term(on: Mapping[str, Sequence[str]]) -> Manifest:
    return {
        "matchExpressions": [
            {"key": key, "operator": "In", "values": list(values)} for key, values in on.items()
        ]
    }
