"""The imagined fresh node of an Auto Scaling group.

Built in layers, each overriding the one before: the instance type (and the root disk of the launch template), Cluster
Autoscaler's node-template tags, the NodePool's spec.template. What was chosen where AWS leaves it open:

- A group that may launch several types gets, for each resource, the least any of them has, so that a pod planned on
  the template fits whatever AWS launches. It has the labels instance-type and arch only when all types agree.
- A group over several zones has no zone label: AWS picks the zone, and a pod that needs one of them might not get it.
  Groups of one zone each avoid that. Labels that are left out can be given by tag or in spec.template.labels.
- Allocatable equals capacity unless spec.template.allocatable says otherwise, as in Cluster Autoscaler: what a
  kubelet reserves is known only to whoever configured it. The nominal memory is a few percent more than a node has.
- Ephemeral storage is the root disk of the launch template; the size of an image's own disk is not known, and then
  the resource is absent: give it by tag or in spec.template.capacity when pods request it.
- Pods: what the VPC network plugin has addresses for, at most 110.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from springtide.api.nodepool import NodeTemplate
from springtide.cluster.groups import Template
from springtide.cluster.records import Resources, Taint, TaintEffect
from springtide.providers.aws.groups import AutoScalingGroup, Launch, LaunchTemplateRef
from springtide.providers.aws.instance_types import MOST_PODS, InstanceType, packaged_prices
from springtide.providers.aws.launches import Launches, LaunchFacts
from springtide.providers.template_overrides import (
    OverriddenTemplate,
    beyond_capacity,
    price_of,
    resources_of,
    with_overrides,
)

TAG_PREFIX = "k8s.io/cluster-autoscaler/node-template/"
_MIB = 1024**2
_GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One kind of machine that a group may launch."""

    instance_type: str
    """Empty: any that meets minimum requirements."""
    arch: str
    capacity: Resources
    source: str


@dataclass(frozen=True, slots=True)
class BuiltTemplate:
    """A template, or why there is none; and what was wrong on the way."""

    template: Template | None
    problems: tuple[str, ...] = ()
    contradiction: str = ""
    """What spec.template.allocatable has beyond the capacity: a pod planned on it would never fit."""


def build_template(
    group: AutoScalingGroup,
    machines: Sequence[Machine],
    *,
    region: str,
    overrides: NodeTemplate | None,
    hourly_price: str | int | None,
) -> BuiltTemplate:
    """The template of a group whose possible machines are known (none: then tags and spec.template must tell)."""
    tags = read_tags(group.tags)
    layered = with_overrides(
        OverriddenTemplate(
            # Who describes a node by cpu and memory does not mean that no pod may run on it.
            capacity={"pods": MOST_PODS, **_smallest(machines), **tags.capacity},
            labels={**_labels(group, machines, region=region), **tags.labels},
            taints=tags.taints,
        ),
        overrides,
    )
    sources = [
        _source_of(machines),
        *(["tags"] if tags.any else []),
        *(["spec.template"] if overrides else []),
    ]
    if not {"cpu", "memory"} <= layered.capacity.keys():
        return BuiltTemplate(None, tags.problems)
    if contradiction := beyond_capacity(layered):
        return BuiltTemplate(None, tags.problems, f"{contradiction} ({' + '.join(filter(None, sources))})")
    price = price_of(hourly_price)
    if price is None and machines:
        price = packaged_prices().get(machines[0].instance_type)
    template = Template(
        capacity=layered.capacity,
        allocatable=layered.allocatable,
        labels=layered.labels,
        taints=layered.taints,
        startup_taints=layered.startup_taints,
        hourly_price=price,
        source=" + ".join(filter(None, sources)),
    )
    return BuiltTemplate(template, tags.problems)


def machines_of(
    launch: Launch, launches: Launches, types: Mapping[str, InstanceType]
) -> tuple[tuple[Machine, ...], tuple[str, ...]]:
    """The kinds of machine a group may launch, and why some are not known."""
    machines: list[Machine] = []
    problems: list[str] = []
    for choice in launch_choices(launch, launches):
        if choice.problem:
            problems.append(choice.problem)
        elif choice.instance_type in types:
            machines.append(_machine(types[choice.instance_type], root_gib=choice.root_gib))
        elif choice.instance_type:
            problems.append(f"instance type {choice.instance_type} is not known")
        elif choice.min_vcpu and choice.min_memory_mib:
            machines.append(_least_machine(choice))
        else:
            problems.append("the launch template names no instance type")
    return tuple(machines), tuple(dict.fromkeys(problems))


def launch_choices(launch: Launch, launches: Launches) -> list[LaunchFacts]:
    """What the group may launch, one entry an override, or the single one of its template or configuration."""
    base: LaunchTemplateRef | str | None = launch.template or launch.configuration or None
    if not launch.overrides:
        return [launches.facts(base)] if base else [LaunchFacts(problem="the group names no launch template")]
    choices: list[LaunchFacts] = []
    for override in launch.overrides:
        source = override.template or base
        facts = launches.facts(source) if source else LaunchFacts()
        own = override.instance_type or override.min_vcpu
        choices.append(
            LaunchFacts(
                instance_type=override.instance_type if own else facts.instance_type,
                min_vcpu=override.min_vcpu if own else facts.min_vcpu,
                min_memory_mib=override.min_memory_mib if own else facts.min_memory_mib,
                root_gib=facts.root_gib,
                # A type named in the override is enough, even if the template itself cannot be read.
                problem="" if own else facts.problem,
            )
        )
    return choices


@dataclass(frozen=True, slots=True)
class TagTemplate:
    """What Cluster Autoscaler's node-template tags say."""

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    capacity: Resources
    problems: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether there is any such tag."""
        return bool(self.labels or self.taints or self.capacity)


def read_tags(tags: Mapping[str, str]) -> TagTemplate:
    """Read the tags node-template/{label,taint,resources}/…; a wrong one is left out and named."""
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    capacity: dict[str, int] = {}
    problems: list[str] = []
    for tag, value in sorted(tags.items()):
        kind, _, key = tag.removeprefix(TAG_PREFIX).partition("/")
        if not tag.startswith(TAG_PREFIX) or not key:
            continue
        try:
            if kind == "label":
                labels[key] = value
            elif kind == "taint":
                taints.append(_taint(key, value))
            elif kind == "resources":
                capacity |= resources_of({key: value})
        except ValueError as error:
            problems.append(f"tag {tag}={value}: {error}")
    return TagTemplate(labels=labels, taints=tuple(taints), capacity=capacity, problems=tuple(problems))


def _taint(key: str, value: str) -> Taint:
    match = re.fullmatch(r"([^:]*):(NoSchedule|PreferNoSchedule|NoExecute)", value)
    if not match:
        raise ValueError("write value:Effect, where Effect is NoSchedule, PreferNoSchedule or NoExecute")
    return Taint(key=key, value=match[1], effect=TaintEffect(match[2]))


def _machine(kind: InstanceType, *, root_gib: int) -> Machine:
    disk = {"ephemeral-storage": root_gib * _GIB} if root_gib else {}
    return Machine(
        instance_type=kind.name, arch=kind.arch, capacity={**kind.capacity, **disk}, source=kind.source
    )


def _least_machine(facts: LaunchFacts) -> Machine:
    """Attribute-based selection: only the minimum is certain, as in Cluster Autoscaler."""
    capacity = {"cpu": facts.min_vcpu * 1000, "memory": facts.min_memory_mib * _MIB, "pods": MOST_PODS}
    if facts.root_gib:
        capacity["ephemeral-storage"] = facts.root_gib * _GIB
    return Machine(instance_type="", arch="", capacity=capacity, source="instance requirements")


def _smallest(machines: Sequence[Machine]) -> dict[str, int]:
    if not machines:
        return {}
    shared = set.intersection(*(set(machine.capacity) for machine in machines))
    return {name: min(machine.capacity[name] for machine in machines) for name in sorted(shared)}


def _labels(group: AutoScalingGroup, machines: Sequence[Machine], *, region: str) -> dict[str, str]:
    labels = {"kubernetes.io/os": "linux", "topology.kubernetes.io/region": region}
    if len(group.zones) == 1:
        labels["topology.kubernetes.io/zone"] = group.zones[0]
        # Set by the EBS CSI driver; volumes are bound by it.
        labels["topology.ebs.csi.aws.com/zone"] = group.zones[0]
    architectures = {machine.arch for machine in machines}
    if len(architectures) == 1 and (arch := architectures.pop()):
        labels["kubernetes.io/arch"] = arch
    types = {machine.instance_type for machine in machines}
    if len(types) == 1 and (instance_type := types.pop()):
        labels["node.kubernetes.io/instance-type"] = instance_type
    return labels


def _source_of(machines: Sequence[Machine]) -> str:
    if not machines:
        return ""
    names = list(dict.fromkeys(machine.instance_type for machine in machines if machine.instance_type))
    if not names:
        return "instance requirements"
    origin = "EC2" if all(machine.source == "EC2" for machine in machines) else "packaged table"
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    kind = "instance type" if len(names) == 1 else "the least of"
    return f"{kind} {shown} ({origin})"
