"""From wire structs to records: what informers store and decisions read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern

from springtide.cluster.annotations import kept_annotations
from springtide.cluster.pod_constraints import label_selector
from springtide.cluster.quantity import parse_amount
from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    LeaseRecord,
    NamespaceRecord,
    NodeRecord,
    OwnerReference,
    PodPhase,
    PodRecord,
    Resources,
    Taint,
    TaintEffect,
    Workload,
)
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.volumes.decode import mounts
from springtide.cluster.wire import (
    BudgetWire,
    ConditionWire,
    DaemonSetWire,
    LeaseWire,
    MetaWire,
    NamespaceWire,
    NodeWire,
    PodSpecWire,
    PodWire,
    ResourceTexts,
    TolerationWire,
    VolumeWire,
    WorkloadWire,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Times before the epoch and after this are moved there: what is added to them or taken from them must not leave the
calendar, which would end the pass. Kubelets write conditions with whatever clock they have."""
_LONGEST_GRACE_SECONDS = 366 * 24 * 3600
"""The API server accepts terminationGracePeriodSeconds of 292 billion years."""
_NO_LABELS: Mapping[str, str] = {}
_PHASES = {phase.value: phase for phase in PodPhase} | {"": PodPhase.PENDING}

_EVERY_DAEMON_POD_TOLERATES = tuple(
    TolerationWire(key=f"node.kubernetes.io/{name}", operator="Exists", effect=effect)
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
)
"""Added by the DaemonSet controller to each pod (AddOrUpdateDaemonPodTolerations of kubernetes v1.36)."""

_HOST_NETWORK_DAEMON_POD_TOLERATES = TolerationWire(
    key="node.kubernetes.io/network-unavailable", operator="Exists", effect="NoSchedule"
)


def pod_record(wire: PodWire, shapes: ShapeTable) -> PodRecord:
    """One pod; its shape is interned in `shapes`."""
    meta, spec, status = wire.metadata, wire.spec, wire.status
    owner = _controller(meta)
    labels = meta.labels or _NO_LABELS
    shape = shapes.intern(
        spec,
        namespace=meta.namespace,
        labels=labels,
        status=status,
        pinned_to=spec.node_name if owner is not None and owner.kind == "DaemonSet" else "",
    )
    grace = spec.termination_grace_period_seconds
    return PodRecord(
        uid=meta.uid,
        namespace=intern(meta.namespace),
        name=meta.name,
        shape=shape,
        own_labels=_own_labels(labels, shape.labels),
        created_at=moment(meta.creation_timestamp),
        phase=_PHASES.get(status.phase, PodPhase.UNKNOWN),
        node_name=intern(spec.node_name),
        nominated_node_name=status.nominated_node_name,
        owner=owner,
        scheduler_name=intern(spec.scheduler_name),
        annotations=kept_annotations(meta.annotations),
        restart_policy=intern(spec.restart_policy),
        termination_grace_seconds=30 if grace is None else max(0, min(grace, _LONGEST_GRACE_SECONDS)),
        deletion_timestamp=moment(meta.deletion_timestamp),
        deletion_grace_seconds=meta.deletion_grace_period_seconds,
        local_volumes=_local_volumes(spec.volumes),
        unschedulable_since=_unschedulable_since(status.conditions),
        gated=bool(spec.scheduling_gates),
        mounts=mounts(spec.volumes, pod_name=meta.name),
    )


def node_record(wire: NodeWire) -> NodeRecord:
    """One node."""
    meta, spec, status = wire.metadata, wire.spec, wire.status
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return NodeRecord(
        name=intern(meta.name),
        uid=meta.uid,
        created_at=moment(meta.creation_timestamp) or _EPOCH,
        provider_id=spec.provider_id,
        labels={intern(name): intern(value) for name, value in (meta.labels or {}).items()},
        annotations=kept_annotations(meta.annotations),
        taints=tuple(_taint(taint.key, taint.value, taint.effect) for taint in spec.taints),
        unschedulable=spec.unschedulable,
        capacity=_amounts(status.capacity),
        allocatable=_amounts(status.allocatable),
        ready=ready is not None and ready.status == "True",
        ready_changed_at=moment(ready.last_transition_time) if ready is not None else None,
        deletion_timestamp=moment(meta.deletion_timestamp),
    )


def disruption_budget(wire: BudgetWire) -> DisruptionBudget:
    """One PodDisruptionBudget."""
    return DisruptionBudget(
        namespace=intern(wire.metadata.namespace),
        name=wire.metadata.name,
        selector=label_selector(wire.spec.selector),
        disruptions_allowed=wire.status.disruptions_allowed,
    )


def workload(wire: WorkloadWire, *, kind: str) -> Workload:
    """One controller of pods. Absent replicas are 1, which is what the API server would have stored."""
    wanted = wire.spec.parallelism if kind == "Job" else wire.spec.replicas
    return _workload(wire.metadata, kind=kind, replicas=1 if wanted is None else wanted)


def daemon_set_record(wire: DaemonSetWire, shapes: ShapeTable) -> DaemonSetRecord:
    """One DaemonSet with the shape of the pods it will make: its template plus what its controller adds."""
    template, namespace = wire.spec.template, wire.metadata.namespace
    spec = template.spec
    added = _EVERY_DAEMON_POD_TOLERATES
    if spec.host_network:
        added = (*added, _HOST_NETWORK_DAEMON_POD_TOLERATES)
    daemon_spec = _with_tolerations(spec, added)
    shape = shapes.intern(daemon_spec, namespace=namespace, labels=template.metadata.labels or _NO_LABELS)
    return DaemonSetRecord(workload=_workload(wire.metadata, kind="DaemonSet", replicas=0), shape=shape)


def namespace_record(wire: NamespaceWire) -> NamespaceRecord:
    """A namespace."""
    return NamespaceRecord(name=intern(wire.metadata.name), labels=wire.metadata.labels or _NO_LABELS)


def lease_record(wire: LeaseWire) -> LeaseRecord:
    """One Lease."""
    return LeaseRecord(
        namespace=wire.metadata.namespace,
        name=wire.metadata.name,
        holder=wire.spec.holder_identity or "",
        renewed_at=moment(wire.spec.renew_time),
        duration_seconds=wire.spec.lease_duration_seconds or 0,
    )


def _workload(meta: MetaWire, *, kind: str, replicas: int) -> Workload:
    return Workload(
        kind=kind, namespace=intern(meta.namespace), name=meta.name, uid=meta.uid, replicas=replicas
    )


def _with_tolerations(spec: PodSpecWire, added: tuple[TolerationWire, ...]) -> PodSpecWire:
    new = tuple(toleration for toleration in added if toleration not in spec.tolerations)
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return PodSpecWire(**{**fields, "tolerations": (*spec.tolerations, *new)})


def _own_labels(labels: Mapping[str, str], shared: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) == len(shared):
        return _NO_LABELS
    return {name: value for name, value in labels.items() if name not in shared}


def _controller(meta: MetaWire) -> OwnerReference | None:
    for owner in meta.owner_references:
        if owner.controller:
            return _owner(owner.api_version, owner.kind, owner.name, owner.uid)
    return None


# The pods of one controller share one reference, the nodes of one pool share their taints.
@lru_cache(maxsize=32768)
def _owner(api_version: str, kind: str, name: str, uid: str) -> OwnerReference:
    return OwnerReference(api_version=api_version, kind=kind, name=name, uid=uid)


@lru_cache(maxsize=4096)
def _taint(key: str, value: str, effect: str) -> Taint:
    return Taint(key=key, value=value, effect=TaintEffect(effect))


def _local_volumes(volumes: tuple[VolumeWire, ...]) -> tuple[str, ...]:
    return tuple(intern(volume.name) for volume in volumes if volume.dies_with_node)


def _unschedulable_since(conditions: tuple[ConditionWire, ...]) -> datetime | None:
    for condition in conditions:
        if condition.type == "PodScheduled":
            unschedulable = condition.status == "False" and condition.reason == "Unschedulable"
            return (moment(condition.last_transition_time) or _EPOCH) if unschedulable else None
    return None


def moment(time: datetime | None) -> datetime | None:
    """The time, or the nearest one that may be reckoned with."""
    if time is None or _EPOCH <= time <= _LATEST:
        return time
    return _EPOCH if time < _EPOCH else _LATEST


def _amounts(texts: ResourceTexts | None) -> Resources:
    return {intern(name): parse_amount(name, text) for name, text in (texts or {}).items()}
