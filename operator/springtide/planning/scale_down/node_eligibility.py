"""Which nodes could be given back at all: a look at each node alone, in Cluster Autoscaler's order of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from springtide.api.budgets import RemovalReason
from springtide.api.nodepool import HARD_TAINT
from springtide.api.settings import ForeignTaints, Mode
from springtide.cluster.annotations import SCALE_DOWN_DISABLED
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import PoolView
from springtide.planning.groups.readiness import NodeOwner, NodeState
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import BlockReason, NodeVerdict
from springtide.planning.scale_down.drain_rules import DrainContext, NodeDrain, node_drain
from springtide.planning.scale_down.utilization import LeftOut, Utilization, utilization

_UID: Final = attrgetter("uid")
_STAYS: Final = frozenset({None})
"""The deletion timestamps of pods that are not on their way out."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A node that nothing on itself keeps: whether it goes depends on the others."""

    node: NodeRecord
    owner: NodeOwner
    state: NodeState
    utilization: float
    drain: NodeDrain
    expendable: tuple[PodRecord, ...]
    """Pods below the priority cutoff: evicted, but nobody looks for a place for them."""

    @property
    def key(self) -> GroupKey:
        return (self.owner.pool.name, self.owner.group.id)

    @property
    def pool(self) -> PoolView:
        return self.owner.pool

    @property
    def is_ready(self) -> bool:
        return self.state is NodeState.READY

    @property
    def is_empty(self) -> bool:
        return not self.drain.to_evict and not self.drain.waiting_for

    @property
    def reason(self) -> RemovalReason:
        """Why it would be removed."""
        if not self.is_ready:
            return RemovalReason.UNREADY
        return RemovalReason.EMPTY if self.is_empty else RemovalReason.UNDERUTILIZED

    @property
    def moving(self) -> tuple[PodRecord, ...]:
        """The pods that need a place elsewhere, sooner or later."""
        return self.drain.moving

    @property
    def evicted(self) -> tuple[PodRecord, ...]:
        """The pods that are evicted when it goes, but for those of DaemonSets."""
        return (*self.drain.to_evict, *self.expendable)

    def verdict(
        self, block: BlockReason | None = None, *, detail: str = "", pod: PodRecord | None = None
    ) -> NodeVerdict:
        """A verdict on this node, with what is known of it."""
        return NodeVerdict(
            node=self.node.name,
            pool=self.pool.name,
            group=self.owner.group.id,
            utilization=self.utilization,
            block=block,
            pod=pod.key if pod is not None else "",
            detail=detail,
        )


def examine(
    node: NodeRecord,
    *,
    owner: NodeOwner | None,
    state: NodeState,
    pods: Sequence[PodRecord],
    context: DrainContext | None,
    promised: bool,
    known: Utilization | None = None,
) -> Spare | NodeVerdict:
    """The node if it is spare, else what keeps it.

    `promised`: pending pods have been placed on it. `context` carries the settings of the node's
    pool; None for a node of no pool. `known`: its utilization with every pod counted, if it is known.
    """
    if owner is None or context is None:
        return NodeVerdict(node=node.name, pool="", group="", block=BlockReason.NOT_AUTOSCALED)
    kept = _kept_by_itself(node, owner=owner, state=state)
    if kept is not None:
        return _verdict(node, owner, *kept)
    cutoff = owner.pool.settings.scale_up.expendable_pods_priority_cutoff
    used = known if known is not None and _all_count(pods, context) else _used(node, pods, cutoff, context)
    if used is None:
        return _verdict(node, owner, BlockReason.NOT_UNDERUTILIZED, "nothing is allocatable")
    busy = _busy(used, owner=owner, promised=promised)
    if busy:
        return _verdict(node, owner, BlockReason.NOT_UNDERUTILIZED, busy, utilization=used.value)
    # In an order of their own: which pod is named, and which goes where, must not hang on how they were listed.
    counting = sorted([pod for pod in pods if pod.shape.priority >= cutoff], key=_UID)
    drain = node_drain(counting, context=context)
    pinned = _pinned(node, owner, drain, used.value)
    if pinned is not None:
        return pinned
    return Spare(
        node=node,
        owner=owner,
        state=state,
        utilization=used.value,
        drain=drain,
        expendable=tuple(pod for pod in pods if pod.shape.priority < cutoff and not pod.is_daemon)
        if len(counting) < len(pods)
        else (),
    )


def _all_count(pods: Sequence[PodRecord], context: DrainContext) -> bool:
    """Whether no pod is left out of the node's utilization (the expendable ones never are in it)."""
    if context.settings.ignore_daemon_sets_utilization or context.settings.ignore_mirror_pods_utilization:
        return False
    return {pod.deletion_timestamp for pod in pods} <= _STAYS


def _used(
    node: NodeRecord, pods: Sequence[PodRecord], cutoff: int, context: DrainContext
) -> Utilization | None:
    return utilization(
        node,
        [pod for pod in pods if pod.shape.priority >= cutoff],
        now=context.now,
        left_out=LeftOut(
            daemon_pods=context.settings.ignore_daemon_sets_utilization,
            mirror_pods=context.settings.ignore_mirror_pods_utilization,
        ),
    )


def _kept_by_itself(
    node: NodeRecord, *, owner: NodeOwner, state: NodeState
) -> tuple[BlockReason, str] | None:
    pool = owner.pool
    answers = (
        (state is NodeState.BEING_DELETED, BlockReason.CURRENTLY_BEING_DELETED, ""),
        (pool.left_alone, BlockReason.LEFT_ALONE, ""),
        (pool.mode is Mode.PAUSED, BlockReason.PAUSED, ""),
        (
            node.annotations.get(SCALE_DOWN_DISABLED) == "true",
            BlockReason.SCALE_DOWN_DISABLED_ANNOTATION,
            f"annotation {SCALE_DOWN_DISABLED}=true",
        ),
        (
            pool.settings.scale_down.foreign_taints is not ForeignTaints.TAKE_OVER
            and any(taint.key == HARD_TAINT for taint in node.taints),
            BlockReason.FOREIGN_TAINT,
            f"taint {HARD_TAINT} of a Cluster Autoscaler that is gone",
        ),
        (not pool.settings.scale_down.enabled, BlockReason.SCALE_DOWN_DISABLED, "scaleDown.enabled is false"),
        (state is NodeState.NOT_STARTED, BlockReason.NOT_STARTED, ""),
        (
            state is not NodeState.READY and not pool.settings.scale_down.unready_enabled,
            BlockReason.SCALE_DOWN_UNREADY_DISABLED,
            "it is unready, and scaleDown.unreadyEnabled is false",
        ),
    )
    return next(((block, detail) for holds, block, detail in answers if holds), None)


def _busy(used: Utilization, *, owner: NodeOwner, promised: bool) -> str:
    """Why the node is not under-used; empty: it is. At the threshold it is, as in Cluster Autoscaler's code."""
    settings = owner.pool.settings.scale_down
    percent = settings.utilization_threshold_percent
    if used.is_gpu:
        percent = settings.gpu_utilization_threshold_percent
    threshold = percent / 100
    # Written so that "not a number" counts as busy.
    if not used.value <= threshold:
        return f"{used.resource} utilization {used.value:.2f} > {threshold:.2f}"
    return "pending pods are about to run here" if promised else ""


def _pinned(node: NodeRecord, owner: NodeOwner, drain: NodeDrain, used: float) -> NodeVerdict | None:
    """The verdict on a node that one of its pods keeps."""
    if drain.blocking_pod is not None and drain.verdict is not None:
        return NodeVerdict(
            node=node.name,
            pool=owner.pool.name,
            group=owner.group.id,
            utilization=used,
            block=BlockReason.BLOCKED_BY_POD,
            pod=drain.blocking_pod.key,
            pod_block=drain.verdict.block,
            detail=drain.verdict.detail,
        )
    for pod in drain.moving:
        if pod.shape.unmodelled:
            return NodeVerdict(
                node=node.name,
                pool=owner.pool.name,
                group=owner.group.id,
                utilization=used,
                block=BlockReason.NOT_MODELLED,
                pod=pod.key,
                detail=_constraints(pod.shape),
            )
    return None


def _constraints(shape: PodShape) -> str:
    names = ", ".join(constraint.value for constraint in shape.unmodelled)
    return f"where it could go is not simulated: {names}"


def _verdict(
    node: NodeRecord,
    owner: NodeOwner,
    block: BlockReason,
    detail: str,
    *,
    utilization: float | None = None,
) -> NodeVerdict:
    return NodeVerdict(
        node=node.name,
        pool=owner.pool.name,
        group=owner.group.id,
        utilization=utilization,
        block=block,
        detail=detail,
    )
