"""What became of a plan: one frozen value for each thing that was done, refused or failed. Reporting renders them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from springtide.cluster.groups import FailureClass, LossCause
from springtide.cluster.records import PodRecord
from springtide.planning.plan import PurchaseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What all outcomes say."""

    at: datetime
    pool: str
    group: str = ""
    plan_id: str = ""
    """The plan that asked for it; stays the same over a restart of the operator."""


# --- purchases -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseOutcome(Outcome):
    """Something happened to the raise of a group's target."""

    from_target: int
    to_target: int
    max_size: int
    reason: PurchaseReason
    pods: tuple[PodRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseStarted(PurchaseOutcome):
    """The cloud is being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseAcknowledged(PurchaseOutcome):
    """The cloud accepted: the target is `target` now, and was `before` at the fresh read."""

    before: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseDeferred(PurchaseOutcome):
    """Not sent: another change of the same group is under way, or it could not be written down first. The next pass
    decides again."""

    message: str
    fault: bool = False
    """True: something is wrong, and it may take a human to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRefused(PurchaseOutcome):
    """The cloud said no (bounds, state, credentials); nothing was bought."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseFailed(PurchaseOutcome):
    """The call failed. `ambiguous`: its answer was lost twice, the next listing tells whether it had its effect."""

    message: str
    ambiguous: bool = False


# --- targets lowered -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationDone(Outcome):
    """Capacity that no instance fulfilled was given up: the target went from `before` to `after`."""

    before: int
    after: int
    failure: FailureClass
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationFailed(Outcome):
    to_target: int
    failure: FailureClass
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregisteredTerminated(Outcome):
    """Instances that never became a Node were given back."""

    instances: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregisteredFailed(Outcome):
    """These instances could not be given back, or it is not known whether they were."""

    instances: tuple[str, ...]
    message: str


# --- removals --------------------------------------------------------------------------------------------------


class RollbackReason(StrEnum):
    """Why a removal was undone."""

    NEW_POD = "NewPodOnNode"
    """A pod that the plan did not know, neither of a DaemonSet nor a mirror, is on the node."""
    POD_BLOCKS = "BlockedByPod"
    """A drain rule forbids now what it allowed when the plan was made."""
    EVICTION_REFUSED = "EvictionRefused"
    """A pod could not be evicted within maxPodEvictionTime."""
    PODS_REMAIN = "PodsRemain"
    """An evicted pod was still there when its grace (and 30 s) was over."""
    TERMINATE_REFUSED = "TerminateRefused"
    """The cloud would not terminate the instance."""
    DEADLINE = "DeadlinePassed"
    """It was interrupted and not resumed in time."""
    RELEASED = "Released"
    """The pool, its policy or its group is no longer ours to manage."""
    WITHDRAWN = "WithdrawnByUser"
    """Somebody took off the hard taint or our annotation, or set scale-down-disabled."""
    CIRCUMSTANCES = "ZoneOutage"
    """A zone failed: what is left is needed."""
    NODE_GONE = "NodeGone"
    """The Node vanished by itself; there was nothing left to undo."""
    FAILED = "StepFailed"
    """A step failed; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalOutcome(Outcome):
    """Something happened to the removal of a node."""

    node: str
    node_uid: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalStarted(RemovalOutcome):
    reason: str
    """A RemovalReason of the plan."""
    unneeded_since: datetime
    utilization: float
    """0..1"""
    pods: int
    """How many must move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalResumed(RemovalOutcome):
    """A removal that was interrupted goes on."""

    phase: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTainted(RemovalOutcome):
    """Hard taint and annotation are on the node, and it is cordoned (by us, if `cordoned`)."""

    cordoned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalDraining(RemovalOutcome):
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEvicted(RemovalOutcome):
    """The API server accepted the eviction."""

    pod: PodRecord
    grace_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionBlocked(RemovalOutcome):
    """A PodDisruptionBudget forbids the eviction for now; it is tried again until `until`."""

    pod: PodRecord
    message: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumesNotDetached(RemovalOutcome):
    """The node is drained, but volumes are still attached to it, or nobody can say; its instance is terminated all the
    same."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTerminating(RemovalOutcome):
    """The node is drained; the cloud is being asked to terminate the instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDeleted(RemovalOutcome):
    """The Node outlived its instance, and was deleted by us."""

    outlived: timedelta
    """How long it did, as far as we watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalDone(RemovalOutcome):
    """Instance and Node are gone."""

    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalRolledBack(RemovalOutcome):
    """Given up, and what we had changed on the node is as it was before."""

    reason: RollbackReason
    message: str
    pod: PodRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalSuspended(RemovalOutcome):
    """No mutation is allowed now; the node keeps its marks, and who may act goes on from `phase`."""

    phase: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalFailed(RemovalOutcome):
    """A step failed and could not be undone yet. Tried again at `retry_at` if its marks are on the node."""

    phase: str
    message: str
    failures: int
    """In a row, this one included."""
    retry_at: datetime | None = None


# --- foreign taints ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTaintLifted(Outcome):
    """The hard taint that a Cluster Autoscaler had left was taken off."""

    node: str
    cordoned: bool
    """The node is cordoned, and stays so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTaintFailed(Outcome):
    node: str
    message: str


# --- soft taints -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftTaintSet(Outcome):
    node: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftTaintLifted(Outcome):
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftTaintFailed(Outcome):
    node: str
    message: str


# --- what others did -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLost(Outcome):
    """An instance left its group although no plan asked for it; `at` is when that was noticed."""

    instance: str
    node: str
    """The Node it was; empty when it never was one."""
    cause: LossCause
    message: str
    """The cloud's own words."""
