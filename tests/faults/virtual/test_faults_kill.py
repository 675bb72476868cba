"""Killed at every step: the story is told once for each of its calls, with a mishap there, and must always end well.

`make faults ARGS="-k kill -s"` prints the table of points; the points themselves stand in build/faults.
"""

from __future__ import annotations

import logging
import sys

import pytest

from tests.faults.virtual.mishaps import Mishap
from tests.faults.virtual.tellings import leave_report, suffer, table, told


@pytest.fixture(autouse=True)
def quietly(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of lines that say what is meant to go wrong."""
    caplog.set_level(logging.CRITICAL, logger="springtide")


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mishap", Mishap)
def test_whatever_befalls_any_call_the_story_ends_well(mishap: Mishap) -> None:
    undisturbed = told()
    assert not undisturbed.failure
    points = [suffer(undisturbed, mishap, number) for number in range(len(undisturbed.changes))]
    sys.stdout.write(f"\n{mishap}:\n{table(points)}\n")
    leave_report(f"kill {mishap}", points)
    failed = [str(point) for point in points if point.failure]
    assert not failed, "\n".join(failed)


def test_a_sample_of_calls_of_every_kind() -> None:
    """Three of each kind: its first, one in the middle, its last; each with another mishap, which the kinds take in turn."""
    undisturbed = told()
    assert not undisturbed.failure
    numbers: dict[str, list[int]] = {}
    for number, change in enumerate(undisturbed.changes):
        numbers.setdefault(change.verb, []).append(number)
    mishaps = list(Mishap)
    points = [
        suffer(undisturbed, mishaps[(turn + kind) % len(mishaps)], number)
        for kind, of_kind in enumerate(numbers.values())
        for turn, number in enumerate(sorted({of_kind[0], of_kind[len(of_kind) // 2], of_kind[-1]}))
    ]
    failed = [str(point) for point in points if point.failure]
    assert not failed, "\n".join(failed)


def test_the_story_touches_everything_that_can_be_changed() -> None:
    """Else a kind of call would be left out of all this unnoticed."""
    undisturbed = told()
    assert {change.verb for change in undisturbed.changes} >= {
        "cancel unfulfilled",
        "evict Pod",
        "patch Node",
        "raise target",
        "terminate",
        "write status of autoscalerpolicies",
        "write status of nodepools",
    }
    assert undisturbed.drained_at_once >= 2
    assert undisturbed.given_back_unregistered == 1
    assert undisturbed.evicted >= 3
