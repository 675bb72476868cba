"""The marks we leave on nodes (taints, cordon, annotations): how to read them, and the patches that set and lift them.

Pure functions. Every patch is a JSON merge patch guarded by the resourceVersion it was computed from, so it is all or
nothing, and never overwrites what somebody else changed in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from springtide.actuation.ports import NodeObject
from springtide.actuation.removal_record import (
    RemovalRecord,
    UnreadableRecord,
    load_record,
)
from springtide.api.nodepool import HARD_TAINT, SOFT_TAINT
from springtide.cluster.annotations import DELAY_DELETION_PREFIX, REMOVAL, SCALE_DOWN_DISABLED
from springtide.cluster.records import NodeRecord, Taint, TaintEffect
from springtide.cluster.snapshot import RemovalInFlight

UNNEEDED_SINCE_ANNOTATION: Final = "springtide.dev/unneeded-since"
"""Unix seconds, equal to the soft taint's value: only then the taint is ours, and its time can be trusted."""


Patch = Mapping[str, Any]

_SOFT: Final = TaintEffect.PREFER_NO_SCHEDULE


class Withdrawn(Exception):
    """The node may not be removed (any more): somebody said so on the Node itself."""


# --- reading records -------------------------------------------------------------------------------------------


def removal_of(node: NodeRecord) -> RemovalInFlight | None:
    """The removal of ours that this node's annotation tells of, hard taint or not."""
    if REMOVAL not in node.annotations:
        return None  # nearly every node, and every pass asks this of all
    try:
        record = load_record(node.annotations)
    except UnreadableRecord:
        return RemovalInFlight(node=node.name, pool="", group="", phase="Unreadable", since=node.created_at)
    if record is None:
        return None
    return in_flight(node.name, record)


def in_flight(node: str, record: RemovalRecord) -> RemovalInFlight:
    return RemovalInFlight(
        node=node,
        pool=record.pool,
        group=record.group,
        phase=record.phase,
        since=record.since,
        deadline=record.deadline,
        reason=record.reason,
    )


def unneeded_since(node: NodeRecord) -> datetime | None:
    """Since when the node is unneeded, by the soft taint; None unless it is there and we wrote it."""
    written = node.annotations.get(UNNEEDED_SINCE_ANNOTATION)
    if not written:
        return None  # nearly every node, and every pass asks this of all
    return next((taint.since for taint in node.taints if taint == Taint(SOFT_TAINT, written, _SOFT)), None)


# --- reading Node objects --------------------------------------------------------------------------------------


def uid_of(node: NodeObject) -> str:
    return str(node["metadata"].get("uid", ""))


def annotations_of(node: NodeObject) -> Mapping[str, str]:
    return node["metadata"].get("annotations") or {}


def has_hard_taint(node: NodeObject) -> bool:
    return any(taint["key"] == HARD_TAINT for taint in _taints(node))


def says_ready(node: NodeObject) -> bool:
    """Whether the Node's Ready condition is True: its kubelet says so, and has not fallen silent."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def is_deletion_delayed(node: NodeObject) -> bool:
    return any(key.startswith(DELAY_DELETION_PREFIX) for key in annotations_of(node))


# --- hard marks ------------------------------------------------------------------------------------------------


def begin_removal(node: NodeObject, record: RemovalRecord, *, takes_over: str = "") -> Patch | None:
    """Hard taint, cordon and annotation in one patch; None when they are there already, ours. Raises Withdrawn.

    `takes_over`: value of the hard taint of another autoscaler that ours replaces.
    """
    if uid_of(node) != record.node_uid:
        raise Withdrawn("it is another node of the same name")
    _refuse_protected(node)
    present = _readable_record(node)
    if present is not None and present.identity == record.identity and has_hard_taint(node):
        return None
    foreign = [taint for taint in _taints(node) if taint["key"] == HARD_TAINT]
    if present is not None or any(not takes_over or taint.get("value") != takes_over for taint in foreign):
        raise Withdrawn("it is being removed already, by another plan or another autoscaler")
    record = msgspec.structs.replace(record, cordoned_by_us=not node.get("spec", {}).get("unschedulable"))
    taint = {
        "key": HARD_TAINT,
        "value": _unix_seconds(record.since),
        "effect": TaintEffect.NO_SCHEDULE.value,
    }
    spec: dict[str, Any] = {"taints": [*(_without(node, HARD_TAINT) or ()), taint]}
    if record.cordoned_by_us:
        spec["unschedulable"] = True
    return _guarded(node, annotations={REMOVAL: record.dump()}, spec=spec)


def enter_phase(node: NodeObject, record: RemovalRecord) -> Patch | None:
    """Write the record's phase; None when it stands there. Raises Withdrawn when the marks were touched."""
    if uid_of(node) != record.node_uid:
        raise Withdrawn("it is another node of the same name")
    present = _readable_record(node)
    if present is None or present.identity != record.identity or not has_hard_taint(node):
        raise Withdrawn("its hard taint or removal annotation was taken off")
    _refuse_protected(node)
    if present.phase is record.phase:
        return None
    return _guarded(node, annotations={REMOVAL: record.dump()})


def undo_removal(node: NodeObject, record: RemovalRecord | None) -> Patch | None:
    """Take off exactly what begin_removal put on for this record; None when nothing of it is there.

    With None: for an annotation that nobody can read. It does not tell who cordoned, so the node stays cordoned.
    """
    if REMOVAL not in annotations_of(node):
        return None
    present = _readable_record(node)
    if present is not None and (record is None or present.identity != record.identity):
        return None
    spec: dict[str, Any] = {}
    if has_hard_taint(node):
        spec["taints"] = _without(node, HARD_TAINT)
    if present is not None and present.cordoned_by_us and node.get("spec", {}).get("unschedulable"):
        spec["unschedulable"] = None
    return _guarded(node, annotations={REMOVAL: None}, spec=spec)


def lift_foreign_taint(node: NodeObject, value: str) -> Patch | None:
    """Take off the hard taint of this value that another autoscaler left, and nothing else: whether it or a human
    cordoned the node, nobody can tell. None when there is no such taint, or a removal of ours has begun."""
    foreign = [taint for taint in _taints(node) if taint["key"] == HARD_TAINT]
    if REMOVAL in annotations_of(node) or not foreign or any(t.get("value") != value for t in foreign):
        return None
    return _guarded(node, annotations={}, spec={"taints": _without(node, HARD_TAINT)})


# --- soft marks ------------------------------------------------------------------------------------------------


def set_soft_taint(node: NodeObject, since: datetime) -> Patch | None:
    """Say that the node is unneeded since then; None when it says so already."""
    value = _unix_seconds(since)
    soft = [taint for taint in _taints(node) if taint["key"] == SOFT_TAINT]
    wanted = {"key": SOFT_TAINT, "value": value, "effect": _SOFT.value}
    if soft == [wanted] and annotations_of(node).get(UNNEEDED_SINCE_ANNOTATION) == value:
        return None
    return _guarded(
        node,
        annotations={UNNEEDED_SINCE_ANNOTATION: value},
        spec={"taints": [*(_without(node, SOFT_TAINT) or ()), wanted]},
    )


def lift_soft_taint(node: NodeObject) -> Patch | None:
    """Take the soft taint off, also one that Cluster Autoscaler left behind: its node is needed."""
    annotated = UNNEEDED_SINCE_ANNOTATION in annotations_of(node)
    tainted = any(taint["key"] == SOFT_TAINT for taint in _taints(node))
    if not annotated and not tainted:
        return None
    return _guarded(
        node,
        annotations={UNNEEDED_SINCE_ANNOTATION: None} if annotated else {},
        spec={"taints": _without(node, SOFT_TAINT)} if tainted else {},
    )


def release_soft_taint(node: NodeObject) -> Patch | None:
    """Take the soft taint off only if we wrote it: what others left on a node we no longer manage is theirs."""
    return lift_soft_taint(node) if UNNEEDED_SINCE_ANNOTATION in annotations_of(node) else None


# --- details ---------------------------------------------------------------------------------------------------


def _guarded(node: NodeObject, *, annotations: Patch, spec: Patch | None = None) -> Patch:
    metadata: dict[str, Any] = {"resourceVersion": node["metadata"]["resourceVersion"]}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"metadata": metadata, "spec": dict(spec)} if spec else {"metadata": metadata}


def _taints(node: NodeObject) -> Sequence[Mapping[str, Any]]:
    return node.get("spec", {}).get("taints") or ()


def _without(node: NodeObject, key: str) -> list[Mapping[str, Any]] | None:
    # None (JSON null) removes the field; an empty list would stay behind as a trace of us.
    return [taint for taint in _taints(node) if taint["key"] != key] or None


def _readable_record(node: NodeObject) -> RemovalRecord | None:
    try:
        return load_record(annotations_of(node))
    except UnreadableRecord:
        return None


def _refuse_protected(node: NodeObject) -> None:
    if annotations_of(node).get(SCALE_DOWN_DISABLED) == "true":
        raise Withdrawn(f"annotation {SCALE_DOWN_DISABLED} was set")


def _unix_seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))
