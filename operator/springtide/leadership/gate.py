"""The gate before every mutation: open while this process leads, and never for longer than its lease is known to last.

The elector, in a thread of its own, opens and closes it; everybody else only asks. A gate that nobody closes in time
closes by itself: a process that was frozen wakes up before a gate that is shut.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

MonotonicClock = Callable[[], float]
"""Seconds that never run backwards and are not set by anybody; only differences mean something."""


def boot_clock() -> float:
    """Seconds since boot, the time in which the machine slept included (CLOCK_BOOTTIME; elsewhere time.monotonic).

    With CLOCK_MONOTONIC a laptop or VM that was suspended for a minute would believe that its lease is still good.
    """
    return time.clock_gettime(_BOOT_CLOCK) if _BOOT_CLOCK is not None else time.monotonic()


_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)

NOT_YET: Final = "this process does not lead yet"


@dataclass(frozen=True, slots=True)
class _State:
    reason: str
    """Why it is closed; empty while it is open."""
    until: float
    """On the gate's clock: when it closes by itself."""


class MutationGate:
    """Thread-safe: its whole state is one reference, replaced in one step."""

    def __init__(self, clock: MonotonicClock = boot_clock) -> None:
        """Closed, until somebody opens it."""
        self._clock = clock
        self._state = _State(NOT_YET, until=-inf)

    @classmethod
    def always_open(cls) -> MutationGate:
        """The gate of an operator without leader election: who starts two of them answers for it."""
        gate = cls()
        gate.open_until(inf)
        return gate

    def open_until(self, instant: float) -> None:
        """Open it until this instant of its clock; again and again, as the lease is renewed."""
        self._state = _State("", until=instant)

    def close(self, reason: str) -> None:
        """Close it at once; `reason` is what those read who are turned away."""
        self._state = _State(reason, until=-inf)

    def why_closed(self) -> str:
        """Why nothing may be changed now; empty while it is open."""
        state = self._state
        if state.reason:
            return state.reason
        late = self._clock() - state.until
        return "" if late < 0 else f"the lease was not renewed in time, {late:.1f} s ago"

    def seconds_left(self) -> float:
        """How long it stays open without a renewal: 0 when closed, infinite without leader election."""
        state = self._state
        return 0.0 if state.reason else max(0.0, state.until - self._clock())
