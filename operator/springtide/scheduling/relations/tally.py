"""One tally: how many of the pods that a question means stand on each node, and in each domain of a topology.

Most questions mean few pods, and there may be thousands of questions: until a tally has pods on many nodes it is kept
as short lists, and its sums over wide topologies (a domain for every node) are made when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.scheduling.arrays import BoolArray, CodeArray, IntArray

_NARROW: Final = 64
"""Sums over so many domains are always kept."""
_CROWDED: Final = 8
"""With pods on one of so many nodes a tally is kept as a number for each node."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The nodes by the values of one label: code 0 (labels.ABSENT) stands for those without it."""

    codes: CodeArray
    """(size,) Domain of each node."""
    eligible: BoolArray | None
    """(size,) Nodes that count; None = all."""
    nodes: IntArray
    """(domains,) Nodes that count and have not vanished."""


@dataclass(frozen=True, slots=True)
class Domains:
    """A tally over a topology. Read only."""

    topology: Topology
    counts: IntArray
    """(domains,) Pods on nodes that count."""

    @property
    def codes(self) -> CodeArray:
        return self.topology.codes

    @property
    def nodes(self) -> IntArray:
        return self.topology.nodes


@dataclass(slots=True)
class _Sums:
    codes: CodeArray
    eligible: BoolArray | None
    counts: IntArray

    def add(self, indices: IntArray, counts: IntArray) -> None:
        if self.eligible is not None:
            counts = counts * self.eligible[indices]
        np.add.at(self.counts, self.codes[indices], counts)


class Tally:
    """One subject's pods per node; to be changed by the simulation that owns it only."""

    __slots__ = ("_by_node", "_counts", "_indices", "_size", "_sums", "owner", "vanished")

    def __init__(self, size: int, *, owner: object) -> None:
        self.owner = owner
        self.vanished = 0
        """How many of the simulation's vanished nodes are taken off already."""
        self._size = size
        self._indices: IntArray = np.zeros(0, dtype=np.int64)
        self._counts: IntArray = self._indices
        self._by_node: IntArray | None = None
        self._sums: dict[tuple[str, int], _Sums] = {}

    @property
    def size(self) -> int:
        """Nodes that it knows of."""
        return self._size

    def owned_by(self, owner: object) -> Tally:
        """An independent copy."""
        twin = Tally(self._size, owner=owner)
        twin.vanished = self.vanished
        # The short lists are replaced, never written to.
        twin._indices, twin._counts = self._indices, self._counts
        twin._by_node = None if self._by_node is None else self._by_node.copy()
        twin._sums = {
            key: _Sums(sums.codes, sums.eligible, sums.counts.copy()) for key, sums in self._sums.items()
        }
        return twin

    def by_node(self) -> IntArray:
        """(size,) Pods on each node; a copy."""
        if self._by_node is not None:
            return self._by_node.copy()
        by_node = np.zeros(self._size, dtype=np.int64)
        np.add.at(by_node, self._indices, self._counts)
        return by_node

    def add(self, indices: IntArray, counts: IntArray) -> None:
        """Pods came to nodes (a node may be named twice), or left them: counts below zero."""
        if self._by_node is not None:
            np.add.at(self._by_node, indices, counts)
        else:
            self._indices = np.concatenate((self._indices, indices))
            self._counts = np.concatenate((self._counts, counts))
            if len(self._indices) * _CROWDED > self._size:
                self._compact()
        for sums in self._sums.values():
            sums.add(indices, counts)

    def catch_up(self, size: int, *, vanished: int, gone: BoolArray) -> None:
        """Take note of nodes that have joined since, and of those that are `gone`: so many have `vanished`."""
        if self._size < size:
            if self._by_node is not None:
                more = np.zeros(size - self._size, dtype=np.int64)
                self._by_node = np.concatenate((self._by_node, more))
            self._size = size
            self._sums.clear()
        if self.vanished < vanished:
            self._drop(gone)
        self.vanished = vanished

    def domains(self, key: str, topology: Topology) -> Domains:
        """Over the topology of the label `key`."""
        name = (key, id(topology.eligible))
        known = self._sums.get(name)
        if known is None:
            known = _Sums(topology.codes, topology.eligible, self._sum(topology))
            if len(known.counts) <= _NARROW or self._by_node is not None:
                self._sums[name] = known
        return Domains(topology, known.counts)

    def _sum(self, topology: Topology) -> IntArray:
        width = len(topology.nodes)
        if self._by_node is not None:
            counts = self._by_node if topology.eligible is None else self._by_node * topology.eligible
            return np.bincount(topology.codes, weights=counts, minlength=width).astype(np.int64)
        counts = self._counts
        if topology.eligible is not None:
            counts = counts * topology.eligible[self._indices]
        sums = np.bincount(topology.codes[self._indices], weights=counts, minlength=width)
        return sums.astype(np.int64)

    def _drop(self, gone: BoolArray) -> None:
        """None of these nodes has any pods any more."""
        if self._by_node is not None:
            indices = np.flatnonzero(gone & (self._by_node != 0))
            self.add(indices, -self._by_node[indices])
        else:
            lost = gone[self._indices]
            if lost.any():
                for sums in self._sums.values():
                    sums.add(self._indices[lost], -self._counts[lost])
                self._indices, self._counts = self._indices[~lost], self._counts[~lost]

    def _compact(self) -> None:
        """The lists have become long: sum up what is there for each node."""
        by_node = self.by_node()
        there = np.flatnonzero(by_node)
        if len(there) * 2 * _CROWDED > self._size:
            self._by_node = by_node
            there = there[:0]
        self._indices, self._counts = there, by_node[there]
