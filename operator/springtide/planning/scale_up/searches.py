"""Searches for cheaper purchases: within the planning budget while a plan is made, and on in the background after it.

What a search has found out, patterns of pods on nodes, is kept by name (a policy's) and serves the next search for it: pods
come in the same shapes again. Nothing else of it lasts, so a lost search costs time only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from springtide.cluster.shape import PodShape
from springtide.planning.landscape import GroupKey
from springtide.planning.optimizer import Improvement, Lot, Problem, Solution, carried
from springtide.planning.plan import PlannedCost

STEPS_WITHOUT_CLOCK: Final = 40
"""Steps of a search when no clock bounds it: replays and tests are the same everywhere then."""
MAX_NAMES: Final = 64
"""More policies than that are not searched for at a time; names of policies that are gone are forgotten some day."""
_PATIENCE_SECONDS: Final = 0.05
"""A plan waits no longer than this for a search in the background to leave off; it does without its patterns then."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the problem's numbers stand for, so that another problem can use its patterns."""

    items: tuple[tuple[PodShape, int | None], ...]
    """Shape, and the cell it is bound to."""
    types: tuple[tuple[tuple[GroupKey, ...], int | None], ...]
    """Groups that get equal nodes, and their cell."""


@dataclass
class _Search:
    names: Names
    improvement: Improvement
    lock: threading.Lock = field(default_factory=threading.Lock)
    bought: tuple[str, float] | None = None
    """(policy, cost) of the purchases that the search was for, where it was for all of them."""


class Searches:
    """The searches of a process, the last one of each name."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """`clock`: monotonic, in seconds; None: searches are bounded by steps instead of time."""
        self._clock = clock
        self._by_name: dict[str, _Search] = {}
        self._leave_off = threading.Event()
        self.relief = 0
        """Each level quarters the time of a search: passes take too long."""

    def search(
        self, name: str, problem: Problem, start: Sequence[Lot], *, names: Names, seconds: float
    ) -> Solution:
        """The best plan found within the time; never dearer than `start`. Learns from the last search of the name."""
        self._leave_off.set()
        improvement = Improvement(problem, start, patterns=self._patterns(name, names))
        search = self._by_name[name] = _Search(names, improvement)
        if len(self._by_name) > MAX_NAMES:
            del self._by_name[next(iter(self._by_name))]
        # A thread in the background that has only just begun may find this search already.
        with search.lock:
            if self._clock is None:
                return improvement.run(clock=lambda: 0.0, until=1.0, steps=STEPS_WITHOUT_CLOCK)
            return improvement.run(clock=self._clock, until=self._clock() + seconds / 4**self.relief)

    def improve(self, *, seconds: float) -> None:
        """Go on with all searches for so long at most, or until the next plan needs them; in a thread of its own."""
        assert self._clock is not None, "without a clock nothing can be done in the background"
        self._leave_off.clear()
        until = self._clock() + seconds
        for search in list(self._by_name.values()):
            while not (search.improvement.done or self._leave_off.is_set() or self._clock() >= until):
                with search.lock:
                    search.improvement.run(clock=self._clock, until=until, steps=1)

    def leave_off(self) -> None:
        """End what goes on in the background, soon."""
        self._leave_off.set()

    @property
    def unfinished(self) -> bool:
        """Whether time in the background could improve anything."""
        return any(not search.improvement.done for search in self._by_name.values())

    def bought(self, name: str, *, policy: str, cost: float) -> None:
        """What was bought in the end costs so much; its bound goes on rising in the background."""
        self._by_name[name].bought = (policy, cost)

    def costs(self) -> dict[str, PlannedCost]:
        """By policy: its last purchases, with the bound as it is now proven."""
        costs = {}
        for search in self._by_name.values():
            if search.bought is not None and search.lock.acquire(timeout=_PATIENCE_SECONDS):
                policy, cost = search.bought
                bound = search.improvement.solution.lower_bound
                search.lock.release()
                costs[policy] = PlannedCost(planned=cost, lower_bound=min(bound, cost))
        return costs

    def _patterns(self, name: str, names: Names) -> tuple[Lot, ...]:
        before = self._by_name.get(name)
        if before is None or not before.lock.acquire(timeout=_PATIENCE_SECONDS):
            return ()
        try:
            patterns = (*before.improvement.solution.lots, *before.improvement.patterns())
        finally:
            before.lock.release()
        return carried(
            patterns,
            items=_numbers(before.names.items, names.items),
            types=_numbers(before.names.types, names.types),
        )


def _numbers(before: Sequence[object], now: Sequence[object]) -> dict[int, int]:
    """Old number -> new number of what both have."""
    new = {name: number for number, name in enumerate(now)}
    return {number: new[name] for number, name in enumerate(before) if name in new}
