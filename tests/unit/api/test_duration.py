"""Durations as Go writes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.api.duration import MAX_DURATION_LENGTH, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(hours=1, minutes=30)),
        (".5s", timedelta(milliseconds=500)),
        ("1.s", timedelta(seconds=1)),
        ("30m1h", timedelta(hours=1, minutes=30)),
        ("1s1s", timedelta(seconds=2)),
        ("7us", timedelta(microseconds=7)),
        ("7µs", timedelta(microseconds=7)),
        ("1500ns", timedelta(microseconds=2)),
        ("2000h", timedelta(hours=2000)),
    ],
)
def test_reads_what_go_reads(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "ten",
        "10 s",
        " 10s",
        "10s\n",
        "-10s",
        "+10s",
        "1d",
        "s",
        ".s",
        "1h 30m",
        "1e3s",
        "٣s",
        "10S",
    ],
)
def test_refuses_what_go_refuses_and_signs(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_refuses_more_than_go_can_count() -> None:
    with pytest.raises(ValueError, match="longer than 292 years"):
        parse_duration("2562048h")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(microseconds=5), "5us"),
        (timedelta(milliseconds=200), "200ms"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(seconds=1, milliseconds=500), "1.5s"),
        (timedelta(minutes=10), "10m"),
        (timedelta(hours=1, minutes=30), "1h30m"),
        (timedelta(days=2, seconds=1), "48h1s"),
    ],
)
def test_writes_the_shortest_form(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


def test_never_writes_a_negative_duration() -> None:
    with pytest.raises(ValueError, match="is negative"):
        format_duration(timedelta(seconds=-1))


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=292 * 365)))
def test_what_is_written_reads_the_same(duration: timedelta) -> None:
    text = format_duration(duration)
    assert parse_duration(text) == duration
    assert len(text) <= MAX_DURATION_LENGTH
