"""An AutoscalerPolicy's status from one pass: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final

from springtide.api.conditions import Condition, ConditionType, Reason, is_true, set_condition
from springtide.api.foreign_text import cut
from springtide.api.policy_status import (
    MAX_STUCK,
    AutoscalerPolicyStatus,
    BudgetReport,
    CostReport,
    PassReport,
    PoolCounts,
    StuckPods,
)
from springtide.api.settings import Mode
from springtide.cluster.snapshot import PolicyView, Snapshot
from springtide.planning.expanders.priorities import read_priorities
from springtide.planning.plan import BudgetState, PendingOutcome, Plan, PlannedCost
from springtide.reporting import phrases
from springtide.reporting.degradations import told_of
from springtide.reporting.plan_notes import clouds_unread, summary
from springtide.reporting.pool_status import MESSAGE_LIMIT, price

_ROUNDING: Final = 1e-6
"""A gap that is nothing but the last bit of a sum is none."""


@dataclass(frozen=True, slots=True)
class PassFacts:
    """What one pass did, for the policy's status."""

    snapshot: Snapshot
    plan: Plan
    duration: timedelta
    phases: Mapping[str, timedelta]
    pool_conditions: Mapping[str, tuple[Condition, ...]]
    """By pool name."""


def policy_status(
    policy: PolicyView, facts: PassFacts, before: AutoscalerPolicyStatus
) -> AutoscalerPolicyStatus:
    """The status after a pass. Times and durations are heartbeat fields: the writer decides when they are worth a write."""
    return AutoscalerPolicyStatus(
        observed_generation=policy.generation,
        pools=_pools(policy, facts),
        last_pass=PassReport(
            time=facts.plan.now,
            plan_id=facts.plan.id,
            duration=facts.duration,
            phases=dict(facts.phases),
            pending_pods=pending_pods(facts.plan),
            summary=summary(facts.plan)[:MESSAGE_LIMIT],
        ),
        cost=_cost(facts.plan.costs.get(policy.name), before.cost),
        stuck_pods=before.stuck_pods if clouds_unread(facts.snapshot) else _stuck(facts.plan),
        budgets=tuple(_budget(state) for state in facts.plan.budgets.get(policy.name, ())),
        last_probe_time=before.last_probe_time,
        conditions=_conditions(policy, facts, before.conditions),
    )


def pending_pods(plan: Plan) -> int:
    """Pods that wait for a place, whatever becomes of them."""
    return sum(len(v.pods) for v in plan.pending if v.outcome is not PendingOutcome.IGNORED)


def _cost(cost: PlannedCost | None, before: CostReport | None) -> CostReport | None:
    """Of these purchases; where there are none, those before still are the last."""
    if cost is None:
        return before
    return CostReport(
        planned=price(cost.planned),
        lower_bound=price(cost.lower_bound),
        gap_percent=min(100, max(0, math.ceil(cost.gap * 100 - _ROUNDING))),
    )


def _budget(state: BudgetState) -> BudgetReport:
    return BudgetReport(
        name=state.name, open=state.open, allowed=state.allowed, in_use=state.in_use, until=state.until
    )


def _stuck(plan: Plan) -> tuple[StuckPods, ...]:
    stuck = (verdict for verdict in plan.pending if verdict.outcome is PendingOutcome.NO_GROUP)
    return tuple(
        StuckPods(
            pod=verdict.pods[0].key,
            count=len(verdict.pods),
            reason=cut(phrases.not_triggered(verdict), at_most=MESSAGE_LIMIT),
        )
        for verdict in islice(stuck, MAX_STUCK)
    )


def _pools(policy: PolicyView, facts: PassFacts) -> PoolCounts:
    mine = [view for view in facts.snapshot.pools if view.policy == policy.name]
    modes = [view.mode for view in mine]
    ready = [view for view in mine if is_true(facts.pool_conditions.get(view.name, ()), ConditionType.READY)]
    return PoolCounts(
        total=len(mine),
        ready=len(ready),
        active=modes.count(Mode.ACTIVE),
        dry_run=modes.count(Mode.DRY_RUN),
        paused=modes.count(Mode.PAUSED),
    )


def _conditions(policy: PolicyView, facts: PassFacts, before: Iterable[Condition]) -> tuple[Condition, ...]:
    told = [condition for condition in before if condition.type != ConditionType.PRIORITIES_VALID]
    conditions = _degraded(policy, facts, _ready(policy, facts, told))
    text = policy.spec.priorities
    if text is None:
        return conditions
    fault = read_priorities(text).fault
    return set_condition(
        (*conditions, *(each for each in before if each.type == ConditionType.PRIORITIES_VALID)),
        ConditionType.PRIORITIES_VALID,
        not fault,
        reason=Reason.PRIORITIES_MALFORMED if fault else Reason.PRIORITIES_READ,
        message=f"spec.priorities: {fault}; until that is mended the expander priority rules nothing out"
        if fault
        else "",
        generation=policy.generation,
        now=facts.plan.now,
    )


def _degraded(policy: PolicyView, facts: PassFacts, before: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """What is wrong with all around, whatever the pools."""
    told = told_of(facts.plan.degradations)
    return set_condition(
        before,
        ConditionType.DEGRADED,
        bool(told),
        reason=told[0][0] if told else Reason.AS_EXPECTED,
        message="; ".join(text for _, text in told),
        generation=policy.generation,
        now=facts.plan.now,
    )


def _ready(policy: PolicyView, facts: PassFacts, before: Iterable[Condition]) -> tuple[Condition, ...]:
    snapshot = facts.snapshot
    followers = sum(view.policy == policy.name for view in snapshot.pools)
    message = f"followed by {followers} {'NodePool' if followers == 1 else 'NodePools'}"
    status, reason = True, Reason.ACCEPTED
    if snapshot.cluster_autoscaler:
        status, reason = False, Reason.CLUSTER_AUTOSCALER_ACTIVE
        message = (
            f"Cluster Autoscaler is active ({snapshot.cluster_autoscaler} holds its Lease): nothing is bought or "
            "removed; stop one of the two"
        )
    elif snapshot.purchases_forbidden:
        forbidding = (d.mode for d in snapshot.degradations if d.forbids_purchases and d.pools is None)
        status, reason = False, Reason(next(forbidding, Reason.STALE_PICTURE))
        message = snapshot.purchases_forbidden
    elif not facts.plan.cluster_healthy:
        status, reason, message = (
            False,
            Reason.CLUSTER_UNHEALTHY,
            "too many nodes are unready (see spec.health): nothing is bought or removed until they recover",
        )
    elif policy.spec.mode is not Mode.ACTIVE:
        reason = Reason.PAUSED if policy.spec.mode is Mode.PAUSED else Reason.DRY_RUN
        message = f"spec.mode is {policy.spec.mode.value}: reported, but nothing is bought or removed"
    return set_condition(
        before,
        ConditionType.READY,
        status,
        reason=reason,
        message=message,
        generation=policy.generation,
        now=facts.plan.now,
    )
