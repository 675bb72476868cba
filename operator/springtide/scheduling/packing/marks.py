"""Marks that pods leave on open bins, for as long as somebody still to come asks about them.

Thousands of apps with rules of their own are thousands of rows; but a row matters only from the first pod that marks it
to the last part that asks about it, which for most apps is the same one. So only a few are kept at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from springtide.scheduling.arrays import IntArray
from springtide.scheduling.packing.rules import Rule


class Marks:
    """Rows of marks by bin; parts come in a known order, `begin` says whose turn it is."""

    def __init__(self, start: IntArray, rules: Sequence[Rule]) -> None:
        """`start`: (rows,) marks on an empty new node; `rules`: of the parts, in the order of their turns."""
        self._start = start
        self._ends: dict[int, int] = {}
        for turn, rule in enumerate(rules):
            for row in rule.asked_rows:
                self._ends[row] = turn
        self._ending: defaultdict[int, list[int]] = defaultdict(list)
        for row, turn in self._ends.items():
            self._ending[turn].append(row)
        self._turn = -1
        self._slots: dict[int, int] = {}
        self._spare: list[int] = []
        self._kept: IntArray = np.zeros((0, 0), dtype=np.int64)

    def begin(self) -> None:
        """The next part's turn: what only those before it asked about is forgotten."""
        for row in self._ending.get(self._turn, ()):
            if row in self._slots:
                self._spare.append(self._slots.pop(row))
        self._turn += 1

    def on_new(self, row: int) -> int:
        """The marks on an empty new node."""
        return int(self._start[row])

    def on_bins(self, row: int) -> IntArray:
        """(bins,) The marks on a node of each bin. Read only."""
        slot = self._slots.get(row)
        if slot is None:
            return np.full(self._kept.shape[1], self._start[row])
        marks: IntArray = self._kept[slot]
        return marks

    def add(self, rule: Rule, where: IntArray | slice, counts: IntArray) -> None:
        """So many pods with this rule come to each node of these bins."""
        for row in rule.marks:
            if self._ends.get(row, -1) >= self._turn:
                slot = self._slot(row)  # may replace the array
                self._kept[slot, where] += counts

    def append_bin(self) -> None:
        self._kept = np.concatenate((self._kept, np.zeros((len(self._kept), 1), dtype=np.int64)), axis=1)
        for row, slot in self._slots.items():
            self._kept[slot, -1] = self._start[row]

    def repeat(self, copies: IntArray) -> None:
        """Each bin becomes so many equal ones."""
        if len(self._kept):
            self._kept = np.repeat(self._kept, copies, axis=1)
        else:
            self._kept = np.zeros((0, int(copies.sum())), dtype=np.int64)

    def _slot(self, row: int) -> int:
        slot = self._slots.get(row)
        if slot is None:
            if not self._spare:
                more = np.zeros((max(4, len(self._kept)), self._kept.shape[1]), dtype=np.int64)
                self._spare = list(range(len(self._kept), len(self._kept) + len(more)))
                self._kept = np.concatenate((self._kept, more))
            slot = self._slots[row] = self._spare.pop()
            self._kept[slot] = self._start[row]
        return slot
