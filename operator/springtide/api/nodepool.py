"""NodePool: a family of interchangeable nodes with a minimum and a maximum, held by one or more node
groups."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from springtide.api.metadata import ObjectMeta
from springtide.api.model import ApiModel
from springtide.api.nodepool_status import NodePoolStatus
from springtide.api.rules import Rule, within
from springtide.api.scalars import (
    LIST_SET,
    Count,
    Duration,
    LabelKey,
    Labels,
    LabelValue,
    Matching,
    ObjectName,
    Quantity,
    ResourceList,
    list_map,
    unique,
)
from springtide.api.settings import Mode, ScaleDownOverrides, ScaleUpOverrides

HARD_TAINT: Final = "ToBeDeletedByClusterAutoscaler"
SOFT_TAINT: Final = "DeletionCandidateOfClusterAutoscaler"


class PolicyRef(ApiModel):
    """Which AutoscalerPolicy the pool follows."""

    name: ObjectName = "default"
    """Name of the AutoscalerPolicy. When there is none of that name, the pool gets Ready=False with reason
    PolicyNotFound and is left alone until it exists."""


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(ApiModel):
    """A taint of a node."""

    key: LabelKey
    """Key of the taint, e.g. nvidia.com/gpu."""

    value: LabelValue = ""
    """Value of the taint; may be empty."""

    effect: TaintEffect
    """What it does to pods that do not tolerate it: NoSchedule, PreferNoSchedule or NoExecute."""


TaintList = Annotated[
    tuple[Taint, ...],
    Field(max_length=32, json_schema_extra=list_map("key", "effect")),
    unique(singular="taint", key=lambda taint: f"{taint.key}:{taint.effect}"),
]


def _keys(taints: tuple[Taint, ...] | None) -> set[str]:
    return {taint.key for taint in taints or ()}


class NodeTemplate(ApiModel):
    """What a fresh node of the pool looks like, where the provider does not know it or is wrong."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.taints) || !has(self.startupTaints) || "
            "!self.taints.exists(t, self.startupTaints.exists(s, s.key == t.key && s.effect == t.effect))",
            wrong="a taint stands in both taints and startupTaints",
            remedy="keep it in startupTaints if something takes it off while the node starts, else in taints",
            holds=lambda template: (
                not {(taint.key, taint.effect) for taint in template.taints or ()}
                & {(taint.key, taint.effect) for taint in template.startup_taints or ()}
            ),
            field="startupTaints",
        ),
        Rule(
            cel=f"!has(self.taints) || !self.taints.exists(t, t.key in ['{HARD_TAINT}', '{SOFT_TAINT}'])",
            wrong="taints names a taint that autoscalers put on nodes being removed",
            remedy="remove it from taints",
            holds=lambda template: not _keys(template.taints) & {HARD_TAINT, SOFT_TAINT},
            field="taints",
        ),
        Rule(
            cel="!has(self.labels) || !('kubernetes.io/hostname' in self.labels)",
            wrong="labels sets kubernetes.io/hostname, which differs from node to node",
            remedy="remove it from labels",
            holds=lambda template: "kubernetes.io/hostname" not in (template.labels or {}),
            field="labels",
        ),
        Rule(
            cel=within("allocatable", "capacity"),
            wrong="allocatable exceeds capacity",
            remedy="lower the resource in allocatable or raise it in capacity",
            field="allocatable",
        ),
    )

    labels: Labels | None = None
    """Labels of a fresh node, added to those the provider reports and replacing those of the same key. The
    nodes themselves must get them from their own start-up configuration: Springtide labels no node."""

    taints: TaintList | None = None
    """Taints that a fresh node keeps, added to those the provider reports. The nodes themselves must get
    them from their own start-up configuration."""

    startup_taints: TaintList | None = None
    """Taints that something (a network plugin, a device plugin) takes off while the node starts. They keep
    no pod from being planned on a new node; a node that still carries one counts as not ready. Cluster
    Autoscaler: --startup-taint."""

    capacity: ResourceList | None = None
    """Capacity of a fresh node by resource name, e.g. cpu: 4, memory: 16Gi, pods: 110, nvidia.com/gpu: 1.
    Each resource given here replaces what the provider says."""

    allocatable: ResourceList | None = None
    """What of the capacity is left for pods, by resource name. A resource that is absent here is taken
    from the provider, or else equals its capacity."""


class AwsDiscovery(ApiModel):
    """Finds Auto Scaling groups by their tags."""

    tags: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=256)]], Field(min_length=1, max_length=32)
    ]
    """Tags that a group must all have, key to value; an empty value matches any. They must include one
    that names this cluster, e.g. k8s.io/cluster-autoscaler/my-cluster: "", so that no cluster takes
    another's groups. Cluster Autoscaler: --node-group-auto-discovery=asg:tag=…"""


AwsRegion = Annotated[
    str, Matching(r"^[a-z]+(-[a-z]+)+-[0-9]+$", "write the region's code, e.g. eu-central-1", max_length=32)
]
AutoScalingGroupName = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class AwsProvider(ApiModel):
    """EC2 Auto Scaling groups of one region."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.autoScalingGroups) != has(self.discovery)",
            wrong="exactly one of autoScalingGroups and discovery must be given",
            remedy="name the groups, or the tags that find them",
            holds=lambda aws: (aws.auto_scaling_groups is None) != (aws.discovery is None),
        ),
        Rule(
            cel="self.region == oldSelf.region",
            wrong="region cannot be changed",
            remedy="create another NodePool for the other region and delete this one",
            field="region",
        ),
    )

    region: AwsRegion
    """AWS region of the groups, e.g. eu-central-1. Cannot be changed."""

    auto_scaling_groups: (
        Annotated[
            tuple[AutoScalingGroupName, ...],
            Field(min_length=1, max_length=256, json_schema_extra=LIST_SET),
            unique(singular="group"),
        ]
        | None
    ) = None
    """Names of the Auto Scaling groups of this pool. Purchases are balanced over them. A group taken off
    the list is released: its taints are rolled back, nothing is deleted. Cluster Autoscaler: --nodes."""

    discovery: AwsDiscovery | None = None
    """Finds the groups by tags instead; groups that gain or lose the tags join or leave the pool by
    themselves."""


class SimulatedGroup(ApiModel):
    """A node group of the simulated cloud."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minSize <= self.maxSize",
            wrong="minSize exceeds maxSize",
            remedy="lower minSize or raise maxSize",
            holds=lambda group: group.min_size <= group.max_size,
            field="minSize",
        ),
    )

    name: ObjectName
    """Name of the group, unique in the pool."""

    zone: LabelValue = "zone-a"
    """Zone of its nodes, their label topology.kubernetes.io/zone."""

    min_size: Count = 0
    """Fewest nodes the group may have."""

    max_size: Count = 10
    """Most nodes the group may have."""

    capacity: ResourceList
    """Capacity of its nodes by resource name, e.g. cpu: 4, memory: 16Gi."""

    boot_delay: Duration = timedelta(seconds=30)
    """From the purchase until the node registers."""

    available: Count | None = None
    """How many nodes the simulated cloud has to give in this group; a purchase beyond fails for lack of
    capacity. Absent: any number."""

    hourly_price: Quantity | None = None
    """What one node costs an hour, in the policy's currency."""


class SimulatedProvider(ApiModel):
    """A cloud that exists only inside the operator, for trying out policies without a bill."""

    groups: Annotated[
        tuple[SimulatedGroup, ...],
        Field(min_length=1, max_length=64, json_schema_extra=list_map("name")),
        unique(singular="group", key=lambda group: group.name),
    ]
    """The node groups of this pool."""


_KIND_IS_FIXED: Final = "create another NodePool with the new provider and delete this one"


class Provider(ApiModel):
    """Who has the machines: exactly one kind."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="[has(self.aws), has(self.simulated)].filter(given, given).size() == 1",
            wrong="exactly one of aws and simulated must be given",
            remedy="keep the one that has this pool's machines",
            holds=lambda provider: (provider.aws is None) != (provider.simulated is None),
        ),
        Rule(
            cel="has(self.aws) == has(oldSelf.aws) && has(self.simulated) == has(oldSelf.simulated)",
            wrong="the kind of provider cannot be changed",
            remedy=_KIND_IS_FIXED,
        ),
    )

    aws: AwsProvider | None = None
    """EC2 Auto Scaling groups."""

    simulated: SimulatedProvider | None = None
    """A cloud that exists only inside the operator."""

    @property
    def kind(self) -> str:
        """The key that is set: "aws" or "simulated"."""
        return "aws" if self.aws is not None else "simulated"


class NodePoolSpec(ApiModel):
    """What is wanted of the pool."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.minSize) || !has(self.maxSize) || self.minSize <= self.maxSize",
            wrong="minSize exceeds maxSize",
            remedy="lower minSize or raise maxSize",
            holds=lambda spec: (
                spec.min_size is None or spec.max_size is None or spec.min_size <= spec.max_size
            ),
            field="minSize",
        ),
    )

    policy_ref: PolicyRef = PolicyRef()
    """Which AutoscalerPolicy the pool follows."""

    mode: Mode = Mode.ACTIVE
    """Active: buy and remove nodes. DryRun: plan and report, change nothing. Paused: report only; what is
    under way is rolled back or left to finish. The stricter of this and the policy's mode is in force."""

    min_size: Count | None = None
    """Fewest nodes in the whole pool; fewer are topped up. Absent: the sum of the groups' own minimums. A
    group's own bounds always hold as well. Cluster Autoscaler: --nodes=min:max:name with
    --enforce-node-group-min-size."""

    max_size: Count | None = None
    """Most nodes in the whole pool. Absent: the sum of the groups' own maximums. Lowering it removes no
    node by itself. Cluster Autoscaler: --nodes=min:max:name."""

    weight: Count = 0
    """Preference for this pool among those that could serve the same pods, for the policy's expander
    priority: the highest wins, whatever it costs. Not used when the policy gives priorities."""

    provider: Provider
    """Who has the machines: exactly one of aws and simulated. The kind cannot be changed."""

    template: NodeTemplate | None = None
    """What a fresh node looks like, where the provider does not know it or is wrong; so growing from zero
    need not guess."""

    hourly_price: Quantity | None = None
    """What one node of this pool costs an hour, in the policy's currency, e.g. "0.096"; replaces the
    provider's price."""

    scale_up: ScaleUpOverrides | None = None
    """Settings of the policy's scaleUp that are different for this pool."""

    scale_down: ScaleDownOverrides | None = None
    """Settings of the policy's scaleDown that are different for this pool."""


class NodePool(ApiModel):
    """A NodePool is a family of interchangeable nodes that grows when pods cannot be scheduled, and
    shrinks when they fit elsewhere."""

    metadata: ObjectMeta
    spec: NodePoolSpec
    """What is wanted of the pool."""

    status: NodePoolStatus = NodePoolStatus()
    """What is true of the pool, written by Springtide."""

    @property
    def name(self) -> str:
        return self.metadata.name
