"""Notes: what there is to say of an outcome, once, for log line and events alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from springtide.actuation.outcome import (
    CancellationDone,
    CancellationFailed,
    EvictionBlocked,
    ForeignTaintFailed,
    ForeignTaintLifted,
    InstanceLost,
    NodeDeleted,
    Outcome,
    PodEvicted,
    PurchaseAcknowledged,
    PurchaseDeferred,
    PurchaseFailed,
    PurchaseRefused,
    RemovalDone,
    RemovalDraining,
    RemovalFailed,
    RemovalResumed,
    RemovalRolledBack,
    RemovalStarted,
    RemovalSuspended,
    RemovalTainted,
    RemovalTerminating,
    SoftTaintFailed,
    UnregisteredFailed,
    UnregisteredTerminated,
    VolumesNotDetached,
)
from springtide.cluster.records import PodRecord
from springtide.reporting.phrases import elapsed, nodes_count, pods_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to say, and of whom."""

    message: str
    reason: str
    """Event reason: stable, CamelCase, Cluster Autoscaler's where it has one."""
    level: int = logging.INFO
    """WARNING and above make the event a Warning."""
    plan_id: str = ""
    pool: str = ""
    """An event on this NodePool, when not empty."""
    node: str = ""
    """An event on this Node, when not empty."""
    pods: tuple[PodRecord, ...] = ()
    """An event on each of these."""
    pod_message: str = ""
    """For the pods, where it differs from `message`."""
    pod_reason: str = ""
    """The same for `reason`."""
    decides: bool = True
    """Whether it is a decision on the pool, which its status shows as the last one."""
    log: bool = True
    """Whether it is worth a log line of its own."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Numbers for the JSON log."""


@singledispatch
def note_of(outcome: Outcome) -> Note | None:
    """The note of an outcome; None when there is nothing worth saying."""
    return None


def _group(outcome: Outcome) -> str:
    return f"{outcome.pool}/{outcome.group}"


@note_of.register
def _(outcome: PurchaseAcknowledged) -> Note:
    change = f"{_group(outcome)} {outcome.before}->{outcome.target} (max {outcome.max_size})"
    return Note(
        message=f"scale-up: {change} for {pods_count(len(outcome.pods))}"
        if outcome.pods
        else f"scale-up: {change} to reach the minimum",
        reason="ScaledUpGroup",
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        pods=outcome.pods,
        pod_message=f"pod triggered scale-up: {change}",
        pod_reason="TriggeredScaleUp",
        fields={
            "group": outcome.group,
            "from": outcome.before,
            "to": outcome.target,
            "max": outcome.max_size,
        },
    )


@note_of.register
def _(outcome: PurchaseDeferred) -> Note:
    message = f"scale-up of {_group(outcome)} waits for the next pass: {outcome.message}"
    if not outcome.fault:
        return Note(message=message, reason="ScaleUpDeferred", plan_id=outcome.plan_id)
    return Note(
        message=message,
        reason="ScaleUpDeferred",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        decides=False,
    )


@note_of.register
def _(outcome: PurchaseRefused) -> Note:
    return _failed_scale_up(outcome, outcome.message)


@note_of.register
def _(outcome: PurchaseFailed) -> Note:
    lost = " (its answer was lost; the next listing tells)" if outcome.ambiguous else ""
    return _failed_scale_up(outcome, outcome.message + lost)


def _failed_scale_up(outcome: PurchaseRefused | PurchaseFailed, message: str) -> Note:
    return Note(
        message=f"scale-up of {_group(outcome)} {outcome.from_target}->{outcome.to_target} failed: {message}",
        reason="FailedToScaleUpGroup",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        fields={"group": outcome.group, "from": outcome.from_target, "to": outcome.to_target},
    )


@note_of.register
def _(outcome: CancellationDone) -> Note:
    return Note(
        message=f"gave up {nodes_count(outcome.before - outcome.after)} of {_group(outcome)} "
        f"({outcome.before}->{outcome.after}): {outcome.failure}: {outcome.message}",
        reason="ScaleUpFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        fields={"group": outcome.group, "from": outcome.before, "to": outcome.after},
    )


@note_of.register
def _(outcome: CancellationFailed) -> Note:
    return Note(
        message=f"could not lower the target of {_group(outcome)} to {outcome.to_target}: {outcome.message}",
        reason="FailedToRevertScaleUp",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
    )


@note_of.register
def _(outcome: UnregisteredTerminated) -> Note:
    return Note(
        message=f"terminated {', '.join(outcome.instances)} of {_group(outcome)}: {outcome.message}",
        reason="DeleteUnregistered",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
    )


@note_of.register
def _(outcome: UnregisteredFailed) -> Note:
    return Note(
        message=f"could not terminate {', '.join(outcome.instances)} of {_group(outcome)}: {outcome.message}",
        reason="DeleteUnregisteredFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
    )


@note_of.register
def _(outcome: RemovalStarted) -> Note:
    unneeded = elapsed(outcome.at - outcome.unneeded_since)
    moving = f", {pods_count(outcome.pods)} to move" if outcome.pods else ""
    return Note(
        message=f"removing node {outcome.node}: {outcome.reason}, utilization {outcome.utilization:.3f}, "
        f"unneeded for {unneeded}{moving}",
        reason="ScaleDown",
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        node=outcome.node,
        fields={"node": outcome.node, "utilization": round(outcome.utilization, 4), "pods": outcome.pods},
    )


@note_of.register
def _(outcome: RemovalResumed) -> Note:
    message = f"going on with the removal of node {outcome.node}, begun {outcome.since:%Y-%m-%dT%H:%M:%SZ}"
    return Note(message=f"{message}, in phase {outcome.phase}", reason="ScaleDown", plan_id=outcome.plan_id)


@note_of.register
def _(outcome: RemovalTainted) -> Note:
    how = "tainted and cordoned" if outcome.cordoned else "tainted (it was cordoned already)"
    return Note(message=f"node {outcome.node} {how}", reason="ScaleDown", plan_id=outcome.plan_id)


@note_of.register
def _(outcome: RemovalDraining) -> Note | None:
    if not outcome.pods:
        return None
    message = f"draining node {outcome.node}: {pods_count(outcome.pods)}"
    return Note(message=message, reason="ScaleDown", plan_id=outcome.plan_id)


@note_of.register
def _(outcome: PodEvicted) -> Note:
    return Note(
        message=f"evicted pod {outcome.pod.key} from node {outcome.node}",
        reason="ScaleDown",
        plan_id=outcome.plan_id,
        pods=(outcome.pod,),
        pod_message=f"deleting pod for node scale down of {outcome.node}",
        fields={"node": outcome.node, "pod": outcome.pod.key},
    )


@note_of.register
def _(outcome: EvictionBlocked) -> Note:
    return Note(
        message=f"eviction of pod {outcome.pod.key} from node {outcome.node} refused: {outcome.message}",
        reason="ScaleDownFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pods=(outcome.pod,),
        fields={"node": outcome.node, "pod": outcome.pod.key},
    )


@note_of.register
def _(outcome: VolumesNotDetached) -> Note:
    return Note(
        message=f"volumes of node {outcome.node} are not detached, its instance is terminated all the same: "
        f"{outcome.message}",
        reason="VolumesNotDetached",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        node=outcome.node,
        fields={"node": outcome.node, "instance": outcome.instance},
    )


@note_of.register
def _(outcome: RemovalTerminating) -> Note:
    return Note(
        message=f"terminating instance {outcome.instance} of {_group(outcome)} (node {outcome.node})",
        reason="ScaleDown",
        plan_id=outcome.plan_id,
        node=outcome.node,
        fields={"node": outcome.node, "instance": outcome.instance},
    )


@note_of.register
def _(outcome: NodeDeleted) -> Note:
    return Note(
        message=f"deleted Node {outcome.node}: instance {outcome.instance} has been off for "
        f"{elapsed(outcome.outlived)}, and no node controller of the cloud has deleted it",
        reason="DeletedNode",
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        decides=False,
        fields={"node": outcome.node, "instance": outcome.instance},
    )


@note_of.register
def _(outcome: RemovalDone) -> Note:
    return Note(
        message=f"node {outcome.node} removed from {_group(outcome)} in {elapsed(outcome.took)}",
        reason="ScaledDownNode",
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        fields={"node": outcome.node, "seconds": round(outcome.took.total_seconds(), 1)},
    )


def _who(pod: PodRecord | None) -> str:
    return f"pod {pod.key}: " if pod is not None else ""


@note_of.register
def _(outcome: RemovalRolledBack) -> Note:
    return Note(
        message=f"removal of node {outcome.node} undone: {outcome.reason}: {_who(outcome.pod)}{outcome.message}",
        reason="ScaleDownFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        node=outcome.node,
        pods=(outcome.pod,) if outcome.pod else (),
        fields={"node": outcome.node},
    )


@note_of.register
def _(outcome: RemovalSuspended) -> Note:
    message = f"removal of node {outcome.node} is suspended: {outcome.message}"
    return Note(message=message, reason="ScaleDown", plan_id=outcome.plan_id)


@note_of.register
def _(outcome: RemovalFailed) -> Note:
    again = f"; tried again at {outcome.retry_at:%H:%M:%S}Z" if outcome.retry_at else ""
    return Note(
        message=f"removal of node {outcome.node} failed in phase {outcome.phase}: {outcome.message}{again}",
        reason="ScaleDownFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        node=outcome.node,
        fields={"node": outcome.node, "failures": outcome.failures},
    )


@note_of.register
def _(outcome: SoftTaintFailed) -> Note:
    message = f"could not change the soft taint of node {outcome.node}: {outcome.message}"
    return Note(message=message, reason="ScaleDownFailed", level=logging.WARNING, plan_id=outcome.plan_id)


@note_of.register
def _(outcome: InstanceLost) -> Note:
    node = f" (node {outcome.node})" if outcome.node else ""
    return Note(
        message=f"instance {outcome.instance} of {_group(outcome)}{node} was taken away, not by Springtide: "
        f"{outcome.cause}: {outcome.message}",
        reason="InstanceLost",
        level=logging.WARNING,
        pool=outcome.pool,
        node=outcome.node,
        decides=False,
        fields={"group": outcome.group, "instance": outcome.instance, "cause": outcome.cause.value},
    )


@note_of.register
def _(outcome: ForeignTaintLifted) -> Note:
    message = f"took the hard taint off node {outcome.node} that a Cluster Autoscaler had left there"
    if outcome.cordoned:
        message += "; it is cordoned and stays so: kubectl uncordon it, if no human did that"
    return Note(
        message=message,
        reason="ForeignTaintLifted",
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        node=outcome.node,
        decides=False,
        fields={"node": outcome.node},
    )


@note_of.register
def _(outcome: ForeignTaintFailed) -> Note:
    message = f"could not take a foreign taint off node {outcome.node}: {outcome.message}"
    return Note(
        message=message,
        reason="ForeignTaintFailed",
        level=logging.WARNING,
        plan_id=outcome.plan_id,
        pool=outcome.pool,
        decides=False,
    )
