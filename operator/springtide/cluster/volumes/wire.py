"""Storage objects as they come over the wire, naming only the fields that scheduling reads."""

from __future__ import annotations

import msgspec

from springtide.cluster.wire import (
    Int32,
    LabelSelectorWire,
    NodeSelectorWire,
    ObjectWire,
    ResourcesWire,
    Wire,
)


class ClaimSpecWire(Wire):
    access_modes: tuple[str, ...] = ()
    resources: ResourcesWire | None = None
    selector: LabelSelectorWire | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str = ""


class PhaseWire(Wire):
    phase: str = ""


class ClaimWire(ObjectWire):
    """A PersistentVolumeClaim."""

    spec: ClaimSpecWire = msgspec.field(default_factory=ClaimSpecWire)
    status: PhaseWire = msgspec.field(default_factory=PhaseWire)


class CsiSourceWire(Wire):
    driver: str = ""
    volume_handle: str = ""


class VolumeIdWire(Wire):
    """EBS, Cinder and Portworx name their volumes alike."""

    volume_id: str = msgspec.field(default="", name="volumeID")


class GceDiskWire(Wire):
    pd_name: str = ""


class AzureDiskWire(Wire):
    disk_uri: str = msgspec.field(default="", name="diskURI")


class VolumeNodeAffinityWire(Wire):
    required: NodeSelectorWire | None = None


class ClaimRefWire(Wire):
    namespace: str = ""
    name: str = ""
    uid: str = ""


class VolumeSpecWire(Wire):
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] | None = None
    claim_ref: ClaimRefWire | None = None
    node_affinity: VolumeNodeAffinityWire | None = None
    storage_class_name: str = ""
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    csi: CsiSourceWire | None = None
    aws_elastic_block_store: VolumeIdWire | None = None
    azure_disk: AzureDiskWire | None = None
    cinder: VolumeIdWire | None = None
    gce_persistent_disk: GceDiskWire | None = None
    portworx_volume: VolumeIdWire | None = None


class PersistentVolumeWire(ObjectWire):
    spec: VolumeSpecWire = msgspec.field(default_factory=VolumeSpecWire)
    status: PhaseWire = msgspec.field(default_factory=PhaseWire)


class TopologyExpressionWire(Wire):
    key: str = ""
    values: tuple[str, ...] = ()


class TopologyTermWire(Wire):
    match_label_expressions: tuple[TopologyExpressionWire, ...] = ()


class StorageClassWire(ObjectWire):
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[TopologyTermWire, ...] = ()


class CsiDriverSpecWire(Wire):
    storage_capacity: bool = False


class CsiDriverWire(ObjectWire):
    spec: CsiDriverSpecWire = msgspec.field(default_factory=CsiDriverSpecWire)


class AllocatableVolumesWire(Wire):
    count: Int32 | None = None


class NodeDriverWire(Wire):
    name: str = ""
    allocatable: AllocatableVolumesWire | None = None


class CsiNodeSpecWire(Wire):
    drivers: tuple[NodeDriverWire, ...] | None = None
    """The API server says null where there are none: the kubelet makes its CSINode before any driver registers."""


class CsiNodeWire(ObjectWire):
    spec: CsiNodeSpecWire = msgspec.field(default_factory=CsiNodeSpecWire)


class StorageCapacityWire(ObjectWire):
    storage_class_name: str = ""
    capacity: str | None = None
    maximum_volume_size: str | None = None
    node_topology: LabelSelectorWire | None = None
