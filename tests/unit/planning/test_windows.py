"""Windows of time: open or closed, until when, and what becomes of them when clocks are changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.planning.windows import Opening, opening

BERLIN = "Europe/Berlin"
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    """An instant in UTC, as "2026-01-05 21:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHTS = ("0 22 * * MON-FRI", 8 * HOUR)


@pytest.mark.parametrize(
    ("now", "is_open", "until"),
    [
        pytest.param("2026-01-05 20:59", False, "2026-01-05 21:00", id="a minute before it opens"),
        pytest.param("2026-01-05 21:00", True, "2026-01-06 05:00", id="when it opens"),
        pytest.param("2026-01-06 04:59", True, "2026-01-06 05:00", id="a minute before it closes"),
        pytest.param("2026-01-06 05:00", False, "2026-01-06 21:00", id="its end is outside"),
        pytest.param("2026-01-10 04:00", True, "2026-01-10 05:00", id="of Friday, on Saturday"),
        pytest.param("2026-01-10 12:00", False, "2026-01-12 21:00", id="over the weekend"),
    ],
)
def test_nights_of_working_days_in_berlin(now: str, is_open: bool, until: str) -> None:
    schedule, duration = NIGHTS
    assert opening(schedule, duration, zone=BERLIN, now=at(now)) == Opening(open=is_open, until=at(until))


@pytest.mark.parametrize(
    ("schedule", "duration", "until"),
    [
        pytest.param("0 8,12 * * *", 4 * HOUR, "2026-01-05 16:00", id="that touch"),
        pytest.param("0 8,9 * * *", 4 * HOUR, "2026-01-05 13:00", id="that overlap"),
    ],
)
def test_windows_are_one(schedule: str, duration: timedelta, until: str) -> None:
    told = opening(schedule, duration, zone="UTC", now=at("2026-01-05 09:00"))
    assert told == Opening(open=True, until=at(until))


def test_windows_without_end_are_looked_at_again_some_day() -> None:
    now = at("2026-01-05 09:00")
    told = opening("0 */2 * * *", 3 * HOUR, zone="UTC", now=now)
    assert told.until is not None
    assert told.until > now + timedelta(days=3)
    assert opening("0 */2 * * *", 3 * HOUR, zone="UTC", now=told.until).open


def test_what_is_more_than_a_year_away_is_not_waited_for() -> None:
    leap_day = opening("0 0 29 2 *", HOUR, zone="UTC", now=at("2026-01-01 00:00"))
    assert leap_day == Opening(open=False, until=None)


@pytest.mark.parametrize(
    ("schedule", "now", "is_open"),
    [
        # 29 March 2026, 01:00 UTC: clocks in Berlin go from 02:00 to 03:00.
        pytest.param("30 2 * * *", "2026-03-29 00:59", False, id="skipped: not before the gap"),
        pytest.param("30 2 * * *", "2026-03-29 01:00", True, id="skipped: right after the gap"),
        pytest.param("30 2 * * *", "2026-03-29 02:00", False, id="skipped: for an hour that passes"),
        # 25 October 2026, 01:00 UTC: from 03:00 back to 02:00.
        pytest.param("30 2 * * *", "2026-10-25 00:30", True, id="twice: the first time"),
        pytest.param("30 2 * * *", "2026-10-25 01:30", False, id="twice: not the second time"),
        pytest.param("45 2 * * *", "2026-10-25 01:15", True, id="twice: an hour is an hour"),
        pytest.param("30 * * * *", "2026-10-25 01:30", True, id="every hour: both times"),
    ],
)
def test_when_clocks_are_changed(schedule: str, now: str, is_open: bool) -> None:
    assert opening(schedule, HOUR, zone=BERLIN, now=at(now)).open is is_open


# --- against looking at every minute -----------------------------------------------------------------------------


FORTNIGHTS = (datetime(2026, 3, 3), datetime(2026, 3, 24), datetime(2026, 10, 20))


def begins_of(hours: Iterable[int], minutes: Iterable[int], days: Iterable[int], zone: str) -> set[datetime]:
    """When windows begin in the fortnights about the changes of clocks of 2026: day by day, by the wall clock."""
    found: set[datetime] = set()
    for first in FORTNIGHTS:
        for number in range(14):
            day = first + timedelta(days=number)
            if day.isoweekday() % 7 in days:
                found |= {
                    shown_by_clocks(day.replace(hour=hour, minute=minute), ZoneInfo(zone))
                    for hour in hours
                    for minute in minutes
                }
    return found


def shown_by_clocks(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which clocks show this, or have gone beyond it."""
    instant = (wall - timedelta(hours=26)).replace(tzinfo=UTC)
    while instant.astimezone(zone).replace(tzinfo=None) < wall:
        behind = wall - instant.astimezone(zone).replace(tzinfo=None)
        # By leaps that no change of clocks is longer than, then minute by minute.
        instant += max(behind - 2 * HOUR, timedelta(minutes=1))
    return instant


ZONES = ("UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")


@settings(deadline=None)
@given(
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=3),
    minutes=st.sets(st.sampled_from([0, 15, 30, 45, 59]), min_size=1, max_size=2),
    days=st.sets(st.integers(0, 6), min_size=1, max_size=7),
    duration=st.integers(1, 26 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    zone=st.sampled_from(ZONES),
    changes=st.sampled_from([at("2026-03-29 01:00"), at("2026-10-25 01:00"), at("2026-03-08 07:00")]),
    offset=st.integers(-24 * 60, 24 * 60),
    seconds=st.sampled_from([0, 1, 59]),
)
def test_it_is_open_exactly_within_its_duration_of_a_time_of_the_schedule(
    hours: set[int],
    minutes: set[int],
    days: set[int],
    duration: timedelta,
    zone: str,
    changes: datetime,
    offset: int,
    seconds: int,
) -> None:
    fields = (",".join(map(str, sorted(each))) for each in (minutes, hours))
    schedule = f"{' '.join(fields)} * * {','.join(map(str, sorted(days)))}"
    now = changes + timedelta(minutes=offset, seconds=seconds)
    begins = begins_of(hours, minutes, days, zone)

    near = [begin for begin in begins if abs(begin - now) < timedelta(days=5)]

    def is_open(instant: datetime) -> bool:
        return any(begin <= instant < begin + duration for begin in near)

    told = opening(schedule, duration, zone=zone, now=now)
    assert told.open is is_open(now)
    until, enough = now.replace(second=0), now + timedelta(days=2)
    while is_open(max(until, now)) is told.open and until < enough:
        until += timedelta(minutes=1)
    assert told.until is None or told.until >= min(until, enough)
    if until < enough:
        assert told.until == until


@given(st.integers(0, 59), st.integers(0, 59), st.sampled_from(ZONES))
def test_a_schedule_of_every_hour_knows_no_changes_of_clocks(minute: int, now: int, zone: str) -> None:
    """But for zones that change them by half an hour, where the minutes of an hour come late, or twice."""
    if zone in ("Australia/Lord_Howe", "Asia/Kolkata"):
        return
    instant = at("2026-10-25 01:00") + timedelta(minutes=now)
    told = opening(f"{minute} * * * *", timedelta(minutes=10), zone=zone, now=instant)
    assert told.open is ((now - minute) % 60 < 10)
