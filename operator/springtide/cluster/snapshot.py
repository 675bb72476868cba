"""The frozen picture one pass decides on: cluster + clouds + pools + policies + clock, at one instant.

Whatever a decision needs is in here, `now` included, so that every plan can be tested, replayed and explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from springtide.api.policy import AutoscalerPolicySpec
from springtide.api.resolve import PoolSettings
from springtide.api.settings import Mode
from springtide.cluster.degradation import Degradation
from springtide.cluster.groups import FailureClass, NodeGroup, PoolProblem
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.shape import PodShape


@dataclass(frozen=True, slots=True)
class OutstandingPurchase:
    """A raise of a group's target that is not fulfilled yet (stored in NodePool status)."""

    since: datetime
    from_target: int
    to_target: int
    plan_id: str
    registered: int = 0
    """Nodes the group had in Kubernetes when it was made: more of them is what has arrived since."""
    wanted_for: tuple[str, ...] = ()
    """The pods it was made for, in short, for users."""


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A purchase that the cloud was or is being asked for, and of which nobody has heard yet (stored in NodePool
    status before the call is sent)."""

    expected: int
    """The target on which it was based: as long as the cloud shows it, nothing was bought."""
    purchase: OutstandingPurchase
    """What is outstanding if the cloud did it."""
    plan_id: str = ""
    """Of the plan that asks, also where `purchase` is nobody's because it stands on growth that was not ours."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A group is left out of scale-up until `until` (stored in NodePool status)."""

    until: datetime
    reason: FailureClass
    failures: int
    """Consecutive failures so far: the wait doubles with each."""
    last_failure: datetime
    message: str = ""
    """What the cloud said, for users."""


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """What must outlive the process for one group; read from and written to NodePool status."""

    purchase: OutstandingPurchase | None = None
    request: PurchaseRequest | None = None
    backoff: Backoff | None = None
    failures_seen_until: datetime | None = None
    """Launch failures up to this time have been acted on."""
    ever_matched: bool = False
    """An instance of this group was once seen to be a Node; unregistered removal needs it."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One NodePool as a pass sees it: resolved settings, its groups, what we remember of it."""

    name: str
    uid: str
    generation: int
    created_at: datetime
    mode: Mode
    """Effective: Paused wins over DryRun wins over Active, of pool and policy."""
    policy: str
    settings: PoolSettings
    provider: str = ""
    """Kind of provider: "aws", "simulated", …"""
    min_size: int | None = None
    max_size: int | None = None
    groups: tuple[NodeGroup, ...] = ()
    memory: Mapping[str, GroupMemory] = field(default_factory=dict)
    """By group id."""
    last_scale_up: datetime | None = None
    last_scale_down: datetime | None = None
    last_scale_down_failure: datetime | None = None
    problems: tuple[PoolProblem, ...] = ()
    """Any fatal one: the pool is left alone, its status says why."""
    picture_age: timedelta = timedelta(0)
    """Age of the provider's listing."""

    @property
    def left_alone(self) -> bool:
        return any(problem.fatal for problem in self.problems)


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One AutoscalerPolicy as a pass sees it."""

    name: str
    uid: str
    generation: int
    created_at: datetime
    spec: AutoscalerPolicySpec


@dataclass(frozen=True, slots=True)
class RemovalInFlight:
    """A node that is being removed, by us: hard taint set, removal annotation present."""

    node: str
    pool: str
    group: str
    phase: str
    since: datetime
    deadline: datetime | None = None
    """Interrupted and not resumed until then, it is rolled back."""
    reason: str = ""
    """Why the node goes."""


class Promise(NamedTuple):
    """The purchase that was made for a pod."""

    pool: str
    group: str
    node: str
    """Which of the purchase's nodes: pods whose promises are equal were to share it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything one plan is a function of."""

    now: datetime
    plan_id: str
    picture: ClusterPicture
    pools: tuple[PoolView, ...]
    policies: tuple[PolicyView, ...]
    removals: Mapping[str, RemovalInFlight] = field(default_factory=dict)
    """By node name."""
    unneeded_since: Mapping[str, datetime] = field(default_factory=dict)
    """By node name: trusted start of the unneeded timer (soft taint we wrote, no gap in our heartbeat)."""
    promised: Mapping[str, Promise] = field(default_factory=dict)
    """By uid of a pending pod that a purchase was made for."""
    recently_refused: frozenset[tuple[PodShape, str]] = frozenset()
    """Shapes of which a scheduler (by name) refused a pod within the last half minute, though that pod may run by now."""
    recently_evicted: tuple[str, ...] = ()
    """Uids of pods we evicted whose replacement may not exist yet."""
    cluster_autoscaler: str = ""
    """Holder of Cluster Autoscaler's fresh Lease; non-empty forbids all purchases and removals."""
    kept_nodes: Mapping[str, str] = field(default_factory=dict)
    """By node name: why it stays though all else says that it could go (the operator itself runs there)."""
    purchases_forbidden: str = ""
    """Why nothing may be bought now (picture too old, …); empty = allowed."""
    removals_forbidden: str = ""
    """Why nothing may be removed now; empty = allowed."""
    degradations: tuple[Degradation, ...] = ()
    """What does not work around us, `*_forbidden` included."""
    relief: int = 0
    """Levels by which work that can wait is cut, because passes take too long; each quarters it."""
