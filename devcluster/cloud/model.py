"""What the cloud holds: Auto Scaling groups, their instances, and the states these go through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from devcluster.cloud.activities import Activity, Journal


class State(StrEnum):
    """Lifecycle states of Auto Scaling, as AWS spells them; TERMINATED instances have left their group."""

    PENDING = "Pending"
    IN_SERVICE = "InService"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


@dataclass(frozen=True)
class Subnet:
    """Where a group may launch: a zone, and the subnet in it (empty for groups outside a VPC)."""

    zone: str
    subnet_id: str = ""


@dataclass(frozen=True)
class LaunchTemplate:
    """The launch template a group names."""

    template_id: str
    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a group's owner declared; moto keeps the original, this is the proxy's reading of it."""

    name: str
    min_size: int
    max_size: int
    subnets: tuple[Subnet, ...]
    instance_types: tuple[str, ...]
    """In order of preference; several only under a mixed instances policy."""
    launch_template: LaunchTemplate | None = None
    mixed_instances: bool = False
    protects_new_instances: bool = False
    suspended: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Instance:
    """One EC2 instance of a group."""

    instance_id: str
    group: str
    zone: str
    subnet_id: str
    instance_type: str
    private_ip: str
    launch_template: LaunchTemplate | None
    tags: Mapping[str, str]
    """The group's tags at launch."""
    protected: bool = False
    state: State = State.PENDING
    launched: datetime = field(default_factory=lambda: datetime.now(UTC))
    launch_activity: Activity | None = None

    @property
    def private_dns_name(self) -> str:
        """The name EC2 gives it, which becomes its Node's name: ``ip-10-0-0-1.ec2.internal``."""
        return f"ip-{self.private_ip.replace('.', '-')}.ec2.internal"

    @property
    def region(self) -> str:
        """The region of its zone (a zone is its region and a letter)."""
        return self.zone.rstrip("abcdefghijklmnopqrstuvwxyz")

    @property
    def provider_id(self) -> str:
        """What its Node's spec.providerID says."""
        return f"aws:///{self.zone}/{self.instance_id}"


@dataclass
class Group:
    """One Auto Scaling group: its definition, the capacity asked for, and what there is of it."""

    definition: Definition
    desired: int = 0
    instances: dict[str, Instance] = field(default_factory=dict)
    """In order of launch, Terminating ones included."""
    journal: Journal = field(default_factory=Journal)
    last_request: str = ""
    """The sentence on why the group last had to launch, for the activities' Cause."""

    @property
    def name(self) -> str:
        """Its AutoScalingGroupName."""
        return self.definition.name

    def live(self) -> list[Instance]:
        """The instances that count towards desired: all but the Terminating ones."""
        return [instance for instance in self.instances.values() if instance.state is not State.TERMINATING]
