"""Status of an AutoscalerPolicy: its pools and its last pass."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from springtide.api.budgets import MAX_BUDGETS
from springtide.api.conditions import ConditionList
from springtide.api.model import ApiModel
from springtide.api.scalars import AnyInteger, Duration, Figure, LongText, Quantity, Time, list_map


class PoolCounts(ApiModel):
    """The NodePools that refer to the policy, by what they are."""

    total: Figure = 0
    """All of them."""
    ready: Figure = 0
    """Those with Ready=True."""
    active: Figure = 0
    """Those in force as Active."""
    dry_run: Figure = 0
    """Those in force as DryRun."""
    paused: Figure = 0
    """Those in force as Paused."""


class PassReport(ApiModel):
    """One pass."""

    time: Time
    """When it began."""
    plan_id: Annotated[str | None, Field(max_length=64)] = Field(default=None, alias="planID")
    """Its plan; the same id is in events and logs."""
    duration: Duration | None = None
    """How long it took."""
    phases: Annotated[dict[str, Duration], Field(max_length=16)] = Field(default_factory=dict)
    """How long each phase took: snapshot, plan, actuate, report."""
    pending_pods: Figure = 0
    """Pods that waited for a place."""
    summary: LongText | None = None
    """What was decided, in one line with its numbers."""


class CostReport(ApiModel):
    """What the last purchases of the policy's pools cost, in its currency per hour."""

    planned: Quantity
    """Of the nodes that were bought."""
    lower_bound: Quantity
    """Proven: no other choice among the node groups would have held the same pods for less."""
    gap_percent: Annotated[int, Field(ge=0, le=100)]
    """The largest part of the planned cost that a better choice could have saved; rounded up."""


MAX_STUCK = 16


class StuckPods(ApiModel):
    """Pending pods, alike to the scheduler, that no node group can help."""

    pod: Annotated[str, Field(max_length=317)]
    """One of them, as namespace/name."""
    count: Figure = 1
    """How many they are."""
    reason: LongText
    """What each node group says, and which group comes nearest if what were changed."""


class BudgetReport(ApiModel):
    """One of spec.budgets at the last pass."""

    name: Annotated[str, Field(max_length=63)]
    """The budget's name."""
    open: bool = True
    """Whether its window is open; a budget without a schedule always is."""
    allowed: Figure | None = None
    """Most nodes that it lets be out of service at the same time; absent: it sets no bound now."""
    in_use: Figure = 0
    """Nodes of the policy's pools that are out of service: being removed, or unready."""
    until: Time | None = None
    """When its window closes or opens next; absent: never, or not within a year or so."""


class AutoscalerPolicyStatus(ApiModel):
    """What the last pass did, written by Springtide."""

    observed_generation: AnyInteger | None = None
    """The metadata.generation that this status speaks of."""
    pools: PoolCounts | None = None
    """The NodePools that refer to the policy, by what they are."""
    last_pass: PassReport | None = None
    """The last pass; written anew when its content changes, and about once a minute."""
    cost: CostReport | None = None
    """What the last purchases cost; absent before the first, and when a price is unknown."""
    stuck_pods: Annotated[
        tuple[StuckPods, ...], Field(max_length=MAX_STUCK, json_schema_extra=list_map("pod"))
    ] = ()
    """Pending pods that no node group can help; the first kinds, by priority and age."""
    budgets: Annotated[
        tuple[BudgetReport, ...], Field(max_length=MAX_BUDGETS, json_schema_extra=list_map("name"))
    ] = ()
    """What spec.budgets allow, and what is in use."""
    last_probe_time: Time | None = None
    """When the policy was last looked at, to the minute or so."""
    conditions: ConditionList = ()
    """What is true of the policy and why; Ready first."""
