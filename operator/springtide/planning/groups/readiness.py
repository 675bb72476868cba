"""Readiness: which Node is which instance of which group, and in which state; and whether that is healthy.

Nodes and instances are matched by provider ID and by nothing else: names lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

from springtide.api.settings import HealthSettings
from springtide.cluster.groups import Instance, InstanceState, NodeGroup, Template
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import GroupMemory, PoolView, Snapshot
from springtide.planning.groups.foreign_taints import abandoned_taint
from springtide.planning.groups.passing_taints import is_startup
from springtide.planning.plan import NodeCounts
from springtide.planning.scale_down.utilization import GPU_LABELS, GPU_RESOURCES

HARD_TAINT: Final = "ToBeDeletedByClusterAutoscaler"
SOFT_TAINT: Final = "DeletionCandidateOfClusterAutoscaler"
ACCELERATORS: Final = (
    *GPU_RESOURCES,
    "aws.amazon.com/neuron",
    "aws.amazon.com/neurondevice",
    "aws.amazon.com/neuroncore",
    "google.com/tpu",
)
"""Any of these is what a label of GPU_LABELS announces. Cluster Autoscaler waits for GPUs only, so that nodes with other
accelerators that bear such a label pass for unready there."""
ARRIVAL_TAINTS: Final = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
    }
)
"""Kubernetes puts them on a node that is not ready yet. The controller that takes them off runs behind the Ready
condition, by seconds when many nodes come at once."""
FIRST_STATUS_DELAY: Final = timedelta(minutes=2)
"""A Ready condition that changed later than this after the node's creation says that it was ready before
(Cluster Autoscaler: MaxStatusSettingDelayAfterCreation)."""


class NodeState(StrEnum):
    READY = "Ready"
    UNREADY = "Unready"
    NOT_STARTED = "NotStarted"
    LONG_NOT_STARTED = "LongNotStarted"
    BEING_DELETED = "BeingDeleted"


@dataclass(frozen=True)
class GroupState:
    """One node group with its nodes and instances told apart."""

    pool: PoolView
    group: NodeGroup
    memory: GroupMemory
    nodes: Mapping[NodeState, tuple[NodeRecord, ...]] = field(default_factory=dict)
    unregistered: tuple[Instance, ...] = ()
    """Instances without a Node that are not being deleted."""

    @cached_property
    def key(self) -> tuple[str, str]:
        return (self.pool.name, self.group.id)

    @property
    def registered(self) -> int:
        return sum(len(nodes) for nodes in self.nodes.values())

    def in_state(self, state: NodeState) -> tuple[NodeRecord, ...]:
        return self.nodes.get(state, ())

    @property
    def staying(self) -> int:
        """Nodes that are there and not on their way out."""
        return self.registered - len(self.in_state(NodeState.BEING_DELETED))


@dataclass(frozen=True, slots=True)
class NodeOwner:
    """Where a Node comes from."""

    pool: PoolView
    group: NodeGroup
    instance: Instance


@dataclass(frozen=True)
class Readiness:
    """All groups' states, the origin of every managed node, the state of every node."""

    groups: Mapping[tuple[str, str], GroupState]
    """By (pool, group id), in the order of pools and groups."""
    owners: Mapping[str, NodeOwner]
    """By node name; nodes of no pool are absent."""
    states: Mapping[str, NodeState]
    """By node name: every node of the cluster."""

    def of_pool(self, pool: str) -> Sequence[GroupState]:
        return self._by_pool.get(pool, ())

    @cached_property
    def _by_pool(self) -> Mapping[str, Sequence[GroupState]]:
        by_pool: dict[str, list[GroupState]] = {}
        for (pool, _), state in self.groups.items():
            by_pool.setdefault(pool, []).append(state)
        return by_pool


UNMANAGED_STARTUP_TIME: Final = timedelta(minutes=15)
"""Nodes of no pool: Cluster Autoscaler's default of --max-node-startup-time."""


def assess(snapshot: Snapshot) -> Readiness:
    """Match nodes to instances and sort them into states. Linear in nodes plus instances."""
    owner_of = {
        instance.provider_id: NodeOwner(pool, group, instance)
        for pool in snapshot.pools
        for group in pool.groups
        for instance in group.instances
        if instance.provider_id
    }
    owners: dict[str, NodeOwner] = {}
    states: dict[str, NodeState] = {}
    members: dict[tuple[str, str], dict[NodeState, list[NodeRecord]]] = {}
    matched: set[str] = set()
    for node in snapshot.picture.nodes:
        owner = owner_of.get(node.provider_id) if node.provider_id else None
        state = _state(node, owner, snapshot=snapshot)
        states[node.name] = state
        if owner is not None:
            owners[node.name] = owner
            matched.add(node.provider_id)
            key = (owner.pool.name, owner.group.id)
            members.setdefault(key, {}).setdefault(state, []).append(node)
    groups = {
        (pool.name, group.id): _group_state(
            pool, group, members=members.get((pool.name, group.id), {}), matched=matched
        )
        for pool in snapshot.pools
        for group in pool.groups
    }
    return Readiness(groups=groups, owners=owners, states=states)


def node_state(
    node: NodeRecord, *, template: Template | None, now: datetime, startup_time: timedelta
) -> NodeState:
    """The state of a node that is not on its way out."""
    if node.ready and not waits_to_start(node, template=template):
        return NodeState.READY
    young = node.created_at + startup_time > now
    if node.ready and not _startup_tainted(node, template=template):
        # Only devices are missing, or Kubernetes has not lifted its own taints yet. At a young node that passes; at an
        # old one the template promises too much, or the plugin died. Neither makes the node unready.
        return NodeState.NOT_STARTED if young else NodeState.READY
    if not _was_ready_before(node, template=template):
        return NodeState.NOT_STARTED if young else NodeState.LONG_NOT_STARTED
    return NodeState.UNREADY


def waits_to_start(node: NodeRecord, *, template: Template | None) -> bool:
    """Whether a node that reports Ready is not yet what its template promises: taints of its start are still there,
    or devices (GPUs) have not appeared. Pods promised to it would otherwise cause a second purchase."""
    if _startup_tainted(node, template=template) or any(taint.key in ARRIVAL_TAINTS for taint in node.taints):
        return True
    promised = template.allocatable if template is not None else {}
    if any(
        "/" in name and amount > 0 and not node.allocatable.get(name) for name, amount in promised.items()
    ):
        return True
    # The label says that there will be accelerators, whatever the template knows.
    return any(label in node.labels for label in GPU_LABELS) and not any(
        node.allocatable.get(name) for name in ACCELERATORS
    )


def being_deleted(node: NodeRecord) -> bool:
    """Whether somebody (we, Cluster Autoscaler, a human) has decided that the node goes."""
    return node.deletion_timestamp is not None or any(taint.key == HARD_TAINT for taint in node.taints)


def counts(state: GroupState, *, long_unregistered: int) -> NodeCounts:
    """The group's buckets; `long_unregistered` of the unregistered instances are overdue."""
    return NodeCounts(
        ready=len(state.in_state(NodeState.READY)),
        unready=len(state.in_state(NodeState.UNREADY)),
        not_started=len(state.in_state(NodeState.NOT_STARTED)),
        long_not_started=len(state.in_state(NodeState.LONG_NOT_STARTED)),
        registered=state.registered,
        unregistered=len(state.unregistered) - long_unregistered,
        long_unregistered=long_unregistered,
        being_deleted=len(state.in_state(NodeState.BEING_DELETED)),
    )


def total(parts: Iterable[NodeCounts]) -> NodeCounts:
    """The buckets of several groups together."""
    known = tuple(parts)
    return NodeCounts(
        **{name: sum(getattr(part, name) for part in known) for name in NodeCounts.__dataclass_fields__}
    )


def cluster_unready(states: Iterable[NodeState]) -> tuple[int, int]:
    """(unready, all) over nodes that are not on their way out; nodes still starting are not unready."""
    staying = [state for state in states if state is not NodeState.BEING_DELETED]
    unready = sum(state in (NodeState.UNREADY, NodeState.LONG_NOT_STARTED) for state in staying)
    return unready, len(staying)


def healthy(unready: int, *, of: int, settings: HealthSettings) -> bool:
    """Cluster Autoscaler's test: unhealthy only when both the number and the share are exceeded."""
    return unready <= settings.ok_unready_count or unready * 100 <= settings.max_unready_percent * of


# --- pieces ----------------------------------------------------------------------------------------------------


def _state(node: NodeRecord, owner: NodeOwner | None, *, snapshot: Snapshot) -> NodeState:
    if node.name in snapshot.removals:
        return NodeState.BEING_DELETED
    # A node that nobody is removing (any more) stays: its pods need no place elsewhere.
    if being_deleted(node) and (owner is None or abandoned_taint(node, snapshot) is None):
        return NodeState.BEING_DELETED
    if owner is None:
        return node_state(node, template=None, now=snapshot.now, startup_time=UNMANAGED_STARTUP_TIME)
    if owner.instance.state is InstanceState.DELETING:
        return NodeState.BEING_DELETED
    return node_state(
        node,
        template=owner.group.template,
        now=snapshot.now,
        startup_time=owner.pool.settings.scale_up.max_node_startup_time,
    )


def _group_state(
    pool: PoolView,
    group: NodeGroup,
    *,
    members: Mapping[NodeState, Sequence[NodeRecord]],
    matched: set[str],
) -> GroupState:
    return GroupState(
        pool=pool,
        group=group,
        memory=pool.memory.get(group.id, GroupMemory()),
        nodes={state: tuple(nodes) for state, nodes in members.items()},
        unregistered=tuple(
            instance
            for instance in group.instances
            if instance.state is not InstanceState.DELETING and instance.provider_id not in matched
        ),
    )


def _startup_tainted(node: NodeRecord, *, template: Template | None) -> bool:
    return any(is_startup(taint.key, template) for taint in node.taints)


def _was_ready_before(node: NodeRecord, *, template: Template | None) -> bool:
    if _startup_tainted(node, template=template) or node.ready_changed_at is None:
        return False
    return node.ready_changed_at - node.created_at > FIRST_STATUS_DELAY
