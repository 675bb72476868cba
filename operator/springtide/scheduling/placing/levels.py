"""Levels: filling nodes first-fit while domains may rise only so far above the lowest of them.

While the floor stays where it is, pods go through the nodes in index order and each domain takes its quota. It rises
when the last domain at its height gets a pod; then nodes before are open again. So one *round*, from one rise of the
floor to the next, is a handful of vector operations over the domains, and rounds that repeat each other are one.
"""

from __future__ import annotations

import numpy as np

from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import UNLIMITED
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.placing.bounds import NO_FLOOR, Bound


def fill_by_levels(room: IntArray, bound: Bound, count: int) -> IntArray:
    """(nodes,) How many of `count` pods each node gets, placed one by one on the first that is open.

    `room`: what each node takes but for the bound, which must be for these nodes.
    """
    return _Filling(room, bound, count).result()


class _Filling:
    """Domains, compactly numbered, with their nodes one after the other: each is a queue of room."""

    def __init__(self, room: IntArray, bound: Bound, count: int) -> None:
        self._left = count
        self._above = bound.above
        self._moving = bound.lifts is not None
        self._elsewhere = bound.least_elsewhere
        codes, self._domain = np.unique(bound.codes, return_inverse=True)
        self._start_heights = np.where(codes == ABSENT, -UNLIMITED, bound.heights[codes])
        nodes = len(room)
        self._order = np.argsort(self._domain, kind="stable")
        self._places = self._domain[self._order] * nodes + self._order
        """Sorted: by domain, then by index."""
        self._room = np.minimum(room, count)[self._order]
        self._upto = np.cumsum(self._room)
        firsts = np.searchsorted(self._domain[self._order], np.arange(len(codes) + 1))
        ends = np.concatenate(([0], self._upto))[firsts]
        self._start, self._capacity = ends[:-1], np.diff(ends)
        self._taken = np.zeros(len(codes), dtype=np.int64)

    def result(self) -> IntArray:
        while True:
            heights = self._start_heights + self._taken
            floor = min(int(heights.min()), self._elsewhere) if self._moving else 0
            quotas = np.maximum(floor + self._above - heights, 0)
            lowest = heights == floor
            full = self._taken == self._capacity
            if not self._moving or self._elsewhere <= floor or bool((lowest & full).any()):
                return self._final(np.minimum(quotas, self._capacity - self._taken))
            current = self._current()
            step = self._round(quotas, current, lowest)
            total = int(step.sum())
            if total >= self._left:
                return self._final(step)
            self._taken += step
            self._left -= total
            repeats = self._repeats(step, total=total, quotas=quotas, before=current, floor=floor)
            self._taken += repeats * step
            self._left -= repeats * total

    def _current(self) -> IntArray:
        """(domains,) Place, in the order of domain and index, of the node where each one's next pod goes."""
        places: IntArray = np.searchsorted(self._upto, self._start + self._taken, side="right")
        return places

    def _round(self, quotas: IntArray, current: IntArray, lowest: BoolArray) -> IntArray:
        """(domains,) What each takes until the floor rises: when the last of the lowest gets its first pod."""
        candidates = np.flatnonzero(lowest)
        nodes = self._order[current[candidates]]
        last, node = int(candidates[nodes.argmax()]), int(nodes.max())
        domains = np.arange(len(quotas))
        before = np.searchsorted(self._places, domains * len(self._order) + node)
        room_before = np.concatenate(([0], self._upto))[before] - self._start
        step: IntArray = np.clip(room_before - self._taken, 0, quotas)
        step[last] = 1
        return step

    def _repeats(self, step: IntArray, *, total: int, quotas: IntArray, before: IntArray, floor: int) -> int:
        """How often the round that was just counted will happen again, the same in all but height."""
        heights = self._start_heights + self._taken
        takers = step > 0
        # Only the last of the lowest may have taken less than its quota: others would have no room before it again.
        partly = int(np.count_nonzero(takers & (quotas > 1)))
        if partly > 1 or not bool((step[takers] == 1).all()):
            return 0
        now = self._current()
        full = self._taken == self._capacity
        if bool((full & takers).any()) or not np.array_equal(now[takers], before[takers]):
            return 0
        room_here = self._upto[now[takers]] - (self._start + self._taken)[takers]
        # Who takes nothing must neither become the lowest nor be opened by the risen floor.
        closed = ~takers & (quotas == 0)
        idle = heights[~takers] - (floor + 1)
        shut = heights[closed] - self._above - floor
        limits = [self._left // total, int(room_here.min()), self._elsewhere - (floor + 1)]
        limits += [int(idle.min(initial=NO_FLOOR)), int(shut.min(initial=NO_FLOOR))]
        return max(0, min(limits))

    def _final(self, step: IntArray) -> IntArray:
        """What is there, and then as much of this step as pods are left, in index order."""
        settled = self._on_nodes(self._taken)
        more = self._on_nodes(self._taken + step) - settled
        reached: IntArray = np.clip(self._left - (np.cumsum(more) - more), 0, more)
        return settled + reached

    def _on_nodes(self, taken: IntArray) -> IntArray:
        """(nodes,) Pods per node, when each domain has taken so many."""
        domain = self._domain[self._order]
        filled = np.clip((self._start + taken)[domain] - (self._upto - self._room), 0, self._room)
        by_node: IntArray = np.empty(len(filled), dtype=np.int64)
        by_node[self._order] = filled
        return by_node
