"""The plan: plain data saying what to do and why, for every pending shape, group and node. Reporting renders it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice

from springtide.api.budgets import RemovalReason
from springtide.api.nodepool_status import ScaleDownState, ScaleUpState
from springtide.cluster.degradation import Degradation
from springtide.cluster.groups import FailureClass
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import Backoff, OutstandingPurchase, Promise
from springtide.scheduling.verdict import Misfit

# --- why a group was not used for a pending shape --------------------------------------------------------------


class GroupRefusal(StrEnum):
    """Why a node group cannot help a pending pod, apart from the pod not fitting its template."""

    MAX_REACHED = "MaxSizeReached"
    BACKOFF = "InBackoff"
    LIMIT = "LimitReached"
    NOT_HEALTHY = "NotHealthy"
    NO_TEMPLATE = "NoTemplate"
    LEFT_ALONE = "PoolNotReady"
    PAUSED = "Paused"
    DRY_RUN = "DryRun"
    FORBIDDEN = "PurchasesForbidden"
    FROM_ZERO_OFF = "ScaleFromZeroDisabled"
    NOT_CHOSEN = "AnotherGroupChosen"
    POD_RULES = "RulesBetweenPods"
    """It could grow, but rules over zones (spread, affinity, anti-affinity) let none of the pods go there."""
    EXCLUDED = "ExcludedBySettings"
    """The pool's own settings leave these pods out: priority cutoff, newPodDelay, schedulers."""


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """One pending shape against one node group; exactly one of `misfit`, `refusal` is set, or the group was used."""

    pool: str
    group: str
    misfit: Misfit | None = None
    refusal: GroupRefusal | None = None
    detail: str = ""
    """The numbers of the refusal: "max 8", "until 12:30:05: no capacity", "limit nodes 20 of default"."""
    used: bool = False


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The group that would hold a pod if the least were changed."""

    pool: str
    group: str
    misfits: tuple[Misfit, ...] = ()
    """Everything that a fresh node of the group has against the pod; empty: it would fit."""
    refusal: GroupRefusal | None = None
    """Why the group may not grow, besides; None: it may."""
    detail: str = ""
    """The numbers of the refusal."""


class PendingOutcome(StrEnum):
    FITS_EXISTING = "FitsExistingNode"
    FITS_UPCOMING = "FitsUpcomingNode"
    TRIGGERS = "TriggersScaleUp"
    NO_GROUP = "NoGroupFits"
    TOO_YOUNG = "YoungerThanNewPodDelay"
    IGNORED = "Ignored"
    """Below the priority cutoff, another scheduler's, a DaemonSet's, held by a gate."""


@dataclass(frozen=True, slots=True)
class PendingVerdict:
    """The pending pods of one shape that share an outcome."""

    shape: PodShape
    pods: tuple[PodRecord, ...]
    outcome: PendingOutcome
    groups: Sequence[GroupVerdict] = ()
    detail: str = ""
    nearest: NearestMiss | None = None
    """For pods that no group helps: what is nearest to helping."""


# --- purchases -------------------------------------------------------------------------------------------------


class PurchaseReason(StrEnum):
    PENDING_PODS = "PendingPods"
    BELOW_MINIMUM = "BelowMinimum"


@dataclass(frozen=True, slots=True)
class Purchase:
    """Raise one group's target. `from_target` is what the decision was based on."""

    pool: str
    group: str
    from_target: int
    to_target: int
    max_size: int
    reason: PurchaseReason
    pods: tuple[PodRecord, ...] = ()
    """The pods it is for, node by node; empty for BELOW_MINIMUM."""
    fills: tuple[int, ...] = ()
    """How many of the pods, in their order, are for each node; nodes for the minimum are not in it."""
    chosen_by: str = ""
    """The expander chain's story, for users: "least-waste 0.12 (of 3 options)"."""
    hourly_cost: float | None = None
    """Price of the added nodes per hour; None = a price is unknown."""

    @property
    def count(self) -> int:
        return self.to_target - self.from_target

    def promises(self, plan_id: str) -> Iterator[tuple[str, Promise]]:
        """(uid of a pod, what it is promised) for all its pods. `plan_id`: the plan's that made the purchase."""
        pods = iter(self.pods)
        for number, count in enumerate(self.fills):
            promise = Promise(self.pool, self.group, f"{plan_id}/{number}")
            for pod in islice(pods, count):
                yield pod.uid, promise


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Lower one group's target by capacity that no instance fulfils, after a failure or a timeout."""

    pool: str
    group: str
    from_target: int
    to_target: int
    failure: FailureClass
    message: str


# --- removals --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Removal:
    """Taint, drain and terminate one node."""

    node: str
    node_uid: str
    pool: str
    group: str
    instance: str
    """The cloud's id of the instance."""
    reason: RemovalReason
    since: datetime
    """Unneeded (or unready) since."""
    utilization: float
    """0..1, the deciding resource's."""
    pods_to_evict: tuple[PodRecord, ...] = ()
    daemon_pods: tuple[PodRecord, ...] = ()
    destinations: Mapping[str, str] = field(default_factory=dict)
    """Pod uid -> node it was simulated to move to."""
    takes_over: str = ""
    """Value of the hard taint that a Cluster Autoscaler left on the node, and that ours replaces."""


@dataclass(frozen=True, slots=True)
class UnregisteredRemoval:
    """Terminate instances that our own purchase brought and that never became a Node."""

    pool: str
    group: str
    instances: tuple[str, ...]
    since: datetime
    message: str


class BlockReason(StrEnum):
    """Why a node stays; names known from Cluster Autoscaler where it has one (its unremovable reasons)."""

    SCALE_DOWN_DISABLED_ANNOTATION = "ScaleDownDisabledAnnotation"
    SCALE_DOWN_DISABLED = "ScaleDownDisabled"
    SCALE_DOWN_UNREADY_DISABLED = "ScaleDownUnreadyDisabled"
    NOT_AUTOSCALED = "NotAutoscaled"
    NOT_UNNEEDED_LONG_ENOUGH = "NotUnneededLongEnough"
    NOT_UNREADY_LONG_ENOUGH = "NotUnreadyLongEnough"
    MIN_SIZE_REACHED = "NodeGroupMinSizeReached"
    ATOMIC = "AtomicScaleDownFailed"
    MINIMAL_LIMIT_EXCEEDED = "MinimalResourceLimitExceeded"
    CURRENTLY_BEING_DELETED = "CurrentlyBeingDeleted"
    NOT_UNDERUTILIZED = "NotUnderutilized"
    NO_PLACE_TO_MOVE_PODS = "NoPlaceToMovePods"
    BLOCKED_BY_POD = "BlockedByPod"
    BLOCKED_BY_ON_COMPLETION_POD = "BlockedByOnCompletionPod"
    NOT_MODELLED = "PodConstraintsNotModelled"
    COOL_DOWN = "CoolDown"
    BUDGET = "DisruptionBudget"
    """A budget of the policy (spec.budgets). PodDisruptionBudgets are told of as BLOCKED_BY_POD."""
    PARALLELISM = "MaxParallelReached"
    NOT_STARTED = "NotStarted"
    FOREIGN_TAINT = "ForeignTaint"
    FORBIDDEN = "RemovalsForbidden"
    PAUSED = "Paused"
    DRY_RUN = "DryRun"
    LEFT_ALONE = "PoolNotReady"
    OPERATOR_RUNS_HERE = "OperatorRunsHere"


class PodBlock(StrEnum):
    """Why one pod blocks the removal of its node (Cluster Autoscaler's drain rules)."""

    CONTROLLER_NOT_FOUND = "ControllerNotFound"
    MIN_REPLICAS_REACHED = "MinReplicasReached"
    NOT_REPLICATED = "NotReplicated"
    LOCAL_STORAGE = "LocalStorageRequested"
    NOT_SAFE_TO_EVICT = "NotSafeToEvictAnnotation"
    DO_NOT_DISRUPT = "DoNotDisruptAnnotation"
    SYSTEM_POD = "UnmovableKubeSystemPod"
    NOT_ENOUGH_PDB = "NotEnoughPdb"


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What scale-down thinks of one node."""

    node: str
    pool: str
    group: str
    utilization: float | None = None
    """0..1; None = not computable."""
    unneeded_since: datetime | None = None
    removable: bool = False
    """It goes in this plan."""
    block: BlockReason | None = None
    pod: str = ""
    """The pod that blocks (namespace/name), if one does."""
    pod_block: PodBlock | None = None
    detail: str = ""
    """Numbers: "utilization 0.62 > 0.50", "needs 2 cpu, largest free 1", "unneeded for 4m of 10m"."""


# --- taints ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SoftTaintChange:
    """Set or lift DeletionCandidateOfClusterAutoscaler on a node."""

    node: str
    pool: str
    present: bool
    since: datetime | None = None
    """Unneeded since: becomes the taint's value (unix seconds)."""


@dataclass(frozen=True, slots=True)
class ForeignTaintLift:
    """Take off the hard taint that a Cluster Autoscaler left on a node."""

    node: str
    pool: str
    value: str
    """Of the taint: another one is left alone."""


# --- per group and pool ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Readiness buckets of a group or pool (Cluster Autoscaler's)."""

    ready: int = 0
    unready: int = 0
    not_started: int = 0
    long_not_started: int = 0
    registered: int = 0
    unregistered: int = 0
    long_unregistered: int = 0
    being_deleted: int = 0


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One group after this plan: numbers for status, and the memory to store (backoff, handled failures)."""

    group: str
    target: int
    """After the plan's purchases and cancellations, if all succeed."""
    counts: NodeCounts
    unfulfilled: int
    upcoming: int
    backoff: Backoff | None = None
    failures_seen_until: datetime | None = None
    failure_message: str = ""
    purchase_done: bool = False
    """The outstanding purchase is fulfilled: forget it, say "finished in …"."""
    ever_matched: bool = False
    outstanding: OutstandingPurchase | None = None
    """The earlier purchase to remember, whatever becomes of this plan's own; None: none is outstanding."""
    missing: int = 0
    """Nodes that `outstanding` still waits for: see planning.groups.upcoming.remembered."""


@dataclass(frozen=True, slots=True)
class PoolFinding:
    """Something true of a pool that its conditions must say (named reason, message with numbers)."""

    condition: str
    """A ConditionType of api.conditions."""
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SimilarPool:
    """Another pool of the same policy, compared with this one for balancing."""

    pool: str
    difference: str = ""
    """The first thing that keeps the two from sharing purchases ("allocatable memory differs by 7.2 % > 5 %"); empty:
    nothing does."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One pool's part of the plan."""

    pool: str
    target: int
    min_size: int
    max_size: int
    counts: NodeCounts
    groups: tuple[GroupPlan, ...]
    scale_up: ScaleUpState
    scale_down: ScaleDownState
    candidates: tuple[NodeVerdict, ...] = ()
    """Unneeded nodes, oldest first."""
    held: tuple[NodeVerdict, ...] = ()
    """Under-used nodes that their pods or their annotation keep, by name."""
    findings: tuple[PoolFinding, ...] = ()
    similar_pools: tuple[SimilarPool, ...] = ()
    """Those it was compared with; empty unless the policy balances similar pools."""
    hourly_cost: float | None = None
    utilization_cpu_percent: int | None = None
    utilization_memory_percent: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedCost:
    """What one policy's purchases cost per hour, and what they would have to cost at least."""

    planned: float
    lower_bound: float
    """Proven: no choice among the groups that may grow holds the same pods for less."""

    @property
    def gap(self) -> float:
        """How much of the planned cost might have been saved, 0..1."""
        return 0.0 if self.planned <= 0 else max(0.0, 1.0 - self.lower_bound / self.planned)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One of a policy's budgets at the instant of the plan, which is counted in."""

    name: str
    open: bool
    """Whether its window is; one without a schedule always is."""
    allowed: int | None
    """Nodes that it lets be out of service; None: it sets no bound now."""
    in_use: int
    """Nodes of the policy's pools that are out of service."""
    until: datetime | None
    """When its window closes or opens next; None: not soon."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one pass decided. `dry_run_purchases` / `dry_run_removals` are what DryRun pools would have done."""

    id: str
    now: datetime
    purchases: tuple[Purchase, ...] = ()
    cancellations: tuple[Cancellation, ...] = ()
    removals: tuple[Removal, ...] = ()
    unregistered: tuple[UnregisteredRemoval, ...] = ()
    soft_taints: tuple[SoftTaintChange, ...] = ()
    foreign_taints: tuple[ForeignTaintLift, ...] = ()
    dry_run_purchases: tuple[Purchase, ...] = ()
    dry_run_removals: tuple[Removal, ...] = ()
    pending: tuple[PendingVerdict, ...] = ()
    nodes: Mapping[str, NodeVerdict] = field(default_factory=dict)
    """By node name; every node of the cluster has one."""
    pools: Mapping[str, PoolPlan] = field(default_factory=dict)
    costs: Mapping[str, PlannedCost] = field(default_factory=dict)
    """By policy: its purchases in this plan, or its last ones by least-cost, whose bound may have risen since. Only
    where all prices are known."""
    budgets: Mapping[str, tuple[BudgetState, ...]] = field(default_factory=dict)
    """By policy, in the order of its spec; policies without budgets are absent."""
    cluster_healthy: bool = True
    degradations: tuple[Degradation, ...] = ()
    """Modes that held while this was planned: those of the snapshot, and outages of zones."""
    wake_at: datetime | None = None
    """The earliest instant at which this plan would differ by time alone (a timer ends); None = none known."""
