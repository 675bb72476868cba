"""Auto Scaling groups as AWS describes them, and as node groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from springtide.cluster.groups import Instance, InstanceState
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region

NAMES_PER_CALL = 100
"""Most names DescribeAutoScalingGroups takes, and most groups a page holds (API reference)."""

_STATES = {
    "Pending": InstanceState.PENDING,
    "Pending:Wait": InstanceState.PENDING,
    "Pending:Proceed": InstanceState.PENDING,
    "InService": InstanceState.RUNNING,
    "Terminating": InstanceState.DELETING,
    "Terminating:Wait": InstanceState.DELETING,
    "Terminating:Proceed": InstanceState.DELETING,
}
"""Lifecycle states that count. Left out: Terminated and Detached (gone), Standby (AWS takes them off the desired
capacity, and their owner has them in hand), Warmed:* (a warm pool's instances are not in the group's capacity yet)."""


@dataclass(frozen=True, slots=True)
class LaunchTemplateRef:
    """Which version of which launch template."""

    id: str
    version: str
    """A number, $Latest or $Default."""


@dataclass(frozen=True, slots=True)
class Override:
    """One line of a mixed instances policy."""

    instance_type: str = ""
    template: LaunchTemplateRef | None = None
    min_vcpu: int = 0
    """From InstanceRequirements, when no type is named."""
    min_memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """What a group launches: a launch template (perhaps with overrides), or a launch configuration."""

    template: LaunchTemplateRef | None = None
    configuration: str = ""
    overrides: tuple[Override, ...] = ()
    weighted: bool = False
    """Desired capacity counts weights instead of instances."""


@dataclass(frozen=True, slots=True)
class AutoScalingGroup:
    """One group, as last described."""

    name: str
    desired: int
    min_size: int
    max_size: int
    zones: tuple[str, ...]
    instances: tuple[Instance, ...]
    launch: Launch
    tags: Mapping[str, str]
    suspended: frozenset[str]
    """Processes that are suspended, e.g. AZRebalance."""
    status: str
    """Empty, or "Delete in progress"."""

    @property
    def alive(self) -> int:
        """Instances that exist and are not going away."""
        return sum(1 for instance in self.instances if instance.state is not InstanceState.DELETING)

    def instance(self, instance_id: str) -> Instance | None:
        """The instance of that id, if it is of this group."""
        return next((instance for instance in self.instances if instance.id == instance_id), None)


async def read_by_names(region: Region, names: Iterable[str]) -> dict[str, AutoScalingGroup]:
    """The groups of these names that exist, by name."""
    found: dict[str, AutoScalingGroup] = {}
    ordered = sorted(set(names))
    for start in range(0, len(ordered), NAMES_PER_CALL):
        batch = ordered[start : start + NAMES_PER_CALL]
        found.update(await _read(region, AutoScalingGroupNames=batch))
    return found


async def read_by_tags(region: Region, tags: Mapping[str, str]) -> dict[str, AutoScalingGroup]:
    """The groups that have all these tags, by name; an empty value matches any."""
    filters = [
        {"Name": f"tag:{key}", "Values": [value]} if value else {"Name": "tag-key", "Values": [key]}
        for key, value in sorted(tags.items())
    ]
    found = await _read(region, Filters=filters)
    # Checked once more here: which groups are ours must not hang on how a filter is understood on the other side.
    return {name: group for name, group in found.items() if has_tags(group, tags)}


def has_tags(group: AutoScalingGroup, tags: Mapping[str, str]) -> bool:
    """Whether the group has all the tags; an empty value matches any."""
    return all(key in group.tags and value in ("", group.tags[key]) for key, value in tags.items())


async def _read(region: Region, **params: object) -> dict[str, AutoScalingGroup]:
    raw = await region.pages(
        Operation.DESCRIBE_GROUPS, items="AutoScalingGroups", MaxRecords=NAMES_PER_CALL, **params
    )
    return {group.name: group for group in map(parse_group, raw)}


def parse_group(raw: Mapping[str, Any]) -> AutoScalingGroup:
    """Decode one element of DescribeAutoScalingGroups."""
    return AutoScalingGroup(
        name=raw["AutoScalingGroupName"],
        desired=raw["DesiredCapacity"],
        min_size=raw["MinSize"],
        max_size=raw["MaxSize"],
        zones=tuple(sorted(raw.get("AvailabilityZones") or ())),
        instances=tuple(_instances(raw.get("Instances") or ())),
        launch=_launch(raw),
        tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags") or ()},
        suspended=frozenset(process["ProcessName"] for process in raw.get("SuspendedProcesses") or ()),
        status=raw.get("Status") or "",
    )


def provider_id(*, zone: str, instance_id: str) -> str:
    """What AWS's cloud controller writes into a Node's spec.providerID."""
    return f"aws:///{zone}/{instance_id}"


def _instances(raw: Iterable[Mapping[str, Any]]) -> Iterable[Instance]:
    for instance in raw:
        state = _STATES.get(instance.get("LifecycleState", ""))
        if state is None:
            continue
        zone = instance.get("AvailabilityZone", "")
        yield Instance(
            id=instance["InstanceId"],
            provider_id=provider_id(zone=zone, instance_id=instance["InstanceId"]),
            state=state,
            zone=zone,
        )


def _launch(raw: Mapping[str, Any]) -> Launch:
    if policy := raw.get("MixedInstancesPolicy"):
        template = policy.get("LaunchTemplate") or {}
        overrides = template.get("Overrides") or ()
        return Launch(
            template=_reference(template.get("LaunchTemplateSpecification")),
            overrides=tuple(map(_override, overrides)),
            weighted=any(override.get("WeightedCapacity") not in (None, "", "1") for override in overrides),
        )
    if template := raw.get("LaunchTemplate"):
        return Launch(template=_reference(template))
    return Launch(configuration=raw.get("LaunchConfigurationName") or "")


def _override(raw: Mapping[str, Any]) -> Override:
    requirements = raw.get("InstanceRequirements") or {}
    return Override(
        instance_type=raw.get("InstanceType") or "",
        template=_reference(raw.get("LaunchTemplateSpecification")),
        min_vcpu=(requirements.get("VCpuCount") or {}).get("Min") or 0,
        min_memory_mib=(requirements.get("MemoryMiB") or {}).get("Min") or 0,
    )


def _reference(raw: Mapping[str, Any] | None) -> LaunchTemplateRef | None:
    # AWS answers with both id and name; an absent version means the default one.
    if not raw or not raw.get("LaunchTemplateId"):
        return None
    return LaunchTemplateRef(id=raw["LaunchTemplateId"], version=raw.get("Version") or "$Default")
