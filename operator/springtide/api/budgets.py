"""Budgets of a policy: how many nodes may be taken out of service at the same time, and when any may."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from springtide.api.model import ApiModel
from springtide.api.rules import Rule
from springtide.api.scalars import LIST_SET, Count, Matching, Percent, PositiveDuration, list_map, unique
from springtide.api.schedule import Schedule, TimeZone

MAX_BUDGETS: Final = 32


class RemovalReason(StrEnum):
    """Why a node is given back."""

    EMPTY = "Empty"
    UNDERUTILIZED = "Underutilized"
    UNREADY = "Unready"


class BudgetAction(StrEnum):
    """What a budget's windows mean."""

    LIMIT = "Limit"
    ALLOW = "Allow"


BudgetName = Annotated[
    str,
    Matching(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "write lower-case letters, digits and '-', e.g. business-hours",
        max_length=63,
    ),
]


class Budget(ApiModel):
    """A bound on the nodes of the policy's pools that are out of service at the same time: being removed, or
    unready."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.nodes) && has(self.nodesPercent))",
            wrong="both nodes and nodesPercent are given",
            remedy="keep one of them",
            holds=lambda budget: budget.nodes is None or budget.nodes_percent is None,
        ),
        Rule(
            cel="has(self.nodes) || has(self.nodesPercent) || self.action == 'Allow'",
            wrong="no number of nodes is given",
            remedy="give nodes or nodesPercent, 0 for none",
            holds=lambda budget: (
                budget.nodes is not None
                or budget.nodes_percent is not None
                or budget.action is BudgetAction.ALLOW
            ),
        ),
        Rule(
            cel="has(self.schedule) == has(self.duration)",
            wrong="schedule and duration are given one without the other",
            remedy="give both, or neither for a budget that always holds",
            holds=lambda budget: (budget.schedule is None) == (budget.duration is None),
        ),
        Rule(
            cel="self.action != 'Allow' || has(self.schedule)",
            wrong="action Allow without a schedule allows always",
            remedy="give schedule and duration, or use action Limit",
            holds=lambda budget: budget.action is not BudgetAction.ALLOW or budget.schedule is not None,
        ),
    )

    name: BudgetName
    """Names the budget in status, verdicts and metrics."""

    action: BudgetAction = BudgetAction.LIMIT
    """Limit: while its window is open, no more nodes than given here are out of service at the same time; 0
    denies. Allow: the same, if it gives a number; and while the window of no budget with action Allow is
    open that covers a reason, no node is removed for that reason."""

    nodes: Count | None = None
    """Most nodes that are out of service at the same time; 0: no node is removed. All count that are being
    removed, for whatever reason and by whomever, and those that are unready; but an unready node is kept
    only by those being removed, or unready nodes would wait for each other."""

    nodes_percent: Percent | None = None
    """The same in percent of the nodes of the policy's pools that have started; rounded up, as Karpenter and
    PodDisruptionBudgets do. 0: no node is removed."""

    reasons: Annotated[
        tuple[RemovalReason, ...],
        Field(max_length=8, json_schema_extra=LIST_SET),
        unique(singular="reason"),
    ] = ()
    """The removals it covers. Empty: no pod but those of DaemonSets is on the node; Underutilized: its pods
    fit elsewhere; Unready: the node is not ready. Absent or none: all."""

    schedule: Schedule | None = None
    """When its windows open: the five fields of cron, e.g. 0 22 * * MON-FRI. Absent: it always holds. What
    falls into the hour that summer time skips opens right after it; what comes twice opens once."""

    duration: PositiveDuration | None = None
    """How long a window stays open, in time that passes. Windows that overlap are one."""

    time_zone: TimeZone = "UTC"
    """The schedule's time zone, by its IANA name, e.g. Europe/Berlin."""

    def covers(self, reason: RemovalReason) -> bool:
        """Whether removals for this reason are bound by it."""
        return not self.reasons or reason in self.reasons


Budgets = Annotated[
    tuple[Budget, ...],
    Field(max_length=MAX_BUDGETS, json_schema_extra=list_map("name")),
    unique(singular="budget", key=lambda budget: budget.name),
]
