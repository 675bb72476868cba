"""Objects that cannot be read: what stands in for them, so that one of them neither hides the others nor is forgotten.

The API server checks what it stores, but a newer one knows operators, effects and types that this release does not.
Stand-ins err on the safe side: a pod that keeps its node, a node on which nothing is placed and which is not removed, a
disruption budget that allows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from springtide.api.foreign_text import shown
from springtide.cluster.annotations import SCALE_DOWN_DISABLED
from springtide.cluster.decode import moment
from springtide.cluster.records import DisruptionBudget, NodeRecord, PodPhase, PodRecord, Taint, TaintEffect
from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.wire import MetaWire, NodeStatusWire, PodSpecWire, PodStatusWire, Wire

W = TypeVar("W", bound=Wire)

MAX_REASON: Final = 300
UNREADABLE: Final = "springtide.dev/unreadable"
"""Taint of a node that could not be read; it is in our picture only, never in the cluster."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PHASES: Final = {phase.value: phase for phase in PodPhase}

StandIn = Callable[[Mapping[str, Any]], Any]
"""From the decoded JSON of an object to a record. Must bear anything."""


def reason_of(error: Exception) -> str:
    """Why an object cannot be read, in one line."""
    return shown(str(error), at_most=MAX_REASON) or type(error).__name__


def metadata_of(manifest: object) -> MetaWire:
    """As much of an object's metadata as can be read; its name and namespace above all."""
    metadata = _mapping(_mapping(manifest).get("metadata"))
    whole = _part(metadata, MetaWire)
    if whole is not None:
        return whole
    return MetaWire(
        name=_text(metadata.get("name")),
        namespace=_text(metadata.get("namespace")),
        uid=_text(metadata.get("uid")),
        resource_version=_text(metadata.get("resourceVersion")),
    )


def pod(manifest: Mapping[str, Any], *, shapes: ShapeTable) -> PodRecord:
    """A pod of which nobody knows what it needs: no node is bought for it, and the node it is on stays."""
    meta = metadata_of(manifest)
    spec = _mapping(manifest.get("spec"))
    status = _part(manifest.get("status"), PodStatusWire) or PodStatusWire()
    labels = meta.labels or {}
    return PodRecord(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        shape=shapes.intern(PodSpecWire(), namespace=meta.namespace, labels=labels, unreadable=True),
        created_at=moment(meta.creation_timestamp),
        phase=_PHASES.get(status.phase, PodPhase.PENDING),
        node_name=_text(spec.get("nodeName")),
        deletion_timestamp=moment(meta.deletion_timestamp),
        # So that it is told of among the stuck pods, and not passed over as one the scheduler has not tried.
        unschedulable_since=None if spec.get("nodeName") else (moment(meta.creation_timestamp) or _EPOCH),
    )


def node(manifest: Mapping[str, Any]) -> NodeRecord:
    """A node that is there, so that its instance counts as registered; nothing is placed on it, and it is not removed."""
    meta, spec = metadata_of(manifest), _mapping(manifest.get("spec"))
    status = _part(manifest.get("status"), NodeStatusWire) or NodeStatusWire()
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return NodeRecord(
        name=meta.name,
        uid=meta.uid,
        created_at=moment(meta.creation_timestamp) or _EPOCH,
        provider_id=_text(spec.get("providerID")),
        labels=meta.labels or {},
        annotations={SCALE_DOWN_DISABLED: "true"},
        taints=(Taint(UNREADABLE, "", TaintEffect.NO_SCHEDULE),),
        ready=ready is not None and ready.status == "True",
        ready_changed_at=moment(ready.last_transition_time) if ready is not None else None,
        deletion_timestamp=moment(meta.deletion_timestamp),
    )


def disruption_budget(manifest: Mapping[str, Any]) -> DisruptionBudget:
    """A budget over all pods of its namespace that allows no disruption."""
    meta = metadata_of(manifest)
    return DisruptionBudget(namespace=meta.namespace, name=meta.name, selector=LabelSelector())


def _part(value: object, kind: type[W]) -> W | None:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
