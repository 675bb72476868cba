"""AutoscalerPolicy: how the pools that refer to it behave."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from springtide.api.budgets import Budgets
from springtide.api.metadata import ObjectMeta
from springtide.api.model import ApiModel
from springtide.api.policy_status import AutoscalerPolicyStatus
from springtide.api.rules import Rule, no_longer, within
from springtide.api.scalars import (
    LIST_SET,
    Duration,
    Flag,
    Matching,
    PositiveDuration,
    Quantity,
    ResourceList,
    unique,
)
from springtide.api.settings import Expander, HealthSettings, Mode, ScaleDownSettings, ScaleUpSettings


class Limits(ApiModel):
    """Bounds on all pools of the policy together."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=within("min", "max"),
            wrong="min exceeds max",
            remedy="lower the resource in min or raise it in max",
            field="min",
        ),
    )

    min: ResourceList | None = None
    """No removal takes the pools below these, by resource: nodes, cpu, memory, nvidia.com/gpu and other
    resources of nodes, and hourlyCost in the policy's currency. Cluster Autoscaler: first part of
    --cores-total, --memory-total, --gpu-total."""

    max: ResourceList | None = None
    """No purchase takes the pools above these, by resource: nodes, cpu, memory, nvidia.com/gpu and other
    resources of nodes, and hourlyCost in the policy's currency. Cluster Autoscaler: --max-nodes-total,
    second part of --cores-total, --memory-total, --gpu-total."""


LabelKeys = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=317)], ...],
    Field(max_length=32, json_schema_extra=LIST_SET),
    unique(singular="label"),
]


class SimilaritySettings(ApiModel):
    """When nodes of different pools are alike. Ratios are shares of the larger amount, e.g. "0.05"."""

    max_allocatable_difference_ratio: Quantity = "0.05"
    """What is allocatable may differ by so much, for each resource. Cluster Autoscaler:
    --max-allocatable-difference-ratio."""

    max_free_difference_ratio: Quantity = "0.05"
    """What the DaemonSets' pods leave free may differ by so much, for each resource. Cluster Autoscaler:
    --max-free-difference-ratio."""

    memory_difference_ratio: Quantity = "0.015"
    """The memory capacity may differ by so much; capacities of other resources must be equal. Cluster
    Autoscaler: --memory-difference-ratio."""

    ignored_labels: LabelKeys = ()
    """Labels of nodes that may differ, besides those that tell zones, hosts and the provider's own
    groups apart. Cluster Autoscaler: --balancing-ignore-label."""

    balancing_labels: LabelKeys = ()
    """If any are given, only these labels are compared: nodes are alike that have them all, with equal
    values, whatever their size. Cluster Autoscaler: --balancing-label."""


Currency = Annotated[str, Matching(r"^[A-Z]{3}$", "write an ISO 4217 code, e.g. EUR", max_length=3)]


def _least_cost_is_first(expanders: tuple[Expander, ...]) -> bool:
    return Expander.LEAST_COST not in expanders[1:]


def _random_is_last(expanders: tuple[Expander, ...]) -> bool:
    return Expander.RANDOM not in expanders[:-1]


class AutoscalerPolicySpec(ApiModel):
    """How the pools that refer to this policy behave."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=no_longer("settle", "settleMax"),
            wrong="settle is longer than settleMax",
            remedy="shorten settle or lengthen settleMax",
            holds=lambda spec: spec.settle <= spec.settle_max,
            field="settle",
        ),
        Rule(
            cel="!has(self.expanders) || !self.expanders.exists(e, e == 'random') || "
            "self.expanders[self.expanders.size() - 1] == 'random'",
            wrong="random always decides, so nothing after it would be asked",
            remedy="put random last",
            holds=lambda spec: _random_is_last(spec.expanders),
            field="expanders",
        ),
        Rule(
            cel="!has(self.expanders) || !self.expanders.exists(e, e == 'least-cost') || "
            "self.expanders[0] == 'least-cost'",
            wrong="least-cost plans all groups together, so nothing before it could choose among them",
            remedy="put least-cost first",
            holds=lambda spec: _least_cost_is_first(spec.expanders),
            field="expanders",
        ),
    )

    mode: Mode = Mode.ACTIVE
    """Active: buy and remove nodes. DryRun: plan and report, change nothing. Paused: report only. The
    stricter of this and a pool's mode is in force for the pool."""

    scan_interval: PositiveDuration = timedelta(seconds=10)
    """At least one pass is made in so long; pending pods and other events start one at once. Cluster
    Autoscaler: --scan-interval."""

    settle: Duration = timedelta(milliseconds=200)
    """After an event, wait until nothing more happened for so long, so that many pods created together
    make one plan."""

    settle_max: Duration = timedelta(seconds=2)
    """However much goes on happening, wait no longer than this after the first event."""

    expanders: Annotated[
        tuple[Expander, ...],
        Field(min_length=1, max_length=6, json_schema_extra=LIST_SET),
        unique(singular="expander"),
    ] = (Expander.LEAST_WASTE,)
    """How one of several possible purchases is chosen: the first keeps the best options, the next choose
    among those; of what is still tied the fewest nodes are taken. random: any; most-pods: schedules most
    pods; least-waste: leaves least CPU and memory idle; least-nodes: adds fewest nodes; price: costs
    least an hour for what it serves; priority: the highest by priorities, or by the pools' weight;
    least-cost: starts from what price would buy and plans all groups together, as cheaply as it can
    within planningBudget. Cluster Autoscaler: --expander."""

    planning_budget: PositiveDuration = timedelta(seconds=2)
    """How long purchases may be held back while the expander least-cost looks for cheaper ones."""

    priorities: Annotated[str, StringConstraints(min_length=1, max_length=16384)] | None = None
    """For the expander priority, in the words of Cluster Autoscaler's ConfigMap: YAML, a priority (an
    integer, the highest wins) and under it a list of regular expressions (Go's RE2) that are looked for
    in the ids of node groups. A group that none of them matches is not used while another one matches;
    when nothing matches, nothing is ruled out. Absent: the pools' weight decides. Text that cannot be
    read rules nothing out, and the policy's condition PrioritiesValid says what is wrong with it."""

    balance_similar_pools: Flag = False
    """Whether pools whose nodes are alike share purchases, so that their sizes even out (e.g. a pool for
    each zone). A pool's own groups always do. What keeps two pools from being alike is in the pools'
    status, under similarPools. Cluster Autoscaler: --balance-similar-node-groups."""

    similarity: SimilaritySettings = SimilaritySettings()
    """When nodes of different pools are alike, for balanceSimilarPools."""

    currency: Annotated[str, Matching(r"^[A-Z]{3}$", "write an ISO 4217 code, e.g. EUR", max_length=3)] = (
        "USD"
    )
    """Currency of all prices, as an ISO 4217 code. Prices are never converted."""

    scale_up: ScaleUpSettings = ScaleUpSettings()
    """When and how nodes are bought."""

    scale_down: ScaleDownSettings = ScaleDownSettings()
    """When and how nodes are given back."""

    limits: Limits | None = None
    """Bounds on all pools of this policy together. Absent: none."""

    budgets: Budgets = ()
    """How many nodes may be out of service at the same time, and when any may be removed. Of the budgets
    that hold at the moment the strictest counts. A removal that has begun is finished whatever opens or
    closes. Purchases, and instances that never became nodes, are not bound."""

    health: HealthSettings = HealthSettings()
    """When so many nodes are unready that nothing is bought or removed."""


class AutoscalerPolicy(ApiModel):
    """An AutoscalerPolicy says how the NodePools that refer to it grow and shrink."""

    metadata: ObjectMeta
    spec: AutoscalerPolicySpec = AutoscalerPolicySpec()
    """How the pools that refer to this policy behave."""

    status: AutoscalerPolicyStatus = AutoscalerPolicyStatus()
    """What the last pass did, written by Springtide."""

    @property
    def name(self) -> str:
        return self.metadata.name
