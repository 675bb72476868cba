"""The conditions of a NodePool: what is true of it and why, from its view and its part of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from springtide.api.conditions import Condition, ConditionType, Reason, set_condition
from springtide.api.settings import Mode
from springtide.cluster.degradation import Degradation
from springtide.cluster.groups import PoolListing, PoolProblem
from springtide.cluster.snapshot import PoolView
from springtide.planning.plan import PoolPlan
from springtide.reporting.degradations import told_of


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
    listing: PoolListing | None,
    *,
    now: datetime,
    degradations: Iterable[Degradation] = (),
) -> tuple[Condition, ...]:
    """The conditions after a pass; transition times stay where the status did."""
    conditions = tuple(before)
    if listing is None and conditions:
        # A process that has just started knows less than its predecessor wrote: not a reason to say otherwise.
        return conditions
    statements = {statement.kind: statement for statement in _usual(view, listing)}
    for finding in plan.findings:
        kind = ConditionType(finding.condition)
        statements[kind] = Statement(kind, finding.status, Reason(finding.reason), finding.message)
    fatal = [problem for problem in view.problems if problem.fatal]
    if fatal:
        # What is wrong with the resource itself outranks what planning found.
        statements[ConditionType.READY] = _not_ready(fatal)
    lesser = [problem for problem in view.problems if not problem.fatal]
    surroundings = told_of(degradations, view.name)
    if lesser or surroundings:
        found = statements.get(ConditionType.DEGRADED)
        statements[ConditionType.DEGRADED] = _degraded(surroundings, found, lesser)
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


def _degraded(
    surroundings: Sequence[tuple[Reason, str]], found: Statement | None, problems: Iterable[PoolProblem]
) -> Statement:
    """What is wrong with all around comes first, then what planning found, then all that is wrong with a part of the
    pool."""
    told = [*surroundings]
    if found is not None and found.status:
        told.append((found.reason, found.message))
    known = {reason for reason, _ in told}
    told += [(Reason(one.reason), one.message) for one in problems if one.reason not in known]
    return Statement(ConditionType.DEGRADED, True, told[0][0], "; ".join(text for _, text in told))


def _usual(view: PoolView, listing: PoolListing | None) -> Iterator[Statement]:
    """What holds unless planning found something else."""
    yield _ready(view)
    yield _reachable(listing)


def _not_ready(fatal: Sequence[PoolProblem]) -> Statement:
    """All of them; that the cloud will be read in a moment only when there is nothing else to mend."""
    told = [problem for problem in fatal if problem.reason != Reason.NOT_LISTED_YET] or fatal
    message = "; ".join(problem.message for problem in told)
    return Statement(ConditionType.READY, False, Reason(told[0].reason), message)


def _ready(view: PoolView) -> Statement:
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
