"""Kubernetes objects as they come over the wire, naming only the fields that decisions need.

msgspec skips every field that is not named without building it: decoding real pods this way is thirty times
cheaper than into dicts. Structs here live only until they are turned into records (cluster.decode).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

# As the API's Go structs have them. What is larger comes from no API server, and would overflow our arrays.
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

ResourceTexts = dict[str, str]
"""Resource name -> quantity as text."""


class Wire(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """Base of all: camelCase names; defaults are left out when a struct is encoded (keys of shapes)."""


class Present(Wire):
    """An object of which only the presence matters."""


class OwnerWire(Wire):
    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = False


class MetaWire(Wire):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: Int64 | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerWire, ...] = ()


class ObjectWire(Wire):
    """What every object has. Informers know no more of what they carry."""

    metadata: MetaWire = msgspec.field(default_factory=MetaWire)


class ConditionWire(Wire):
    type: str
    status: str = ""
    reason: str = ""
    last_transition_time: datetime | None = None


class ResourcesWire(Wire):
    requests: ResourceTexts | None = None
    limits: ResourceTexts | None = None


class ActuatedWire(Wire):
    """Resources as a status reports them; its limits decide nothing."""

    requests: ResourceTexts | None = None


class PortWire(Wire):
    container_port: Int32 = 0
    host_port: Int32 = 0
    protocol: str = "TCP"
    host_ip: str = msgspec.field(default="", name="hostIP")


class ContainerWire(Wire):
    name: str = ""
    resources: ResourcesWire | None = None
    ports: tuple[PortWire, ...] = ()
    restart_policy: str = ""
    """Always on an init container makes it a sidecar."""


class RequirementWire(Wire):
    """An entry of matchExpressions or matchFields, of nodes or labels."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeTermWire(Wire):
    match_expressions: tuple[RequirementWire, ...] = ()
    match_fields: tuple[RequirementWire, ...] = ()


class NodeSelectorWire(Wire):
    node_selector_terms: tuple[NodeTermWire, ...] = ()


class NodeAffinityWire(Wire):
    """Preferred terms are not read: they never decide whether a pod fits."""

    required_during_scheduling_ignored_during_execution: NodeSelectorWire | None = None


class LabelSelectorWire(Wire):
    match_labels: dict[str, str] | None = None
    match_expressions: tuple[RequirementWire, ...] = ()


class PodAffinityTermWire(Wire):
    topology_key: str = ""
    label_selector: LabelSelectorWire | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelectorWire | None = None


class PodAffinityWire(Wire):
    """Preferred terms are not read: they never decide whether a pod fits."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTermWire, ...] = ()


class SpreadWire(Wire):
    topology_key: str = ""
    max_skew: Int32 = 1
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelectorWire | None = None
    match_label_keys: tuple[str, ...] = ()
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None


class AffinityWire(Wire):
    node_affinity: NodeAffinityWire | None = None
    pod_affinity: PodAffinityWire | None = None
    pod_anti_affinity: PodAffinityWire | None = None


class TolerationWire(Wire):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class EmptyDirWire(Wire):
    medium: str = ""


class ClaimSourceWire(Wire):
    claim_name: str = ""


class DiskSourceWire(Wire):
    """EBS, Cinder and Portworx volumes are named alike."""

    volume_id: str = msgspec.field(default="", name="volumeID")
    read_only: bool = False


class GceDiskSourceWire(Wire):
    pd_name: str = ""
    read_only: bool = False


class AzureDiskSourceWire(Wire):
    disk_uri: str = msgspec.field(default="", name="diskURI")


class IscsiSourceWire(Wire):
    iqn: str = ""
    read_only: bool = False


class RbdSourceWire(Wire):
    monitors: tuple[str, ...] = ()
    pool: str = ""
    image: str = ""
    read_only: bool = False


class VolumeWire(Wire):
    """The kinds of volume that die with the node or tie the pod to some nodes; other kinds do neither."""

    name: str = ""
    host_path: Present | None = None
    empty_dir: EmptyDirWire | None = None
    persistent_volume_claim: ClaimSourceWire | None = None
    ephemeral: Present | None = None
    gce_persistent_disk: GceDiskSourceWire | None = None
    aws_elastic_block_store: DiskSourceWire | None = None
    azure_disk: AzureDiskSourceWire | None = None
    cinder: DiskSourceWire | None = None
    portworx_volume: DiskSourceWire | None = None
    iscsi: IscsiSourceWire | None = None
    rbd: RbdSourceWire | None = None

    @property
    def constrains_placement(self) -> bool:
        """VolumeBinding, VolumeZone, VolumeRestrictions or NodeVolumeLimits of the scheduler look at it."""
        # Spelled out rather than looped over: this runs for every volume of every pod.
        return not (
            self.persistent_volume_claim is None
            and self.ephemeral is None
            and self.gce_persistent_disk is None
            and self.aws_elastic_block_store is None
            and self.azure_disk is None
            and self.cinder is None
            and self.portworx_volume is None
            and self.iscsi is None
            and self.rbd is None
        )

    @property
    def dies_with_node(self) -> bool:
        """Cluster Autoscaler's local storage: hostPath, and emptyDir unless its medium is Memory."""
        return self.host_path is not None or (
            self.empty_dir is not None and self.empty_dir.medium != "Memory"
        )


class PodSpecWire(Wire):
    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    restart_policy: str = "Always"
    termination_grace_period_seconds: Int64 | None = None
    priority: Int32 | None = None
    host_network: bool = False
    node_selector: dict[str, str] | None = None
    affinity: AffinityWire | None = None
    tolerations: tuple[TolerationWire, ...] = ()
    containers: tuple[ContainerWire, ...] = ()
    init_containers: tuple[ContainerWire, ...] = ()
    overhead: ResourceTexts | None = None
    resources: ResourcesWire | None = None
    """Pod-level resources."""
    topology_spread_constraints: tuple[SpreadWire, ...] = ()
    volumes: tuple[VolumeWire, ...] = ()
    resource_claims: tuple[Present, ...] = ()
    scheduling_gates: tuple[Present, ...] = ()


class ContainerStatusWire(Wire):
    name: str = ""
    resources: ActuatedWire | None = None
    """What the runtime has actuated; absent before the kubelet reports it."""
    allocated_resources: ResourceTexts | None = None


class PodStatusWire(Wire):
    phase: str = ""
    nominated_node_name: str = ""
    conditions: tuple[ConditionWire, ...] = ()
    container_statuses: tuple[ContainerStatusWire, ...] = ()
    init_container_statuses: tuple[ContainerStatusWire, ...] = ()
    resources: ActuatedWire | None = None
    """Pod-level resources that the runtime has actuated."""
    allocated_resources: ResourceTexts | None = None


class PodWire(ObjectWire):
    spec: PodSpecWire = msgspec.field(default_factory=PodSpecWire)
    status: PodStatusWire = msgspec.field(default_factory=PodStatusWire)


class TaintWire(Wire):
    key: str
    effect: str
    value: str = ""


class NodeSpecWire(Wire):
    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool = False
    taints: tuple[TaintWire, ...] = ()


class NodeStatusWire(Wire):
    capacity: ResourceTexts | None = None
    allocatable: ResourceTexts | None = None
    conditions: tuple[ConditionWire, ...] = ()


class NodeWire(ObjectWire):
    spec: NodeSpecWire = msgspec.field(default_factory=NodeSpecWire)
    status: NodeStatusWire = msgspec.field(default_factory=NodeStatusWire)


class BudgetSpecWire(Wire):
    selector: LabelSelectorWire | None = None


class BudgetStatusWire(Wire):
    disruptions_allowed: Int32 = 0


class BudgetWire(ObjectWire):
    spec: BudgetSpecWire = msgspec.field(default_factory=BudgetSpecWire)
    status: BudgetStatusWire = msgspec.field(default_factory=BudgetStatusWire)


class WorkloadSpecWire(Wire):
    replicas: Int32 | None = None
    parallelism: Int32 | None = None


class WorkloadWire(ObjectWire):
    """ReplicaSet, ReplicationController, StatefulSet or Job: which one, its informer knows."""

    spec: WorkloadSpecWire = msgspec.field(default_factory=WorkloadSpecWire)


class PodTemplateWire(ObjectWire):
    spec: PodSpecWire = msgspec.field(default_factory=PodSpecWire)


class DaemonSetSpecWire(Wire):
    template: PodTemplateWire = msgspec.field(default_factory=PodTemplateWire)


class DaemonSetWire(ObjectWire):
    spec: DaemonSetSpecWire = msgspec.field(default_factory=DaemonSetSpecWire)


class NamespaceWire(ObjectWire):
    """Only its labels are read."""


class LeaseSpecWire(Wire):
    holder_identity: str | None = None
    renew_time: datetime | None = None
    lease_duration_seconds: Int32 | None = None


class LeaseWire(ObjectWire):
    spec: LeaseSpecWire = msgspec.field(default_factory=LeaseSpecWire)
