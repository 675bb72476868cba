"""The conditions of a NodePool: what is true of it and why, from its view and its part of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from springtide.api.conditions import Condition, ConditionType, Reason, set_condition
from springtide.api.settings import Mode
from springtide.cluster.groups import PoolListing, PoolProblem
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.plan import PoolPlan, ScaleDownState


@dataclass(frozen=True, slots=True)
class Statement:
    """One condition, without its times."""

    kind: ConditionType
    status: bool
    reason: Reason
    message: str


def pool_conditions(
    before: Iterable[Condition],
    view: PoolView,
    plan: PoolPlan,
    snapshot: Snapshot,
    listing: PoolListing | None,
    *,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions after a pass; transition times stay where the status did."""
    statements = {statement.kind: statement for statement in _usual(view, plan, snapshot, listing)}
    for finding in plan.findings:
        kind = ConditionType(finding.condition)
        statements[kind] = Statement(kind, finding.status, Reason(finding.reason), finding.message)
    problem = next((problem for problem in view.problems if problem.fatal), None)
    if problem is not None:
        # What is wrong with the resource itself outranks what planning found.
        statements[ConditionType.READY] = _not_ready(view.problems, problem)
    conditions = tuple(before)
    for statement in statements.values():
        conditions = set_condition(
            conditions,
            statement.kind,
            statement.status,
            reason=statement.reason,
            message=statement.message,
            generation=view.generation,
            now=now,
        )
    return conditions


def _usual(
    view: PoolView, plan: PoolPlan, snapshot: Snapshot, listing: PoolListing | None
) -> Iterator[Statement]:
    yield _ready(view, snapshot)
    yield _reachable(listing)
    yield _degraded(view, plan, snapshot.now)
    yield _scaling_up(view)
    yield _scaling_down(plan)
    yield Statement(ConditionType.AT_MAX, False, Reason.WITHIN_BOUNDS, "")


def _not_ready(problems: Iterable[PoolProblem], first: PoolProblem) -> Statement:
    message = "; ".join(problem.message for problem in problems if problem.fatal)
    return Statement(ConditionType.READY, False, Reason(first.reason), message)


def _ready(view: PoolView, snapshot: Snapshot) -> Statement:
    if snapshot.cluster_autoscaler:
        message = (
            f"Cluster Autoscaler is running (its Lease is held by {snapshot.cluster_autoscaler}): nothing is bought "
            "or removed until it stops; scale its Deployment to 0 to hand over"
        )
        return Statement(ConditionType.READY, False, Reason.CLUSTER_AUTOSCALER_ACTIVE, message)
    match view.mode:
        case Mode.PAUSED:
            message = "paused: reported, but nothing is bought or removed"
            return Statement(ConditionType.READY, True, Reason.PAUSED, message)
        case Mode.DRY_RUN:
            message = "dry run: planned and reported, but nothing is bought or removed"
            return Statement(ConditionType.READY, True, Reason.DRY_RUN, message)
        case Mode.ACTIVE:
            count = len(view.groups)
            message = f"managing {count} node {'group' if count == 1 else 'groups'}"
            return Statement(ConditionType.READY, True, Reason.ACCEPTED, message)


def _reachable(listing: PoolListing | None) -> Statement:
    if listing is None or (listing.read_at is None and not listing.error):
        message = "the cloud has not been read yet"
        return Statement(ConditionType.PROVIDER_REACHABLE, False, Reason.NOT_LISTED_YET, message)
    if listing.error:
        reason = Reason(listing.error_reason or Reason.PROVIDER_ERROR)
        return Statement(ConditionType.PROVIDER_REACHABLE, False, reason, listing.error)
    return Statement(ConditionType.PROVIDER_REACHABLE, True, Reason.LISTED, "")


def _degraded(view: PoolView, plan: PoolPlan, now: datetime) -> Statement:
    notes = [(Reason(problem.reason), problem.message) for problem in view.problems if not problem.fatal]
    for group in plan.groups:
        if group.backoff is not None and group.backoff.until > now:
            text = f"node group {group.group} backs off until {group.backoff.until:%Y-%m-%dT%H:%M:%SZ}"
            detail = f": {group.failure_message}" if group.failure_message else f" ({group.backoff.reason})"
            notes.append((Reason.GROUPS_BACKING_OFF, text + detail))
    if plan.counts.unready or plan.counts.long_not_started:
        unready = plan.counts.unready + plan.counts.long_not_started
        notes.append((Reason.NODES_UNREADY, f"{unready} of {plan.counts.registered} nodes are not ready"))
    if plan.counts.long_unregistered:
        text = f"{plan.counts.long_unregistered} instances never became a Node"
        notes.append((Reason.UNREGISTERED_INSTANCES, text))
    if not notes:
        return Statement(ConditionType.DEGRADED, False, Reason.AS_EXPECTED, "")
    return Statement(ConditionType.DEGRADED, True, notes[0][0], "; ".join(text for _, text in notes))


def _scaling_up(view: PoolView) -> Statement:
    outstanding = sorted(group for group, memory in view.memory.items() if memory.purchase is not None)
    if not outstanding:
        return Statement(ConditionType.SCALING_UP, False, Reason.NO_ACTIVITY, "")
    message = f"nodes are on their way in {', '.join(outstanding[:5])}"
    return Statement(ConditionType.SCALING_UP, True, Reason.PURCHASE_OUTSTANDING, message)


def _scaling_down(plan: PoolPlan) -> Statement:
    if plan.scale_down is not ScaleDownState.IN_PROGRESS:
        return Statement(ConditionType.SCALING_DOWN, False, Reason.NO_ACTIVITY, "")
    message = "nodes are being removed"
    return Statement(ConditionType.SCALING_DOWN, True, Reason.REMOVAL_IN_PROGRESS, message)
