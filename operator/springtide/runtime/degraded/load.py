"""Overloaded: passes that take longer than the time between them, or an event loop that comes late to everything.

Then each pass decides less: fewer places are compared for pods of nodes that might go, less time is spent looking for
cheaper purchases, and the process rests between passes so that informers and drains get their share. Purchases for
pending pods are never cut. The relief grows by one level with each overloaded pass and shrinks again the same way.
"""

from __future__ import annotations

from typing import Final

from springtide.cluster.degradation import Degradation, DegradedMode

MOST_RELIEF: Final = 3
"""Each level quarters the work that can wait; at this one a 64th of it is left."""
EASY_SHARE: Final = 0.5
"""A pass that takes less than this share of the interval was an easy one."""
LATE_SECONDS: Final = 2.0
"""An event loop that is so late leaves probes and leases at risk."""


class Load:
    """How hard the passes are for this process."""

    def __init__(self) -> None:
        self.relief = 0
        """0: none needed."""
        self.lag_seconds = 0.0
        """By how much the event loop was late since the last pass, at most."""
        self.overloaded_passes = 0

    def lagged(self, seconds: float) -> None:
        """Something that was due came so much later."""
        self.lag_seconds = max(self.lag_seconds, seconds)

    def passed(self, *, took: float, interval: float) -> float:
        """A pass ended; `interval`: between two, as users want it. Seconds to rest before the next one."""
        late, self.lag_seconds = self.lag_seconds, 0.0
        if took > interval or late > LATE_SECONDS:
            self.overloaded_passes += 1
            self.relief = min(MOST_RELIEF, self.relief + 1)
        elif took < EASY_SHARE * interval:
            self.relief = max(0, self.relief - 1)
        return min(took, interval) if self.relief else 0.0

    def degradation(self) -> Degradation | None:
        """While relief is needed."""
        if not self.relief:
            return None
        return Degradation(
            mode=DegradedMode.OVERLOADED,
            message="passes take longer than scanInterval: each looks at fewer nodes that could go and spends less time "
            "on cheaper purchases; give the operator more cpu, or lengthen scanInterval",
        )
