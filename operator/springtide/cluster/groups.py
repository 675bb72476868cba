"""What a cloud says of its node groups: target, bounds, instances, template, launch failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from springtide.cluster.records import Resources, Taint


class InstanceState(StrEnum):
    PENDING = "Pending"
    """Asked for and being built."""
    RUNNING = "Running"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True)
class Instance:
    """One machine of a node group."""

    id: str
    """The cloud's own id, e.g. i-066b2c."""
    provider_id: str
    """As it will stand in the Node's spec.providerID, e.g. aws:///us-east-1a/i-066b2c."""
    state: InstanceState
    zone: str = ""
    lost_node: bool = False
    """It was a Node, which has vanished while it runs on: kubelets do not register twice by themselves. Seen by us, for no
    cloud knows."""


class FailureClass(StrEnum):
    OUT_OF_CAPACITY = "OutOfCapacity"
    QUOTA = "QuotaExceeded"
    LAUNCH_FAILED = "LaunchFailed"
    TIMEOUT = "ProvisionTimeout"
    REFUSED = "CallRefused"


@dataclass(frozen=True, slots=True)
class LaunchFailure:
    """The cloud says that it could not deliver an instance of the group."""

    id: str
    """Unique and stable (AWS: the activity's id), so that one failure is acted on once."""
    time: datetime
    failure_class: FailureClass
    message: str


class LossCause(StrEnum):
    """What took an instance away, other than Springtide; the names are those of AWS where it has one."""

    AZ_REBALANCE = "AZRebalance"
    HEALTH_CHECK = "HealthCheck"
    SPOT_INTERRUPTION = "SpotInterruption"
    REBALANCE_RECOMMENDATION = "RebalanceRecommendation"
    INSTANCE_REFRESH = "InstanceRefresh"
    MAX_INSTANCE_LIFETIME = "MaxInstanceLifetime"
    SCALING_POLICY = "ScalingPolicy"
    SCHEDULED_ACTION = "ScheduledAction"
    USER_REQUEST = "UserRequest"
    TARGET_LOWERED = "TargetLowered"
    """The group had more instances than its target, for a reason that the cloud does not tell."""
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Loss:
    """An instance that left its group although we did not ask for it."""

    instance: str
    provider_id: str
    time: datetime
    """When it was noticed."""
    cause: LossCause
    message: str
    """The cloud's own words, shortened; why there are none if it says nothing."""


@dataclass(frozen=True, slots=True)
class Template:
    """The imagined fresh node of a group, before DaemonSet pods are put on it."""

    capacity: Resources
    allocatable: Resources
    labels: Mapping[str, str]
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    """Taints that go away while the node starts: they never keep pods from being planned on it. A key that ends
    in / stands for all that begin with it."""
    status_taints: tuple[str, ...] = ()
    """Keys of taints that say how a node is for the moment: a fresh one has none of them. A key that ends in / stands
    for all that begin with it."""
    volume_limits: Mapping[str, int] = field(default_factory=dict)
    """CSI driver -> how many of its volumes a node can have attached; no cloud says so, the group's own nodes do."""
    hourly_price: float | None = None
    """In the policy's currency; None = unknown."""
    source: str = ""
    """Where it came from, for users: "instance type m5.xlarge + tags + spec.template"."""


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """A node group as last read from the cloud. `pool` is the NodePool that owns it."""

    id: str
    """Unique within the provider kind; shown to users, e.g. the ASG's name."""
    pool: str
    target: int
    min_size: int
    max_size: int
    instances: tuple[Instance, ...]
    template: Template | None
    """None: the provider cannot say what a node would look like (reason in `problems` of the listing)."""
    zones: tuple[str, ...] = ()
    failures: tuple[LaunchFailure, ...] = ()
    """Recent launch failures, newest last."""
    losses: tuple[Loss, ...] = ()
    """Of the last minutes, oldest first."""
    interference: tuple[str, ...] = ()
    """What else changes this group, for users: "scaling policy cpu-target", "AZRebalance is active"."""
    read_at: datetime | None = None

    @property
    def hourly_price(self) -> float | None:
        """Of a new node, in the policy's currency; None: unknown."""
        return self.template.hourly_price if self.template is not None else None

    @property
    def unfulfilled(self) -> int:
        """Asked for, but no instance exists yet."""
        alive = sum(1 for i in self.instances if i.state is not InstanceState.DELETING)
        return max(0, self.target - alive)


@dataclass(frozen=True, slots=True)
class PoolProblem:
    """Why a pool, or a part of it, cannot be managed as written: becomes a condition."""

    reason: str
    """A ConditionReason of api.conditions."""
    field: str
    """spec path, e.g. spec.provider.aws.autoScalingGroups[1]."""
    message: str
    """What is wrong and the way out; names the field."""
    fatal: bool = True
    """True: the pool is left alone. False: it goes on with what is right."""


@dataclass(frozen=True, slots=True)
class PoolListing:
    """One provider's answer for one NodePool."""

    pool: str
    groups: tuple[NodeGroup, ...] = ()
    problems: tuple[PoolProblem, ...] = ()
    error: str = ""
    """Set when the cloud could not be read: the groups are then the last known ones."""
    error_reason: str = ""
    """With `error`: the ConditionReason of its kind (CredentialsDenied, ProviderThrottled, ProviderError)."""
    read_at: datetime | None = None
    """When `groups` was last read successfully; its age is the age of the picture."""


@dataclass(frozen=True, slots=True)
class Listings:
    """All pools' listings, by pool name."""

    by_pool: Mapping[str, PoolListing] = field(default_factory=dict)
