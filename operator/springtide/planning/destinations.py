"""Destinations: where the pods of removed nodes go. First fit over the nodes in one order of preference.

Room only shrinks while nodes are removed one after the other. So each shape remembers how far down the order there
is nothing left for it, and hardly ever looks at more than one node. What a trial has placed is undone by its
journal; nothing is copied.

Only what placing pods cannot change (labels, taints, …) and resources are looked up here that way. Shapes for which
other filters have a say are tried with the filters themselves, pod by pod; for these, the simulation is brought up to
date first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin

_FIXED: Final = frozenset(
    {
        Plugin.NODE_UNSCHEDULABLE,
        Plugin.NODE_NAME,
        Plugin.TAINT_TOLERATION,
        Plugin.NODE_AFFINITY,
        Plugin.VOLUME_ZONE,
        Plugin.NOT_MODELLED,
    }
)
"""Filters whose verdicts no placed pod changes."""
_PODS: Final = 0
"""The row of "pods": every pod takes one."""
_WINDOWS: Final = (512, 2**62)
"""How many nodes are compared at once: the next place is mostly not far."""
_FILTERS_EFFORT: Final = 10
"""Asking the filters about a node costs so many times more than comparing what is free."""
_CLOSED: Final = -(2**62)
"""Free places on a node that takes no pods."""

Spot = tuple[int, int]
"""(index of a node, number of pods placed there)."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """Where the pods went: for each shape in turn its spots; or the number of the shape that lacked room."""

    spots: Sequence[Sequence[Spot]]
    stuck: int | None = None
    """The first shape (by its place in the question) that not all pods of found a place; `spots` ends with it."""


@dataclass(slots=True)
class _Search:
    """How far the search for places for one shape has come."""

    shape: PodShape
    rows: tuple[tuple[IntArray, IntArray], ...]
    """(what is free of a resource by position, what a pod takes: an array without dimensions, which compares faster
    than a number) for each requested resource; for "pods" only if nothing is requested."""
    points: tuple[tuple[memoryview, int], ...]
    """(what is free of a resource by position, what a pod takes), "pods" included: to be read and written number by
    number."""
    admitted: BoolArray | None
    """By position, whether labels, taints and so on let the shape in; None: everywhere."""
    by_filters: bool
    """Whether its verdicts change with the pods placed, by more than resources."""
    start: int = 0
    """Before this position nothing fits."""

    def fits(self, position: int) -> bool:
        for free, amount in self.points:
            if free[position] < amount:
                return False
        return self.admitted is None or bool(self.admitted[position])

    def take(self, position: int, most: int) -> int:
        """As many of the pods as there is room for at a position where one fits."""
        if most > 1:
            for free, amount in self.points:
                room = free[position] // amount
                most = min(most, room)
        for free, amount in self.points:
            free[position] -= amount * most
        return most

    def give_back(self, position: int, count: int) -> None:
        for free, amount in self.points:
            free[position] += amount * count


class Destinations:
    """Nodes in order of preference. A node's position is its place in that order."""

    def __init__(self, simulation: Simulation, order: IntArray) -> None:
        """`order`: indices of the nodes that may take pods, the most welcome first."""
        self._simulation = simulation.fork()
        self._order = order
        self._nodes: list[int] = order.tolist()
        self._size = len(order)
        self._position = {index: position for position, index in enumerate(self._nodes)}
        self._rows: dict[int, tuple[IntArray, memoryview]] = {}
        _, self._places = self._row(_PODS)
        self._searches: dict[PodShape, _Search] = {}
        self._journal: list[tuple[_Search, int, int]] = []
        """(whose pods, position, how many) were placed."""
        self._told = 0
        """Of the journal, so many steps are in the simulation."""
        self._last_words: dict[PodShape, tuple[Sequence[int], Misfit | None]] = {}
        self.examined = 0
        """Nodes looked at in searches so far: the work done."""

    def relocate(self, leaving: int | None, pods: Sequence[tuple[PodShape, int]]) -> Relocation:
        """Find places for (shape, number of pods) when a node (by index; None: one that takes no pods anyhow) is
        gone. Nothing changes unless all have one."""
        position = self._position.get(leaving) if leaving is not None else None
        places = self._close(position)
        began = len(self._journal)
        searches = [self._search(shape) for shape, _ in pods]
        # Mostly the hardest pod has no place at all: then nothing needs to be undone.
        stuck = next(
            (number for number, search in enumerate(searches) if not self._seek(search, position)), None
        )
        spots: list[Sequence[Spot]] = []
        ends: list[int] = []
        if stuck is None:
            stuck = self._place(searches, [count for _, count in pods], position, spots, ends)
        if stuck is None:
            for search, end in zip(searches, ends, strict=True):
                search.start = end
            if position is not None:
                self._simulation.withdraw(self._nodes[position])
        else:
            self._undo(began)
            self._reopen(position, places, searches)
        return Relocation(spots, stuck)

    def why_stuck(self, shape: PodShape, node: int | None) -> tuple[bool, Misfit | None]:
        """Why a pod of the shape has no place, once all has been tried: (whether another node than `node` takes one
        after all; why not, on most of the other nodes; None: on none of them)."""
        known = self._last_words.get(shape)
        if known is None:
            self._tell()
            misfit = next(iter(self._simulation.misfits(shape)), None)
            known = self._last_words[shape] = (self._two_places(self._search(shape)), misfit)
        places, misfit = known
        return any(self._nodes[position] != node for position in places), misfit

    # --- searching ------------------------------------------------------------------------------------------------

    def _seek(self, search: _Search, leaving: int | None) -> bool:
        """Whether there is room for one pod, before anything is placed."""
        if search.by_filters:
            return self._by_filters(search, leaving) < self._size
        if not search.fits(search.start):
            search.start = self._next(search, search.start + 1)
        return search.start < self._size

    def _place(
        self,
        searches: Sequence[_Search],
        counts: Sequence[int],
        leaving: int | None,
        spots: list[Sequence[Spot]],
        ends: list[int],
    ) -> int | None:
        """Place the pods, noting the spots and where each search has come to; the first shape that lacks room."""
        for number, (search, count) in enumerate(zip(searches, counts, strict=True)):
            found: list[Spot] = []
            spots.append(found)
            left, position = count, search.start
            while left:
                if search.by_filters:
                    position = self._by_filters(search, leaving)
                elif not search.fits(position):
                    position = self._next(search, position + 1)
                if position == self._size:
                    return number
                taken = search.take(position, 1 if search.by_filters else left)
                self._journal.append((search, position, taken))
                found.append((self._nodes[position], taken))
                left -= taken
            ends.append(search.start if search.by_filters else position)
        return None

    def _next(self, search: _Search, start: int) -> int:
        """The first position from `start` on where one pod fits; the number of nodes when there is none."""
        while start < self._size and not search.fits(start):
            start = self._next_with_resources(search, start + 1)
        return min(start, self._size)

    def _next_with_resources(self, search: _Search, start: int) -> int:
        """The first position from `start` on with what one pod requests. That there is no place left for any more
        pods is rare, and left to the caller to find out."""
        for window in _WINDOWS:
            if start >= self._size:
                break
            end = min(start + window, self._size)
            self.examined += end - start
            fits = None if search.admitted is None else search.admitted[start:end]
            for free, amount in search.rows:
                enough = free[start:end] >= amount
                fits = enough if fits is None else fits & enough
            assert fits is not None  # there is at least one row
            first = int(fits.argmax())
            if fits[first]:
                return start + first
            start = end
        return self._size

    def _two_places(self, search: _Search) -> Sequence[int]:
        """The first two positions where a pod fits."""
        if search.by_filters:
            fits = self._simulation.feasible(search.shape)[self._order]
            places: list[int] = np.flatnonzero(fits)[:2].tolist()
            return places
        first = self._next(search, 0)
        return [position for position in (first, self._next(search, first + 1)) if position < self._size]

    def _by_filters(self, search: _Search, leaving: int | None) -> int:
        """The first position where the filters let one pod in; the number of nodes when there is none."""
        self._tell()
        self.examined += self._size * _FILTERS_EFFORT
        fits = self._simulation.feasible(search.shape)[self._order]
        if leaving is not None:
            fits[leaving] = False
        return int(fits.argmax()) if fits.any() else self._size

    # --- keeping count --------------------------------------------------------------------------------------------

    def _close(self, position: int | None) -> int:
        """Let a node take no more pods; the free places it had."""
        if position is None:
            return 0
        places: int = self._places[position]
        self._places[position] = _CLOSED
        return places

    def _reopen(self, position: int | None, places: int, searches: Sequence[_Search]) -> None:
        if position is None:
            return
        self._places[position] = places
        # While it was closed, these may have passed it by.
        for search in searches:
            if search.start > position and search.fits(position):
                search.start = position

    def _undo(self, began: int) -> None:
        """Nothing of the journal since then has happened."""
        while len(self._journal) > began:
            search, position, count = self._journal.pop()
            search.give_back(position, count)
            if len(self._journal) < self._told:
                self._simulation.remove(search.shape, self._nodes[position], count)
        self._told = min(self._told, began)

    def _tell(self) -> None:
        """Bring the simulation up to date."""
        for search, position, count in self._journal[self._told :]:
            self._simulation.place_on(search.shape, self._nodes[position], count)
        self._told = len(self._journal)

    def _search(self, shape: PodShape) -> _Search:
        known = self._searches.get(shape)
        if known is None:
            admitted, by_filters = _admitted(self._simulation, shape)
            demand = self._simulation.state.usage.axis.demand(shape)
            known = self._searches[shape] = _Search(
                shape=shape,
                rows=tuple((self._row(row)[0], np.array(amount)) for row, amount in demand[1:] or demand),
                points=tuple((self._row(row)[1], amount) for row, amount in demand),
                admitted=None if admitted is None else np.append(admitted[self._order], False),
                by_filters=by_filters,
            )
        return known

    def _row(self, row: int) -> tuple[IntArray, memoryview]:
        """What is free of a resource by position, and behind the last one a node that takes nothing."""
        known = self._rows.get(row)
        if known is None:
            free = self._simulation.state.usage.free(row)[self._order]
            guarded = np.append(free, np.int64(_CLOSED))
            known = self._rows[row] = (guarded, guarded.data)
        return known


def _admitted(simulation: Simulation, shape: PodShape) -> tuple[BoolArray | None, bool]:
    """(nodes where what never changes lets the shape in, None: all; whether other filters than that of resources
    have a say)."""
    admitted: BoolArray | None = None
    by_filters = False
    for each in FILTERS:
        if _is_in_rows(each.plugin, shape):
            continue
        mask = each.mask(shape, simulation.state)
        if mask is None:
            continue
        if each.plugin in _FIXED or _is_settled(each.plugin, shape):
            admitted = mask if admitted is None else admitted & mask
        else:
            by_filters = True
    return admitted, by_filters


def _is_in_rows(plugin: Plugin, shape: PodShape) -> bool:
    """Whether comparing what is free says all that the filter would: resources, and volumes that no other pod uses."""
    if plugin is Plugin.NODE_VOLUME_LIMITS:
        return shape.volumes is None or not shape.volumes.shared
    return plugin is Plugin.NODE_RESOURCES_FIT


def _is_settled(plugin: Plugin, shape: PodShape) -> bool:
    """Whether volumes are bound, or will be made: where, no placed pod changes."""
    return (
        plugin is Plugin.VOLUME_BINDING
        and shape.volumes is not None
        and not any(True for _ in shape.volumes.pools)
    )
