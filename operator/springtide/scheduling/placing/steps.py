"""Steps: placing pods one by one on the first open node while several bounds hold at once; exact, whatever they are.

Nothing is looked at but what the last pod has changed: a node that is full, a domain that has its quota, a floor that
rises. The cost is that of a few vector operations per such change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.placing.bounds import Bound


def fill_by_steps(room: IntArray, bounds: Sequence[Bound], count: int) -> IntArray:
    """(nodes,) How many of `count` pods each node gets, placed one by one on the first that is open.

    `room`: what each node takes but for the bounds, which must be for these nodes.
    """
    left = room.copy()
    counts = np.zeros(len(room), dtype=np.int64)
    rules = [_Rule(bound) for bound in bounds]
    is_open = _open(left, rules)
    while count > 0 and is_open.any():
        node = int(is_open.argmax())
        pods = min(count, int(left[node]), *(rule.quota(node) for rule in rules))
        counts[node] += pods
        left[node] -= pods
        count -= pods
        if left[node] == 0:
            is_open[node] = False
        risen = False
        for rule in rules:
            risen |= rule.place(node, pods)
            if rule.quota(node) == 0:
                is_open &= rule.codes != rule.codes[node]
        if risen:
            is_open = _open(left, rules)
    return counts


def _open(left: IntArray, rules: Sequence[_Rule]) -> BoolArray:
    is_open = left > 0
    for rule in rules:
        is_open &= rule.open_nodes()
    return is_open


class _Rule:
    """A bound, and how high its domains stand by now."""

    def __init__(self, bound: Bound) -> None:
        self.codes = bound.codes
        self._above = bound.above
        self._heights = bound.heights.copy()
        self._lifts = bound.lifts
        self._floor = 0
        self._at_floor = 0
        if self._lifts is not None:
            self._survey(self._lifts)

    def quota(self, node: int) -> int:
        """Pods that the node's domain takes before anything about this rule changes."""
        code = int(self.codes[node])
        if code == ABSENT:
            return np.iinfo(np.int64).max
        height = int(self._heights[code])
        if self._lifts is not None and height == self._floor and self._at_floor == 1:
            return 1
        return max(0, self._floor + self._above - height)

    def place(self, node: int, pods: int) -> bool:
        """Count pods on a node; whether the floor has risen."""
        code = int(self.codes[node])
        if code == ABSENT:
            return False
        lifted = self._lifts is not None and int(self._heights[code]) == self._floor
        self._heights[code] += pods
        if not lifted or self._lifts is None:
            return False
        self._at_floor -= 1
        if self._at_floor:
            return False
        self._survey(self._lifts)
        return True

    def open_nodes(self) -> BoolArray:
        fits: BoolArray = self._heights < self._floor + self._above
        fits[ABSENT] = True
        is_open: BoolArray = fits[self.codes]
        return is_open

    def _survey(self, lifts: BoolArray) -> None:
        heights = self._heights[lifts]
        self._floor = int(heights.min())
        self._at_floor = int(np.count_nonzero(heights == self._floor))
