"""Until when to search: the clock is the caller's, planning reads none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant on a monotonic clock."""

    at: float
    """Seconds, as the clock tells them."""
    clock: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds, not below 0."""
        return max(0.0, self.at - self.clock())

    @property
    def passed(self) -> bool:
        return self.clock() >= self.at
