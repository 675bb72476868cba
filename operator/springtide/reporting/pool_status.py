"""A NodePool's status from one pass: pure, so that the same facts give the same bytes and nothing is written twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from springtide.api.conditions import Condition
from springtide.api.nodepool_status import (
    MAX_CANDIDATES,
    MAX_GROUPS,
    MAX_REMOVALS,
    Candidate,
    Decision,
    EffectiveSettings,
    GroupBackoff,
    GroupError,
    GroupPurchase,
    GroupRequest,
    GroupStatus,
    NodeCounts,
    NodePoolStatus,
    PoolSize,
    RemovalStatus,
    ScaleDownStatus,
    ScaleUpStatus,
    SimilarPool,
    Utilization,
)
from springtide.api.resolve import effective
from springtide.cluster.groups import NodeGroup
from springtide.cluster.snapshot import GroupMemory, PoolView, RemovalInFlight
from springtide.planning.plan import GroupPlan, NodeVerdict, PoolPlan
from springtide.reporting import phrases

MESSAGE_LIMIT: Final = 1024
_BEYOND_MONEY: Final = 1e15
_LARGEST_QUANTITY: Final = 9e99
"""Whose exponent still has two digits, as our schema of quantities wants it."""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Everything a status is made of."""

    view: PoolView
    plan: PoolPlan
    memory: Mapping[str, GroupMemory]
    last_scale_up: datetime | None
    last_scale_down: datetime | None
    last_scale_down_failure: datetime | None
    policy_generation: int | None
    conditions: tuple[Condition, ...]
    decision: Decision | None
    removals: Sequence[RemovalInFlight] = ()
    """Of the pool's nodes."""
    errors: Mapping[str, GroupError] = field(default_factory=dict)
    """Last error by group id."""
    ever_listed: bool = True
    """Whether this process has read the pool's groups, so that it knows which there are."""


def pool_status(facts: PoolFacts, before: NodePoolStatus, *, now: datetime) -> NodePoolStatus:
    """The status after a pass. `before` gives the transition times and the heartbeat, which stay when nothing changed."""
    view, plan = facts.view, facts.plan
    if not facts.ever_listed:
        return _while_unread(facts, before)
    return NodePoolStatus(
        observed_generation=view.generation,
        effective=_effective(facts),
        size=PoolSize(target=plan.target, min=plan.min_size, max=plan.max_size),
        nodes=_counts(plan),
        groups=_groups(facts),
        scale_up=_scale_up(facts, before.scale_up, now),
        scale_down=_scale_down(plan, facts.removals, before.scale_down, now),
        utilization_percent=_utilization(plan),
        hourly_cost=None if plan.hourly_cost is None else price(plan.hourly_cost),
        similar_pools=tuple(
            SimilarPool(name=each.pool, difference=each.difference[:MESSAGE_LIMIT] or None)
            for each in plan.similar_pools
        ),
        last_scale_up_time=facts.last_scale_up,
        last_scale_down_time=facts.last_scale_down,
        last_scale_down_failure_time=facts.last_scale_down_failure,
        last_probe_time=before.last_probe_time,
        last_decision=facts.decision or before.last_decision,
        conditions=facts.conditions,
    )


def _while_unread(facts: PoolFacts, before: NodePoolStatus) -> NodePoolStatus:
    """Before this process has read the cloud: what the last one wrote stays, above all purchases and backoffs."""
    return before.model_copy(
        update={
            "observed_generation": facts.view.generation,
            "effective": _effective_while_unread(facts, before.effective),
            "conditions": facts.conditions,
            "last_decision": facts.decision or before.last_decision,
        }
    )


def _effective(facts: PoolFacts) -> EffectiveSettings:
    """The settings in force; while there is no policy to take them from, the pool's own mode alone."""
    if facts.policy_generation is None:
        return EffectiveSettings(mode=facts.view.mode)
    return effective(
        facts.view.settings,
        policy_generation=facts.policy_generation,
        min_size=facts.plan.min_size,
        max_size=facts.plan.max_size,
    )


def _effective_while_unread(facts: PoolFacts, before: EffectiveSettings | None) -> EffectiveSettings:
    """The settings are known without the cloud; the sizes, which depend on the groups' own bounds, are not."""
    now = _effective(facts)
    if before is None:
        return now
    return now.model_copy(update={"min_size": before.min_size, "max_size": before.max_size})


def price(amount: float) -> str:
    """A price an hour as a quantity, to a hundredth of a cent; beyond what anybody pays, its order of magnitude."""
    if amount >= _BEYOND_MONEY or math.isnan(amount):
        return f"{min(amount, _LARGEST_QUANTITY):.0e}" if amount >= _BEYOND_MONEY else "0"
    return f"{amount:.4f}".rstrip("0").rstrip(".")


def _utilization(plan: PoolPlan) -> Utilization | None:
    if plan.utilization_cpu_percent is None or plan.utilization_memory_percent is None:
        return None
    return Utilization(cpu=plan.utilization_cpu_percent, memory=plan.utilization_memory_percent)


def _counts(plan: PoolPlan) -> NodeCounts:
    counts = plan.counts
    return NodeCounts(
        registered=counts.registered,
        ready=counts.ready,
        unready=counts.unready,
        not_started=counts.not_started,
        long_not_started=counts.long_not_started,
        unregistered=counts.unregistered,
        long_unregistered=counts.long_unregistered,
        being_deleted=counts.being_deleted,
    )


def _groups(facts: PoolFacts) -> tuple[GroupStatus, ...]:
    plans = {group.group: group for group in facts.plan.groups}
    known = [group for group in facts.view.groups if group.id in plans][:MAX_GROUPS]
    return tuple(_group(group, plans[group.id], facts) for group in known)


def _group(group: NodeGroup, plan: GroupPlan, facts: PoolFacts) -> GroupStatus:
    memory = facts.memory.get(group.id, GroupMemory())
    return GroupStatus(
        id=group.id,
        zones=group.zones,
        target=plan.target,
        min=group.min_size,
        max=group.max_size,
        ready=plan.counts.ready,
        unfulfilled=plan.unfulfilled,
        request=_request(memory),
        purchase=_purchase(memory),
        backoff=_backoff(memory),
        last_error=facts.errors.get(group.id),
        failures_seen_until=memory.failures_seen_until,
        ever_registered=memory.ever_matched,
        template_source=group.template.source[:MESSAGE_LIMIT] if group.template else None,
    )


def with_requests(before: NodePoolStatus, memory: Mapping[str, GroupMemory]) -> NodePoolStatus:
    """The status with what the cloud is about to be asked for, and all else as it was. `memory`: by group, as it is
    now. A group that no status told of yet is told of."""
    told = [
        group.model_copy(
            update={"request": _request(memory[group.id]), "purchase": _purchase(memory[group.id])}
        )
        if group.id in memory
        else group
        for group in before.groups
    ]
    known = {group.id for group in told}
    told += [
        GroupStatus(id=group, request=_request(each), purchase=_purchase(each), backoff=_backoff(each))
        for group, each in memory.items()
        if group not in known and each.request is not None
    ]
    return before.model_copy(update={"groups": tuple(told)})


def _request(memory: GroupMemory) -> GroupRequest | None:
    if memory.request is None:
        return None
    expected, purchase = memory.request.expected, memory.request.purchase
    return GroupRequest(
        since=purchase.since,
        from_=expected,
        to=purchase.to_target,
        awaited=max(0, expected - purchase.from_target),
        registered=purchase.registered,
        plan_id=purchase.plan_id or None,
        for_=purchase.wanted_for,
    )


def _purchase(memory: GroupMemory) -> GroupPurchase | None:
    if memory.purchase is None:
        return None
    purchase = memory.purchase
    return GroupPurchase(
        since=purchase.since,
        from_=purchase.from_target,
        to=purchase.to_target,
        plan_id=purchase.plan_id or None,
        registered=purchase.registered,
        for_=purchase.wanted_for,
    )


def _backoff(memory: GroupMemory) -> GroupBackoff | None:
    if memory.backoff is None:
        return None
    backoff = memory.backoff
    return GroupBackoff(
        until=backoff.until,
        reason=backoff.reason.value,
        failures=backoff.failures,
        last_failure_time=backoff.last_failure,
        message=backoff.message[:MESSAGE_LIMIT] or None,
    )


def _scale_up(facts: PoolFacts, before: ScaleUpStatus | None, now: datetime) -> ScaleUpStatus:
    state = facts.plan.scale_up
    outstanding = [memory.purchase for memory in facts.memory.values() if memory.purchase is not None]
    came_from, going_to = (before.from_, before.to) if before else (None, None)
    if outstanding:
        going_to = facts.plan.target
        came_from = going_to - sum(purchase.to_target - purchase.from_target for purchase in outstanding)
    reason = facts.decision.summary if facts.decision and facts.decision.action == "ScaleUp" else None
    return ScaleUpStatus(
        state=state,
        from_=None if came_from is None else max(0, came_from),
        to=going_to,
        reason=reason or (before.reason if before else None),
        last_transition_time=_transition(before.state if before else None, state, before, now),
    )


def _scale_down(
    plan: PoolPlan, removals: Sequence[RemovalInFlight], before: ScaleDownStatus | None, now: datetime
) -> ScaleDownStatus:
    state = plan.scale_down
    return ScaleDownStatus(
        state=state,
        candidate_count=len(plan.candidates),
        candidates=tuple(_candidate(v) for v in (*plan.candidates, *plan.held)[:MAX_CANDIDATES]),
        removals=tuple(
            RemovalStatus(
                node=each.node,
                phase=each.phase,
                since=each.since,
                deadline=each.deadline,
                reason=each.reason or None,
            )
            for each in sorted(removals, key=lambda each: (each.since, each.node))[:MAX_REMOVALS]
        ),
        last_transition_time=_transition(before.state if before else None, state, before, now),
    )


def _transition(
    old: object, new: object, before: ScaleUpStatus | ScaleDownStatus | None, now: datetime
) -> datetime | None:
    return before.last_transition_time if before is not None and old == new else now


def _candidate(verdict: NodeVerdict) -> Candidate:
    return Candidate(
        node=verdict.node,
        since=verdict.unneeded_since,
        utilization_percent=max(0, round(100 * (verdict.utilization or 0.0))),
        blocked_by=phrases.node_block(verdict)[:MESSAGE_LIMIT] or None,
    )
