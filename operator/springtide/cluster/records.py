"""Slim records of the Kubernetes objects that decisions read: immutable, decoded once, shared by every pass.

Units: cpu in milli, every other resource in whole units (bytes, pieces), rounded up as the scheduler does.
Times are timezone-aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.mounts import NO_MOUNTS, Mounts

Resources = Mapping[str, int]
"""Resource name -> amount (cpu in milli, everything else in whole units). "pods" is a resource of nodes."""


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: TaintEffect

    @property
    def since(self) -> datetime | None:
        """The moment that the value names, as autoscalers write it: unix seconds. None: it is no such number."""
        if not self.value.isascii() or not self.value.isdigit() or len(self.value) > 11:
            return None
        return datetime.fromtimestamp(int(self.value), tz=UTC)


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """The controlling owner (ownerReferences entry with controller: true)."""

    api_version: str
    kind: str
    name: str
    uid: str


class PodPhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class PodRecord:
    """One pod. What the scheduler cannot tell apart is in `shape`, shared by all pods alike."""

    uid: str
    namespace: str
    name: str
    shape: PodShape
    created_at: datetime | None
    phase: PodPhase = PodPhase.PENDING
    node_name: str = ""
    nominated_node_name: str = ""
    owner: OwnerReference | None = None
    scheduler_name: str = "default-scheduler"
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Only the keys that mean something to us (see cluster.annotations)."""
    restart_policy: str = "Always"
    termination_grace_seconds: int = 30
    deletion_timestamp: datetime | None = None
    deletion_grace_seconds: int | None = None
    local_volumes: tuple[str, ...] = ()
    """Names of volumes that die with the node: hostPath, and emptyDir not in memory."""
    unschedulable_since: datetime | None = None
    """Last transition to PodScheduled=False, reason Unschedulable."""
    gated: bool = False
    """Held by scheduling gates: not pending for us."""
    own_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of this pod alone (its index, its Job's uid), which its shape leaves out."""
    mounts: Mounts = NO_MOUNTS
    """Claims and disks by name. What they ask of a node is in the shape once volumes are resolved: informers' records
    have shapes without it, pictures' records have it (see cluster.volumes.book)."""

    @property
    def labels(self) -> Mapping[str, str]:
        """All labels of the pod: what selectors must be matched with."""
        if not self.own_labels:
            return self.shape.labels
        return {**self.shape.labels, **self.own_labels}

    @property
    def key(self) -> str:
        """namespace/name, as users write it."""
        return f"{self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)

    @property
    def is_mirror(self) -> bool:
        """A static pod's mirror: only the kubelet can end it."""
        return "kubernetes.io/config.mirror" in self.annotations

    @property
    def is_daemon(self) -> bool:
        if self.annotations.get("cluster-autoscaler.kubernetes.io/daemonset-pod") == "true":
            return True
        return self.owner is not None and self.owner.kind == "DaemonSet"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One Node object."""

    name: str
    uid: str
    created_at: datetime
    provider_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Only the keys that mean something to us (see cluster.annotations)."""
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    capacity: Resources = field(default_factory=dict)
    allocatable: Resources = field(default_factory=dict)
    ready: bool = False
    ready_changed_at: datetime | None = None
    """Last transition of the Ready condition; None if the kubelet never reported."""
    deletion_timestamp: datetime | None = None
    volume_limits: Mapping[str, int] = field(default_factory=dict)
    """CSI driver -> how many of its volumes can be attached, from the CSINode of the same name; drivers that set no
    limit, or have not registered yet, are left out."""


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """A PodDisruptionBudget with the numbers the disruption controller last wrote."""

    namespace: str
    name: str
    selector: LabelSelector | None
    """None selects nothing (policy/v1: an absent selector matches no pod)."""
    disruptions_allowed: int = 0


@dataclass(frozen=True, slots=True)
class Workload:
    """A controller of pods: ReplicaSet, ReplicationController, StatefulSet, Job or DaemonSet."""

    kind: str
    namespace: str
    name: str
    uid: str
    replicas: int = 0
    """Desired replicas (Job: parallelism). 0 for DaemonSets."""


@dataclass(frozen=True, slots=True)
class DaemonSetRecord:
    """A DaemonSet, with the shape its pods will have: what every new node must carry."""

    workload: Workload
    shape: PodShape


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A Namespace: selectors of pod (anti-)affinity may choose it by its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A coordination.k8s.io Lease; used to see whether Cluster Autoscaler is alive."""

    namespace: str
    name: str
    holder: str
    renewed_at: datetime | None
    duration_seconds: int
