"""Room: what is free on the nodes that may take moved pods, in one order of preference; with an undo log.

Room only shrinks while nodes are removed one after the other. So each shape remembers how far down the order there
is nothing left for it, and hardly ever looks at more than one node. What a trial has placed is undone by the journal;
nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.simulation import Simulation

_PODS: Final = 0
"""The row of "pods": every pod takes one."""
_NEAR: Final = 8
"""How many nodes are looked at one by one first: three times of four the next place is among them, and comparing a whole
window costs as much."""
_WINDOWS: Final = (512, 2**62)
"""How many nodes are compared at once: the next place is mostly not far."""
_CLOSED: Final = -(2**62)
"""Free places on a node that takes no pods."""

Spot = tuple[int, int]
"""(index of a node, number of pods placed there)."""


@dataclass(slots=True, eq=False)
class Search:
    """How far the search for places for one shape has come."""

    shape: PodShape
    """One of those it is for: they are alike in all that placing their pods changes."""
    rows: tuple[tuple[IntArray, IntArray], ...]
    """(what is free of a resource by position, what a pod takes: an array without dimensions, which compares faster
    than a number) for each requested resource; for "pods" only if nothing is requested."""
    points: tuple[tuple[memoryview, int], ...]
    """(what is free of a resource by position, what a pod takes), "pods" included: to be read and written number by
    number."""
    admitted: BoolArray | None
    """By position, whether labels, taints and so on let the shape in; None: everywhere."""
    start: int = 0
    """Before this position nothing fits."""
    choosy: bool = False
    """Whether the filters must be asked about each pod, besides."""

    def fits(self, position: int) -> bool:
        """Whether one pod has room there."""
        for free, amount in self.points:
            if free[position] < amount:
                return False
        return self.admitted is None or bool(self.admitted[position])

    def take(self, position: int, most: int) -> int:
        """As many of the pods as there is room for, at a position where one fits."""
        if most > 1:
            for free, amount in self.points:
                most = min(most, free[position] // amount)
        for free, amount in self.points:
            free[position] -= amount * most
        return most

    def give_back(self, position: int, count: int) -> None:
        for free, amount in self.points:
            free[position] += amount * count


class Room:
    """Nodes in order of preference. A node's position is its place in that order."""

    def __init__(self, simulation: Simulation, order: IntArray) -> None:
        """`order`: indices of the nodes that may take pods, the most welcome first. Reads the simulation only."""
        self._usage = simulation.state.usage
        self.order = order
        self.nodes: list[int] = order.tolist()
        """Index of the node at each position."""
        self.size = len(order)
        self._position = {index: position for position, index in enumerate(self.nodes)}
        self._rows: dict[int, tuple[IntArray, memoryview]] = {}
        _, self._places = self._row(_PODS)
        self.journal: list[tuple[Search, int, int]] = []
        """(whose pods, position, how many) were placed, all in all."""
        self.examined = 0
        """Nodes looked at in searches so far: the work done."""

    def search(self, shape: PodShape, admitted: BoolArray | None) -> Search:
        """A new search. `admitted`: by index, where the shape is let in; None: everywhere."""
        demand = self._usage.axis.demand(shape)
        return Search(
            shape=shape,
            rows=tuple((self._row(row)[0], np.array(amount)) for row, amount in demand[1:] or demand),
            points=tuple((self._row(row)[1], amount) for row, amount in demand),
            admitted=None if admitted is None else np.append(admitted[self.order], False),
        )

    # --- searching ------------------------------------------------------------------------------------------------

    def seek(self, search: Search) -> None:
        """Let the search begin where there is room for one pod. Not while a trial has placed any, which may be undone."""
        search.start = self.next(search, search.start)

    def next(self, search: Search, start: int) -> int:
        """The first position from `start` on where one pod has room; the number of nodes when there is none."""
        near, points, admitted = min(start + _NEAR, self.size), search.points, search.admitted
        while start < near:
            for free, amount in points:
                if free[start] < amount:
                    break
            else:  # as Search.fits says, which would be called for every pod a few times
                if admitted is None or admitted[start]:
                    return start
            start += 1
        while start < self.size:
            start = self._next_with_resources(search, start)
            if start < self.size and search.fits(start):
                return start
            start += 1
        return self.size

    def fill(self, search: Search, count: int) -> tuple[list[Spot], int]:
        """Place up to `count` pods: (their spots, in order of preference; the position that was come to)."""
        position = self.next(search, search.start)
        if count == 1 and position < self.size:  # by far the most frequent case
            for free, amount in search.points:
                free[position] -= amount
            self.journal.append((search, position, 1))
            return [(self.nodes[position], 1)], position
        spots: list[Spot] = []
        while count:
            position = self.next(search, position)
            if position == self.size:
                break
            taken = self.take(search, position, count)
            spots.append((self.nodes[position], taken))
            count -= taken
        return spots, position

    def take(self, search: Search, position: int, most: int = 1) -> int:
        """Place as many of the pods as there is room for, at a position where one fits."""
        taken = search.take(position, most)
        self.journal.append((search, position, taken))
        return taken

    def where(self, search: Search) -> BoolArray:
        """By position, where one pod has room."""
        self.examined += self.size
        fits = (
            np.ones(self.size, dtype=np.bool_)
            if search.admitted is None
            else search.admitted[: self.size].copy()
        )
        for free, amount in search.points:
            fits &= np.asarray(free)[: self.size] >= amount
        return fits

    def _next_with_resources(self, search: Search, start: int) -> int:
        """The first position from `start` on with what one pod requests. That there is no place left for any more
        pods is rare, and left to the caller to find out."""
        for window in _WINDOWS:
            if start >= self.size:
                break
            end = min(start + window, self.size)
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
        return self.size

    # --- keeping count --------------------------------------------------------------------------------------------

    def position(self, node: int | None) -> int | None:
        """Position of a node by index; None: it may not take pods."""
        return None if node is None else self._position.get(node)

    def close(self, position: int | None) -> int:
        """Let a node take no more pods; the free places it had."""
        if position is None:
            return 0
        places: int = self._places[position]
        self._places[position] = _CLOSED
        return places

    def reopen(self, position: int | None, places: int, searches: Sequence[Search]) -> None:
        """Take the closing back; `searches` were at work meanwhile, and may have passed the node by."""
        if position is None:
            return
        self._places[position] = places
        for search in searches:
            if search.start > position and search.fits(position):
                search.start = position

    def undo(self, began: int) -> None:
        """Nothing of the journal since it was that long has happened."""
        while len(self.journal) > began:
            search, position, count = self.journal.pop()
            search.give_back(position, count)

    def _row(self, row: int) -> tuple[IntArray, memoryview]:
        """What is free of a resource by position, and behind the last one a node that takes nothing."""
        known = self._rows.get(row)
        if known is None:
            guarded = np.append(self._usage.free(row)[self.order], np.int64(_CLOSED))
            known = self._rows[row] = (guarded, guarded.data)
        return known
