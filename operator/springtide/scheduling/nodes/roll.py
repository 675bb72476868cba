"""The roll of pods: what each node's pods are, by kind, remembered while the tuple of its pods is the same object.

A picture of the cluster shares the tuples of nodes where nothing has changed with the picture before. So in a cluster of
150,000 pods only those on some dozens of nodes are looked at anew from one pass to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import IntArray

_FINISHED = (PodPhase.SUCCEEDED, PodPhase.FAILED)
_FEWEST: Final = 1024
"""Shapes to be known before any is forgotten."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The pods of one node."""

    pods: Sequence[PodRecord]
    kinds: IntArray
    """Twice the number of the pod's shape, plus one if it is terminating, of each pod that has not finished."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The pods of many nodes, one node after another. The numbers of shapes are dense, and in the order in which
    shapes come up."""

    kinds: IntArray
    counts: list[int]
    """How many of them each node has."""
    numbers: dict[PodShape, int]


class Roll:
    """Remembers the nodes asked about in the last pass. Without a pass before it tells the same, only later."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._numbers: dict[PodShape, int] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """Names of the nodes that are remembered."""
        return frozenset(self._entries)

    @property
    def shapes(self) -> int:
        """How many shapes have a number here."""
        return len(self._numbers)

    def call(self, nodes: Sequence[NodeRecord], pods_by_node: Mapping[str, Sequence[PodRecord]]) -> Kinds:
        """The pods of these nodes. Other nodes are forgotten."""
        known, entries = self._entries, dict[str, Entry]()
        for node in nodes:
            pods = pods_by_node.get(node.name, ())
            entry = known.get(node.name)
            if entry is None or entry.pods is not pods:
                entry = Entry(pods, self._kinds(pods))
            entries[node.name] = entry
        self._entries = entries
        parts = [entry.kinds for entry in entries.values()]
        kinds = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        told = self._renumbered(kinds, [len(part) for part in parts])
        if len(self._numbers) > max(_FEWEST, 2 * len(told.numbers)):
            # Most of the shapes are gone: they must not be kept alive for their numbers.
            self._entries, self._numbers = {}, {}
        return told

    def _kinds(self, pods: Sequence[PodRecord]) -> IntArray:
        numbers = self._numbers
        return np.array(
            [
                2 * numbers.setdefault(pod.shape, len(numbers)) + (pod.deletion_timestamp is not None)
                for pod in pods
                if pod.phase not in _FINISHED
            ],
            dtype=np.int64,
        )

    def _renumbered(self, kinds: IntArray, counts: list[int]) -> Kinds:
        """With the numbers that the shapes would have if none were known from before."""
        shapes = kinds >> 1
        first = np.full(len(self._numbers), len(kinds), dtype=np.int64)
        # Of several values for one place the last is kept: backwards, that of the first pod.
        first[shapes[::-1]] = np.arange(len(kinds) - 1, -1, -1)
        in_order = np.argsort(first, kind="stable")[: int((first < len(kinds)).sum())]
        dense = np.zeros(len(first), dtype=np.int64)
        dense[in_order] = np.arange(len(in_order))
        known = list(self._numbers)
        return Kinds(
            kinds=2 * dense[shapes] + (kinds & 1),
            counts=counts,
            numbers={known[number]: place for place, number in enumerate(in_order.tolist())},
        )
