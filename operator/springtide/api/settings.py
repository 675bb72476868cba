"""How pools behave: the settings that an AutoscalerPolicy gives and a NodePool may override.

Frozen dataclasses with native types (timedelta, int), so that planning can carry them about; the docstring
under each field is what `kubectl explain` shows. The overrides are derived from the same classes, so the two
never drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import ConfigDict, Field, StringConstraints

from springtide.api.model import CONFIG, Overrides, overrides_of
from springtide.api.rules import Rule, no_longer
from springtide.api.scalars import (
    LIST_SET,
    Count,
    Duration,
    Flag,
    Percent,
    PositiveCount,
    PositiveDuration,
    Priority,
    ShortText,
    unique,
)

TaintKeys = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=317)], ...],
    Field(max_length=32, json_schema_extra=LIST_SET),
    unique(singular="taint"),
]


class Mode(StrEnum):
    """Whether Springtide may act."""

    ACTIVE = "Active"
    DRY_RUN = "DryRun"
    PAUSED = "Paused"


class Expander(StrEnum):
    """How one of several possible purchases is chosen."""

    RANDOM = "random"
    MOST_PODS = "most-pods"
    LEAST_WASTE = "least-waste"
    LEAST_NODES = "least-nodes"
    PRICE = "price"
    PRIORITY = "priority"
    LEAST_COST = "least-cost"


class ForeignTaints(StrEnum):
    """What is done about hard taints that a Cluster Autoscaler left behind when it died or was replaced."""

    IGNORE = "Ignore"
    CLEAN_UP = "CleanUp"
    TAKE_OVER = "TakeOver"


@dataclass(frozen=True, kw_only=True)
class BackoffSettings:
    """How long a node group is left alone after a purchase failed."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=no_longer("initial", "max"),
            wrong="initial is longer than max",
            remedy="shorten initial or lengthen max",
            holds=lambda backoff: (
                backoff.initial is None or backoff.max is None or backoff.initial <= backoff.max
            ),
        ),
    )

    initial: PositiveDuration = timedelta(minutes=5)
    """Wait after the first failure; doubled by each further one. Cluster Autoscaler:
    --initial-node-group-backoff-duration."""

    max: PositiveDuration = timedelta(minutes=30)
    """The wait never gets longer than this. Cluster Autoscaler: --max-node-group-backoff-duration."""

    reset: PositiveDuration = timedelta(hours=3)
    """Without a failure for so long, the next wait is initial again. Cluster Autoscaler:
    --node-group-backoff-reset-timeout."""


@dataclass(frozen=True, kw_only=True)
class ScaleUpSettings:
    """When and how nodes are bought."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    rules: ClassVar[tuple[Rule, ...]] = ()

    new_pod_delay: Duration = timedelta(0)
    """A pod younger than this causes no purchase; gives a controller time to withdraw pods it created in
    error. A pod's annotation cluster-autoscaler.kubernetes.io/pod-scale-up-delay can only lengthen it.
    Cluster Autoscaler: --new-pod-scale-up-delay."""

    max_node_provision_time: PositiveDuration = timedelta(minutes=15)
    """From the purchase until the node must be registered in Kubernetes. After that the purchase counts as
    failed: what is still missing is cancelled, an instance that never registered is removed, and the node
    group backs off. Cluster Autoscaler: --max-node-provision-time."""

    max_node_startup_time: PositiveDuration = timedelta(minutes=15)
    """A registered node younger than this is still starting; older and not ready, it counts as unready.
    Cluster Autoscaler: --max-node-startup-time."""

    max_nodes_per_pass: PositiveCount = 1000
    """Most nodes bought for one pool in one pass; the rest waits for the next. Cluster Autoscaler:
    --max-nodes-per-scaleup."""

    backoff: BackoffSettings = BackoffSettings()
    """How long a node group is left alone after a purchase failed (no capacity, quota, launch failure,
    timeout)."""

    expendable_pods_priority_cutoff: Priority = -10
    """Pods of a lower priority cause no purchase and keep no node. Cluster Autoscaler:
    --expendable-pods-priority-cutoff."""

    bypassed_schedulers: Annotated[
        tuple[ShortText, ...],
        Field(max_length=16, json_schema_extra=LIST_SET),
        unique(singular="scheduler"),
    ] = ()
    """Schedulers (spec.schedulerName) whose pods count as pending at once, without waiting until the
    scheduler marked them unschedulable. Cluster Autoscaler: --bypassed-scheduler-names."""

    allowed_schedulers: Annotated[
        tuple[ShortText, ...],
        Field(max_length=16, json_schema_extra=LIST_SET),
        unique(singular="scheduler"),
    ] = ()
    """If any are given, pods of other schedulers (spec.schedulerName) cause no purchase. Cluster Autoscaler:
    --allowed-scheduler-names."""

    startup_taints: TaintKeys = ()
    """Keys of taints that something takes off while a node starts; one that ends in / stands for all keys
    that begin with it. They keep no pod from being planned on a new node, and a node that still carries
    one counts as not started. Those of startup-taint.cluster-autoscaler.kubernetes.io/ always do. Cluster
    Autoscaler: --startup-taint, --startup-taint-prefix."""

    status_taints: TaintKeys = ()
    """Keys of taints that say how a node is for the moment; one that ends in / stands for all keys that
    begin with it. The node counts as ready, and new nodes are not expected to carry them. Those of
    status-taint.cluster-autoscaler.kubernetes.io/ always do. Cluster Autoscaler: --status-taint."""

    atomic: Flag = False
    """Whether each node group has either no node or its maximum: it is bought as a whole or not at all, and
    given back when all of its nodes can go (e.g. multi-host accelerators). Cluster Autoscaler: node group
    option ZeroOrMaxNodeScaling."""

    from_zero: Flag = True
    """Whether a node group without any node may grow. Cluster Autoscaler: --scale-up-from-zero."""


@dataclass(frozen=True, kw_only=True)
class ScaleDownSettings:
    """When and how nodes are given back."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    rules: ClassVar[tuple[Rule, ...]] = ()

    enabled: Flag = True
    """Whether nodes are given back at all. Cluster Autoscaler: --scale-down-enabled."""

    unready_enabled: Flag = True
    """Whether unready nodes are given back. Cluster Autoscaler: --scale-down-unready-enabled."""

    utilization_threshold_percent: Percent = 50
    """A node is under-used when the larger of requested CPU and requested memory, in percent of what is
    allocatable, is at most this. Cluster Autoscaler: --scale-down-utilization-threshold (there as a
    fraction)."""

    gpu_utilization_threshold_percent: Percent = 50
    """The same for nodes with GPUs, of which only the GPUs count. Cluster Autoscaler:
    --scale-down-gpu-utilization-threshold."""

    unneeded_time: Duration = timedelta(minutes=10)
    """How long a node must be unneeded, without a gap, before it is removed. Cluster Autoscaler:
    --scale-down-unneeded-time."""

    unready_time: Duration = timedelta(minutes=20)
    """How long an unready node must be unneeded before it is removed. Cluster Autoscaler:
    --scale-down-unready-time."""

    delay_after_add: Duration = timedelta(minutes=10)
    """No removal within this time after a purchase for the same pool. Cluster Autoscaler:
    --scale-down-delay-after-add."""

    delay_after_delete: Duration = timedelta(0)
    """No removal starts within this time after a node of the same pool was removed. Cluster Autoscaler:
    --scale-down-delay-after-delete."""

    delay_after_failure: Duration = timedelta(minutes=3)
    """No removal within this time after one of the same pool failed. Cluster Autoscaler:
    --scale-down-delay-after-failure."""

    max_parallel: PositiveCount = 10
    """Most nodes being removed at the same time, in all pools of the policy together. A pool that sets it
    itself is counted alone. Cluster Autoscaler: --max-scale-down-parallelism."""

    max_parallel_drain: PositiveCount = 5
    """Of these, most nodes from which pods must be evicted; empty nodes are limited by maxParallel only. A
    pool that sets it itself is counted alone. Cluster Autoscaler: --max-drain-parallelism (there 1)."""

    max_graceful_termination: Duration = timedelta(minutes=10)
    """Upper bound of the grace a pod gets to end; its own terminationGracePeriodSeconds counts when that
    is shorter. Cluster Autoscaler: --max-graceful-termination-sec."""

    max_pod_eviction_time: Duration = timedelta(minutes=2)
    """How long an eviction that is refused (by a PodDisruptionBudget) is tried again before the removal is
    rolled back. Cluster Autoscaler: --max-pod-eviction-time."""

    max_volume_detach_time: Duration = timedelta(minutes=2)
    """How long a drained node waits until the volumes of its pods are detached, so that they can be attached
    where the pods go; then its instance is terminated regardless. Volumes of pods that stay (DaemonSets) do
    not count. Cluster Autoscaler does not wait, Karpenter without end."""

    skip_nodes_with_system_pods: Flag = True
    """Whether a pod in namespace kube-system without a PodDisruptionBudget keeps its node. DaemonSet and
    mirror pods never do. Cluster Autoscaler: --skip-nodes-with-system-pods."""

    system_pod_block_timeout: Duration = timedelta(hours=1)
    """With skipNodesWithSystemPods: a kube-system pod older than this no longer keeps its node. Cluster
    Autoscaler: --blocking-system-pod-distruption-timeout."""

    skip_nodes_with_local_storage: Flag = True
    """Whether a pod with a hostPath volume, or an emptyDir that is not in memory, keeps its node. Volumes
    listed in the pod's annotation cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes do not
    count. Cluster Autoscaler: --skip-nodes-with-local-storage."""

    skip_nodes_with_custom_controller_pods: Flag = True
    """Whether a pod keeps its node when its controller is neither ReplicationController, ReplicaSet,
    StatefulSet nor Job. Cluster Autoscaler: --skip-nodes-with-custom-controller-pods."""

    min_replica_count: Count = 0
    """A pod whose controller wants fewer replicas than this keeps its node. Cluster Autoscaler:
    --min-replica-count."""

    ignore_daemon_sets_utilization: Flag = False
    """Whether DaemonSet pods are left out when a node's utilization is computed. Cluster Autoscaler:
    --ignore-daemonsets-utilization."""

    ignore_mirror_pods_utilization: Flag = False
    """Whether mirror pods (static pods of the kubelet) are left out when a node's utilization is computed.
    Cluster Autoscaler: --ignore-mirror-pods-utilization."""

    foreign_taints: ForeignTaints = ForeignTaints.CLEAN_UP
    """What is done about a taint ToBeDeletedByClusterAutoscaler that is older than 30 minutes and not ours, while
    no Cluster Autoscaler holds its Lease. CleanUp, the default: it is taken off, as Cluster Autoscaler itself does
    when it starts; nothing is removed. TakeOver: the node is watched anew for unneededTime, then removed by the
    rules of this policy; if it is needed, the taint is taken off. Ignore: it stays. A cordon is never taken off:
    nobody can tell whether Cluster Autoscaler or a human set it. Whatever is chosen, condition Degraded tells of
    such nodes, and in modes DryRun and Paused that is all."""

    daemon_set_eviction_for_empty_nodes: Flag = False
    """Whether DaemonSet pods are evicted gracefully from a node without other pods. The annotation
    cluster-autoscaler.kubernetes.io/enable-ds-eviction on a pod overrides it. Cluster Autoscaler:
    --daemonset-eviction-for-empty-nodes."""

    daemon_set_eviction_for_occupied_nodes: Flag = True
    """Whether DaemonSet pods are evicted gracefully from a node with other pods, after those. The annotation
    cluster-autoscaler.kubernetes.io/enable-ds-eviction on a pod overrides it. Cluster Autoscaler:
    --daemonset-eviction-for-occupied-nodes."""


@dataclass(frozen=True, kw_only=True)
class HealthSettings:
    """When so many nodes are unready that nothing is bought or removed."""

    __pydantic_config__: ClassVar[ConfigDict] = CONFIG
    rules: ClassVar[tuple[Rule, ...]] = ()

    max_unready_percent: Percent = 45
    """Unhealthy when a larger share of the nodes than this is unready (and more than okUnreadyCount of
    them). Cluster Autoscaler: --max-total-unready-percentage."""

    ok_unready_count: Count = 3
    """So many unready nodes are always fine. Cluster Autoscaler: --ok-total-unready-count."""


if TYPE_CHECKING:

    class ScaleUpOverrides(Overrides):
        """Any field of ScaleUpSettings, optional."""

    class ScaleDownOverrides(Overrides):
        """Any field of ScaleDownSettings, optional."""

else:
    ScaleUpOverrides = overrides_of(ScaleUpSettings)
    ScaleDownOverrides = overrides_of(ScaleDownSettings)

MODE_STRICTNESS: Final = {Mode.ACTIVE: 0, Mode.DRY_RUN: 1, Mode.PAUSED: 2}
"""Of a pool's mode and its policy's, the stricter one is in force."""
