"""The phases of a pass, and how long each took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(slots=True)
class Phases:
    """Filled as a pass goes on."""

    stopwatch: Callable[[], float]
    """Seconds since whenever."""
    durations: dict[str, timedelta] = field(default_factory=dict)
    """By name, in the order of the pass."""

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        started = self.stopwatch()
        try:
            yield
        finally:
            self.durations[name] = timedelta(seconds=self.stopwatch() - started)
