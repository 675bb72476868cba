"""Failed purchases: seen for the first time, or overdue. The unfulfilled part is cancelled and the group backs off, in
the same pass that sees it, so that the pods are planned onto other groups at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.groups import FailureClass, InstanceState, LaunchFailure
from springtide.cluster.snapshot import Backoff
from springtide.planning.groups.backoff import after_failure, in_force, still_counted
from springtide.planning.groups.readiness import GroupState
from springtide.planning.groups.upcoming import Upcoming, target_of, unfulfilled
from springtide.planning.plan import Cancellation

CLOUD_CLOCK_SKEW: Final = timedelta(seconds=30)
"""A failure is stamped by the cloud's clock: so much older than the purchase it may seem."""


@dataclass(frozen=True, slots=True)
class GroupFailure:
    """What this pass makes of a group's troubles."""

    backoff: Backoff | None
    """To remember; None: none, or long forgotten."""
    seen_until: datetime | None
    """Launch failures up to this time have been acted on."""
    cancellation: Cancellation | None = None
    message: str = ""
    """Of the failure first observed in this pass; empty: none was."""

    @property
    def is_new(self) -> bool:
        return bool(self.message)


def examine(state: GroupState, *, upcoming: Upcoming, now: datetime) -> GroupFailure:
    """Look for failures that no pass has acted on."""
    settings = state.pool.settings.scale_up
    kept = still_counted(state.memory.backoff, now=now, settings=settings.backoff)
    seen_until = _seen_until(state)
    found = _launch_failure(state, now=now) or _timeout(state, upcoming=upcoming, now=now)
    if found is None and in_force(kept, now=now) and kept is not None:
        return GroupFailure(backoff=kept, seen_until=seen_until, cancellation=_left_over(state, kept))
    if found is None:
        # A purchase that succeeded proves the group: counting starts anew, as in Cluster Autoscaler.
        return GroupFailure(backoff=None if upcoming.fulfilled else kept, seen_until=seen_until)
    failure_class, message = found
    return GroupFailure(
        backoff=after_failure(
            kept, reason=failure_class, now=now, settings=settings.backoff, message=message
        ),
        seen_until=seen_until,
        cancellation=_cancellation(state, failure_class, message),
        message=message,
    )


def _seen_until(state: GroupState) -> datetime | None:
    times = [failure.time for failure in state.group.failures]
    if state.memory.failures_seen_until is not None:
        times.append(state.memory.failures_seen_until)
    return max(times, default=None)


def _launch_failure(state: GroupState, *, now: datetime) -> tuple[FailureClass, str] | None:
    """The newest launch failure that is news and left something unfulfilled.

    A cloud goes on trying by itself: a failure after which everything came is none.
    """
    since = _relevant_since(state, now=now)
    new = [failure for failure in state.group.failures if _is_news(failure, state=state, since=since)]
    if unfulfilled(state) == 0:
        # A refused call leaves nothing unfulfilled: nothing was asked for.
        new = [failure for failure in new if failure.failure_class is FailureClass.REFUSED]
    if not new:
        return None
    last = max(new, key=lambda failure: failure.time)
    return last.failure_class, last.message


def _is_news(failure: LaunchFailure, *, state: GroupState, since: datetime) -> bool:
    seen = state.memory.failures_seen_until
    return failure.time > since and (seen is None or failure.time > seen)


def _relevant_since(state: GroupState, *, now: datetime) -> datetime:
    """Failures before this belong to older stories, e.g. the history of a group that was just added."""
    if state.memory.purchase is not None:
        return state.memory.purchase.since - CLOUD_CLOCK_SKEW
    return now - state.pool.settings.scale_up.max_node_provision_time


def _timeout(state: GroupState, *, upcoming: Upcoming, now: datetime) -> tuple[FailureClass, str] | None:
    purchase = upcoming.outstanding
    if not upcoming.overdue or purchase is None:
        return None
    limit = state.pool.settings.scale_up.max_node_provision_time
    known = state.memory.backoff
    if known is not None and known.last_failure >= purchase.since + limit:
        return None
    lacking = unfulfilled(state) + len(state.unregistered)
    minutes = limit.total_seconds() / 60
    return (
        FailureClass.TIMEOUT,
        f"{lacking} of the nodes asked for did not register within {minutes:g} minutes",
    )


def _left_over(state: GroupState, backoff: Backoff) -> Cancellation | None:
    """What an earlier pass should have cancelled, but the cloud did not take: seen in a read after the failure, and
    only of a purchase of ours, since somebody else may mean it."""
    purchase, read_at = state.memory.purchase, state.group.read_at
    if purchase is None or not purchase.plan_id or read_at is None or read_at <= backoff.last_failure:
        return None
    return _cancellation(state, backoff.reason, "still not fulfilled since the purchase failed")


def _cancellation(state: GroupState, failure_class: FailureClass, message: str) -> Cancellation | None:
    """Lower the target by what no instance fulfils; never below the instances, nor the group's own minimum."""
    target = target_of(state)
    alive = sum(instance.state is not InstanceState.DELETING for instance in state.group.instances)
    lowered = max(alive, state.group.min_size)
    if lowered >= target:
        return None
    return Cancellation(
        pool=state.pool.name,
        group=state.group.id,
        from_target=target,
        to_target=lowered,
        failure=failure_class,
        message=message,
    )
