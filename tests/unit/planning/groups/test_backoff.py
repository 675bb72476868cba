"""Backoff: 5 minutes, doubled up to 30, forgotten after 3 hours, restarted but not lengthened while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.api.settings import BackoffSettings
from springtide.cluster.groups import FailureClass
from springtide.cluster.snapshot import Backoff
from springtide.planning.groups.backoff import after_failure, in_force, still_counted, wait

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEFAULTS = BackoffSettings()


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def failed(
    *, at: datetime = NOW, before: Backoff | None = None, settings: BackoffSettings = DEFAULTS
) -> Backoff:
    return after_failure(before, reason=FailureClass.OUT_OF_CAPACITY, now=at, settings=settings)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (1, minutes(5)),
        (2, minutes(10)),
        (3, minutes(20)),
        (4, minutes(30)),
        (5, minutes(30)),
        (10**6, minutes(30)),
    ],
)
def test_each_failure_doubles_the_wait_up_to_the_maximum(failures: int, expected: timedelta) -> None:
    assert wait(failures, DEFAULTS) == expected


def test_a_failure_after_the_wait_doubles_it() -> None:
    first = failed()
    second = failed(at=first.until + minutes(1), before=first)
    assert (second.failures, second.until) == (2, first.until + minutes(1) + minutes(10))


def test_a_failure_inside_the_wait_starts_it_anew_at_the_same_length() -> None:
    first = failed()
    second = failed(at=NOW + minutes(4), before=first)
    assert (second.failures, second.until) == (1, NOW + minutes(9))


def test_after_three_quiet_hours_the_wait_is_short_again() -> None:
    second = failed(at=NOW + minutes(6), before=failed())
    late = second.last_failure + DEFAULTS.reset + timedelta(seconds=1)
    assert failed(at=late, before=second).failures == 1
    assert still_counted(second, now=late, settings=DEFAULTS) is None
    assert still_counted(second, now=second.last_failure + DEFAULTS.reset, settings=DEFAULTS) == second


def test_a_reset_shorter_than_the_wait_does_not_end_it() -> None:
    hasty = BackoffSettings(initial=minutes(10), max=minutes(10), reset=minutes(1))
    first = failed(settings=hasty)
    assert still_counted(first, now=NOW + minutes(5), settings=hasty) == first


@pytest.mark.parametrize(
    ("later", "expected"),
    [(minutes(0), True), (minutes(4.99), True), (minutes(5), False), (minutes(6), False)],
)
def test_it_holds_until_the_wait_is_over(later: timedelta, expected: bool) -> None:
    assert in_force(failed(), now=NOW + later) is expected


def test_no_backoff_is_not_in_force() -> None:
    assert not in_force(None, now=NOW)
