"""The gate before mutations: who is let through, for how long, and what those hear who are not."""

from __future__ import annotations

from math import inf

from springtide.leadership.gate import MutationGate, boot_clock


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_new_gate_is_closed() -> None:
    gate = MutationGate()
    assert gate.why_closed() == "this process does not lead yet"
    assert gate.seconds_left() == 0


def test_a_gate_stays_open_for_as_long_as_it_was_told() -> None:
    clock = Hands()
    gate = MutationGate(clock)
    gate.open_until(110)
    assert (gate.why_closed(), gate.seconds_left()) == ("", 10)
    clock.now = 109.5
    assert (gate.why_closed(), gate.seconds_left()) == ("", 0.5)


def test_a_gate_that_nobody_closes_closes_by_itself() -> None:
    """So a process that was frozen for a minute finds it shut."""
    clock = Hands()
    gate = MutationGate(clock)
    gate.open_until(110)
    clock.now = 110
    assert gate.why_closed() == "the lease was not renewed in time, 0.0 s ago"
    clock.now = 170
    assert gate.why_closed() == "the lease was not renewed in time, 60.0 s ago"
    assert gate.seconds_left() == 0


def test_a_closed_gate_says_why() -> None:
    gate = MutationGate(Hands())
    gate.open_until(110)
    gate.close("another process leads")
    assert (gate.why_closed(), gate.seconds_left()) == ("another process leads", 0)


def test_without_election_it_is_open_for_ever() -> None:
    gate = MutationGate.always_open()
    assert (gate.why_closed(), gate.seconds_left()) == ("", inf)


def test_the_clock_runs_forwards() -> None:
    first = boot_clock()
    assert boot_clock() >= first
