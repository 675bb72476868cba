"""Windows in time: whether one of a cron schedule is open at an instant, and when that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from cronsim import CronSim

from springtide.api.schedule import time_zone

HORIZON: Final = timedelta(days=366)
"""A change that is farther away than this is nothing to wait for, or to tell of."""
_MOST_JOINED: Final = 100
"""So many windows that overlap are looked at as one; whoever looks again when that one ends sees the next."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is true of a schedule's windows at an instant."""

    open: bool
    until: datetime | None
    """When the next change may come, UTC; None: not within a year."""


def opening(schedule: str, duration: timedelta, *, zone: str, now: datetime) -> Opening:
    """Whether a window is open. One begins at each time of the schedule and ends `duration` later, in time that passes:
    clocks that are changed meanwhile neither lengthen nor shorten it. Its end does not belong to it.

    `schedule`, `zone`: as spec.budgets has them (api.schedule). A time that clocks skip counts as right after the gap,
    one that they show twice counts the first time (as in Debian's cron, but for schedules of every hour or minute).
    """
    begins = _times_after(now - duration, schedule, zone)
    first = next(begins, None)
    if first is None:
        return Opening(open=False, until=None)
    if first > now:
        return Opening(open=False, until=first if first - now <= HORIZON else None)
    until = first + duration
    for begin in islice(begins, _MOST_JOINED):
        if begin > until:
            break
        until = max(until, begin + duration)
    return Opening(open=True, until=until)


def _times_after(since: datetime, schedule: str, zone: str) -> Iterator[datetime]:
    """The schedule's times later than `since`, in UTC, in order."""
    for time in CronSim(schedule, since.astimezone(time_zone(zone))):
        in_utc = time.astimezone(UTC)
        # Asked in the second of two hours that clocks show alike, the library names times of the first.
        if in_utc > since:
            yield in_utc
