"""Backoff of node groups after failed purchases: how long a group is left out of scale-up.

Semantics of Cluster Autoscaler's exponential backoff: the wait doubles with each failure up to a maximum; a
failure while the wait is still running starts it anew at the same length (several purchases that fail together
are one piece of news); after a long time without failure counting starts from the beginning.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from springtide.api.settings import BackoffSettings
from springtide.cluster.groups import FailureClass
from springtide.cluster.snapshot import Backoff


def in_force(backoff: Backoff | None, *, now: datetime) -> bool:
    """Whether the group may not be bought from at `now`."""
    return backoff is not None and backoff.until > now


def after_failure(
    previous: Backoff | None,
    *,
    reason: FailureClass,
    now: datetime,
    settings: BackoffSettings,
    message: str = "",
) -> Backoff:
    """The backoff that a failure observed at `now` leads to."""
    failures = _failures_before(previous, now=now, settings=settings)
    if not in_force(previous, now=now):
        failures += 1
    return Backoff(
        until=now + wait(failures, settings),
        reason=reason,
        failures=failures,
        last_failure=now,
        message=message,
    )


def still_counted(backoff: Backoff | None, *, now: datetime, settings: BackoffSettings) -> Backoff | None:
    """The backoff, unless its last failure is so old that it no longer lengthens the next wait."""
    if backoff is None or _forgotten(backoff, now=now, settings=settings):
        return None
    return backoff


def wait(failures: int, settings: BackoffSettings) -> timedelta:
    """The wait after so many failures in a row (at least one)."""
    # 2**40 times any initial wait is beyond every maximum; the bound keeps timedelta from overflowing.
    doublings = min(failures - 1, 40)
    if settings.initial >= settings.max / (1 << doublings):
        return settings.max
    return settings.initial * (1 << doublings)


def _failures_before(previous: Backoff | None, *, now: datetime, settings: BackoffSettings) -> int:
    if previous is None or _forgotten(previous, now=now, settings=settings):
        return 0
    return previous.failures


def _forgotten(backoff: Backoff, *, now: datetime, settings: BackoffSettings) -> bool:
    # Never while it is in force: `reset` may be configured shorter than the wait.
    return not in_force(backoff, now=now) and backoff.last_failure + settings.reset < now
