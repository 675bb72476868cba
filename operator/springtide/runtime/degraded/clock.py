"""ClockJumped: the wall clock compared with the time that has passed.

Stored times are wall-clock times, so that the next process can read them. When the clock is set, or the machine slept,
time that nobody lived through would count as waited: nodes "unneeded for long", purchases "overdue", cool-downs over; or,
the other way, everything would wait for ever. So the times that this process keeps are moved by as much as the clock
jumped, and for a while nothing is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.degradation import Degradation, DegradedMode

TOLERATED: Final = timedelta(seconds=30)
"""Between two looks. NTP slews by less, and no timer of ours is so fine."""
HOLD_SECONDS: Final = 120.0
"""So long nothing is removed afterwards: a clock that was set once is often set again."""


@dataclass(frozen=True, slots=True)
class _Look:
    wall: datetime
    monotonic: float


class ClockGuard:
    """Looks at both clocks in each pass."""

    def __init__(self) -> None:
        self._last: _Look | None = None
        self._jumped_at: float | None = None
        self.jumps = 0

    def look(self, *, wall: datetime, monotonic: float) -> timedelta:
        """By how much the wall clock jumped since the last look; zero when it went on as it should."""
        last, self._last = self._last, _Look(wall, monotonic)
        if last is None:
            return timedelta(0)
        jump = (wall - last.wall) - timedelta(seconds=monotonic - last.monotonic)
        if abs(jump) <= TOLERATED:
            return timedelta(0)
        self._jumped_at = monotonic
        self.jumps += 1
        return jump

    def degradation(self) -> Degradation | None:
        """While a jump is so recent that nothing is removed."""
        if self._jumped_at is None or self._last is None:
            return None
        if self._last.monotonic - self._jumped_at >= HOLD_SECONDS:
            return None
        return Degradation(
            mode=DegradedMode.CLOCK_JUMPED,
            message="the clock of the operator's machine jumped: timers go on from where they were, and nothing is "
            "removed for a while",
            forbids_removals=True,
        )
