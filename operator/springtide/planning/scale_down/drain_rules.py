"""Drain rules: may this pod be evicted to free its node? Cluster Autoscaler's rules in its order; the first that
has an answer decides.

The order is part of the contract: a missing controller keeps the node even for a pod annotated safe-to-evict,
and safe-to-evict=true makes the rules below it, PodDisruptionBudgets included, irrelevant here (the Eviction API
still enforces the budgets).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

from springtide.api.settings import ScaleDownSettings
from springtide.cluster.annotations import DO_NOT_DISRUPT, SAFE_TO_EVICT, SAFE_TO_EVICT_LOCAL_VOLUMES
from springtide.cluster.records import OwnerReference, PodPhase, PodRecord, Workload
from springtide.cluster.shape import PodShape
from springtide.planning.plan import PodBlock
from springtide.planning.scale_down.budgets import BudgetIndex

LONG_TERMINATING: Final = timedelta(seconds=30)
"""So long after its grace period a pod counts as gone (Cluster Autoscaler: PodLongTerminatingExtraThreshold)."""

_COUNTED_KINDS: Final = frozenset({"ReplicationController", "ReplicaSet"})
"""Controllers whose replicas are compared with minReplicaCount; StatefulSets are not, as in Cluster Autoscaler."""
_KNOWN_KINDS: Final = _COUNTED_KINDS | {"StatefulSet", "Job"}
_SYSTEM_NAMESPACE: Final = "kube-system"
_RUNNING: Final = PodPhase.RUNNING
_ENDED: Final = (PodPhase.SUCCEEDED, PodPhase.FAILED)


class DrainOutcome(StrEnum):
    """What becomes of a pod when its node goes; values as in Cluster Autoscaler."""

    MOVES = "Undefined"
    """No rule has an objection: it is evicted and started again elsewhere."""
    DRAIN_OK = "DrainOk"
    """A rule says so expressly."""
    SKIP = "SkipDrain"
    """It need not be evicted: a mirror pod, or as good as gone."""
    WAITS = "WaitForCompletion"
    """The node stays until it ends by itself."""
    BLOCKS = "BlockDrain"


_Class = tuple[object, ...]
"""Shape, owner, annotations, local volumes: pods that share these are alike to all rules."""


@dataclass(frozen=True, slots=True)
class PodVerdict:
    outcome: DrainOutcome
    block: PodBlock | None = None
    detail: str = ""


# Every verdict that does not block is one of these very objects: they are told apart by identity, which is cheap.
_MOVES: Final = PodVerdict(DrainOutcome.MOVES)
_OK: Final = PodVerdict(DrainOutcome.DRAIN_OK)
_SKIP: Final = PodVerdict(DrainOutcome.SKIP)
_WAITS: Final = PodVerdict(DrainOutcome.WAITS)


@dataclass(frozen=True, slots=True)
class DrainContext:
    """What the rules look at besides the pod."""

    now: datetime
    workloads: Mapping[str, Workload]
    """By uid: every controller that exists."""
    budgets: BudgetIndex
    settings: ScaleDownSettings
    known: dict[_Class, PodVerdict] = field(default_factory=dict, compare=False, repr=False)
    """The verdicts given so far, by all that the rules look at."""


@dataclass(frozen=True)
class NodeDrain:
    """What draining a node means for its pods; with a blocking pod the lists end where it stands."""

    to_evict: tuple[PodRecord, ...] = ()
    daemon_pods: tuple[PodRecord, ...] = ()
    waiting_for: tuple[PodRecord, ...] = ()
    blocking_pod: PodRecord | None = None
    verdict: PodVerdict | None = None
    """The blocking pod's."""

    @cached_property
    def moving(self) -> tuple[PodRecord, ...]:
        """The pods that need a place elsewhere, sooner or later."""
        return (*self.to_evict, *self.waiting_for)

    @cached_property
    def alike(self) -> tuple[tuple[PodShape, tuple[PodRecord, ...]], ...]:
        """The pods that move by shape, the largest first: the hardest to place choose first."""
        by_shape: dict[PodShape, list[PodRecord]] = {}
        for pod in self.moving:
            by_shape.setdefault(pod.shape, []).append(pod)
        shapes = sorted(by_shape, key=_size, reverse=True)
        return tuple((shape, tuple(by_shape[shape])) for shape in shapes)


def node_drain(pods: Iterable[PodRecord], *, context: DrainContext) -> NodeDrain:
    """Apply the rules to all pods of a node, up to the first that blocks."""
    to_evict: list[PodRecord] = []
    daemons: list[PodRecord] = []
    waiting: list[PodRecord] = []
    blocker: tuple[PodRecord, PodVerdict] | None = None
    for pod in pods:
        verdict = pod_verdict(pod, context=context)
        if verdict is _MOVES:
            to_evict.append(pod)
        elif verdict is _OK:
            (daemons if pod.is_daemon else to_evict).append(pod)
        elif verdict is _WAITS:
            waiting.append(pod)
        elif verdict is not _SKIP:
            blocker = (pod, verdict)
            break
    return NodeDrain(
        to_evict=tuple(to_evict),
        daemon_pods=tuple(daemons),
        waiting_for=tuple(waiting),
        blocking_pod=blocker[0] if blocker else None,
        verdict=blocker[1] if blocker else None,
    )


def pod_verdict(pod: PodRecord, *, context: DrainContext) -> PodVerdict:
    """The answer of the first rule that has one. Asked once for all the pods that are alike."""
    owner, annotations = pod.owner, pod.annotations
    alike = (
        pod.shape,
        *((owner.uid, owner.kind, owner.api_version) if owner is not None else ()),
        tuple(annotations.items()) if annotations else (),
        pod.local_volumes,
    )
    # Most pods are like this; the others are looked at more closely.
    plain = pod.phase is _RUNNING and pod.deletion_timestamp is None and not pod.own_labels
    if not plain and _is_particular(pod, context):
        return _judged(pod, context)
    verdict = context.known.get(alike)
    if verdict is None:
        verdict = _judged(pod, context)
        if pod.namespace != _SYSTEM_NAMESPACE:
            context.known[alike] = verdict
    return verdict


def _is_particular(pod: PodRecord, context: DrainContext) -> bool:
    """Whether the answer may hang on what the pod shares with no other: its times, its end, labels of its own. (So it
    does in the system's namespace, where age counts.)"""
    return (
        pod.deletion_timestamp is not None
        or pod.phase in _ENDED
        or (bool(pod.own_labels) and context.budgets.looks_at(pod.own_labels))
    )


def _judged(pod: PodRecord, context: DrainContext) -> PodVerdict:
    for rule in _RULES:
        verdict = rule(pod, context)
        if verdict is not None:
            return verdict
    return _MOVES


def long_terminating(pod: PodRecord, *, now: datetime) -> bool:
    """Whether the pod should have been gone for a while already.

    The grace period is added although deletionTimestamp includes it: so does Cluster Autoscaler, and waiting a
    little longer than needed is the safe side.
    """
    if pod.deletion_timestamp is None:
        return False
    return _lingers_until(pod, pod.deletion_timestamp) < now


def _lingers_until(pod: PodRecord, deleted: datetime) -> datetime:
    return deleted + timedelta(seconds=pod.termination_grace_seconds) + LONG_TERMINATING


def instants(pods: Iterable[PodRecord], *, context: DrainContext) -> Iterator[datetime]:
    """The last instants at which the rules say of these pods what they say now; nothing else hangs on the clock."""
    for pod in pods:
        if pod.deletion_timestamp is not None and not long_terminating(pod, now=context.now):
            yield _lingers_until(pod, pod.deletion_timestamp)
        if pod.namespace == _SYSTEM_NAMESPACE and pod.created_at is not None:
            blocks_until = pod.created_at + context.settings.system_pod_block_timeout
            if blocks_until >= context.now:
                yield blocks_until


def _size(shape: PodShape) -> tuple[int, int, int]:
    return (len(shape.requests), shape.requests.get("cpu", 0), shape.requests.get("memory", 0))


def terminal(pod: PodRecord) -> bool:
    """Whether the pod has ended for good. Succeeded with restartPolicy Always has not: the kubelet restarts it."""
    if pod.phase is PodPhase.FAILED:
        return True
    return pod.phase is PodPhase.SUCCEEDED and pod.restart_policy in ("Never", "OnFailure")


# --- the rules, in order ---------------------------------------------------------------------------------------


def _blocks(block: PodBlock, detail: str) -> PodVerdict:
    return PodVerdict(DrainOutcome.BLOCKS, block, detail)


def _mirror(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _SKIP if pod.is_mirror else None


def _gone_soon(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _SKIP if long_terminating(pod, now=context.now) else None


def _replica_count(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    # Cluster Autoscaler switches the whole rule off, missing controllers included, with this setting.
    if not context.settings.skip_nodes_with_custom_controller_pods or pod.owner is None:
        return None
    kind = pod.owner.kind
    if not _is_builtin(pod.owner) or (kind != "DaemonSet" and (pod.is_daemon or kind not in _KNOWN_KINDS)):
        return None
    workload = context.workloads.get(pod.owner.uid)
    if workload is None:
        return _blocks(PodBlock.CONTROLLER_NOT_FOUND, f"{kind} {pod.namespace}/{pod.owner.name} is gone")
    least = context.settings.min_replica_count
    if kind in _COUNTED_KINDS and workload.replicas < least:
        return _blocks(
            PodBlock.MIN_REPLICAS_REACHED,
            f"{kind} {workload.namespace}/{workload.name} has {workload.replicas} replicas, minReplicaCount {least}",
        )
    return None


def _is_builtin(owner: OwnerReference) -> bool:
    """Whether Kubernetes itself has this controller. OpenKruise, for one, has a StatefulSet of its own."""
    group, _, version = owner.api_version.rpartition("/")
    return bool(version) and group in ("", "apps", "batch", "extensions")


def _do_not_disrupt(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    # Karpenter's annotation, of which Cluster Autoscaler knows nothing: before every rule that would say yes,
    # since of two annotations that contradict each other the cautious one is meant.
    if pod.annotations.get(DO_NOT_DISRUPT) == "true" and not terminal(pod):
        return _blocks(PodBlock.DO_NOT_DISRUPT, f"annotation {DO_NOT_DISRUPT}=true")
    return None


def _daemon(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _OK if pod.is_daemon else None


def _safe(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _OK if pod.annotations.get(SAFE_TO_EVICT) == "true" else None


def _terminal(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _OK if terminal(pod) else None


def _on_completion(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    return _WAITS if pod.annotations.get(SAFE_TO_EVICT) == "on-completion" else None


def _replicated(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    if pod.owner is None:
        return _blocks(PodBlock.NOT_REPLICATED, "no controller would start it again")
    if context.settings.skip_nodes_with_custom_controller_pods and pod.owner.kind not in _KNOWN_KINDS:
        return _blocks(PodBlock.NOT_REPLICATED, f"controller of unknown kind {pod.owner.kind}")
    return None


def _system(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    settings = context.settings
    if not settings.skip_nodes_with_system_pods or pod.namespace != _SYSTEM_NAMESPACE:
        return None
    if context.budgets.covering(pod):
        return None
    if pod.created_at is not None and pod.created_at + settings.system_pod_block_timeout < context.now:
        return _OK
    return _blocks(PodBlock.SYSTEM_POD, "kube-system pod without a PodDisruptionBudget")


def _not_safe(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    if pod.annotations.get(SAFE_TO_EVICT) == "false":
        return _blocks(PodBlock.NOT_SAFE_TO_EVICT, f"annotation {SAFE_TO_EVICT}=false")
    return None


def _local_storage(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    if not context.settings.skip_nodes_with_local_storage or not pod.local_volumes:
        return None
    # Not trimmed: "a, b" names the volume " b", as in Cluster Autoscaler.
    safe = pod.annotations.get(SAFE_TO_EVICT_LOCAL_VOLUMES, "").split(",")
    lost = [name for name in pod.local_volumes if name not in safe]
    if lost:
        return _blocks(PodBlock.LOCAL_STORAGE, f"volume {lost[0]} would be lost")
    return None


def _budget(pod: PodRecord, context: DrainContext) -> PodVerdict | None:
    for budget in context.budgets.covering(pod):
        if budget.disruptions_allowed < 1:
            return _blocks(
                PodBlock.NOT_ENOUGH_PDB,
                f"PodDisruptionBudget {budget.namespace}/{budget.name} allows no disruption",
            )
    return None


_RULES: Final[tuple[Callable[[PodRecord, DrainContext], PodVerdict | None], ...]] = (
    _mirror,
    _gone_soon,
    _replica_count,
    _do_not_disrupt,
    _daemon,
    _safe,
    _terminal,
    _on_completion,
    _replicated,
    _system,
    _not_safe,
    _local_storage,
    _budget,
)
