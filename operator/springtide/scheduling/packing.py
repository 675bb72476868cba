"""How many fresh nodes a set of pods needs: first-fit decreasing by shape, on new nodes only.

Nodes with the same pods on them are one *bin* with a count: of a shape, a bin of n nodes takes n times what
one of them takes, and at most one bin must be split where the pods run out. So the cost follows the number of
shapes, not of pods or nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.ports import ports_conflict
from springtide.scheduling.resources import Demand
from springtide.scheduling.simulation import Simulation, first_fit


@dataclass(frozen=True, slots=True)
class Bin:
    """`nodes` new nodes, one after the other, each with the same pods: (index of the demand, pods of it per node)."""

    nodes: int
    contents: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """The outcome: so many nodes, in the order of `bins`; `placed[i]` pods of demand i are on them."""

    nodes: int
    placed: tuple[int, ...]
    bins: tuple[Bin, ...]


def pack(fresh: FreshNode, demands: Sequence[tuple[PodShape, int]], *, max_nodes: int) -> Packing:
    """Pack (shape, number of pods) pairs on new nodes, on `max_nodes` of them at most.

    Shapes go in Cluster Autoscaler's order: largest share of the node's cpu plus share of its memory first,
    equals as given. A shape opens a new node only when no open one has room for it, and only if it fits an
    empty one.
    """
    bins = _OpenBins(fresh, [shape for shape, _ in demands], max_nodes)
    placed = [0] * len(demands)
    for number in _decreasing(fresh, demands):
        placed[number] = bins.place(number, demands[number][1])
    packed = bins.bins()
    return Packing(nodes=sum(each.nodes for each in packed), placed=tuple(placed), bins=packed)


def apply_packing(
    simulation: Simulation,
    fresh: FreshNode,
    demands: Sequence[tuple[PodShape, int]],
    packing: Packing,
    *,
    prefix: str,
) -> range:
    """Add the packing's nodes, with the packed pods on them, to a simulation; the new nodes' indices.

    `fresh` and `demands` must be those it was packed from.
    """
    added = simulation.add_nodes(fresh, packing.nodes, prefix=prefix)
    on_nodes: dict[int, list[tuple[IntArray, int]]] = {}
    start = added.start
    for each in packing.bins:
        indices = np.arange(start, start + each.nodes)
        start += each.nodes
        for number, count in each.contents:
            on_nodes.setdefault(number, []).append((indices, count))
    for number, parts in on_nodes.items():
        counts = np.concatenate([np.full(len(indices), count) for indices, count in parts])
        simulation.place_at(demands[number][0], np.concatenate([indices for indices, _ in parts]), counts)
    return added


def _decreasing(fresh: FreshNode, demands: Sequence[tuple[PodShape, int]]) -> list[int]:
    cpu = fresh.allocatable.get("cpu", 0)
    memory = fresh.allocatable.get("memory", 0)

    def score(number: int) -> float:
        requests = demands[number][0].requests
        cpu_share = requests.get("cpu", 0) / cpu if cpu else 0.0
        return cpu_share + (requests.get("memory", 0) / memory if memory else 0.0)

    return sorted(range(len(demands)), key=score, reverse=True)


@dataclass(frozen=True, slots=True)
class _Layer:
    """What was put on a bin last, and what was there before: shared by the bins that were split off from it."""

    demand: int
    count: int
    below: _Layer | None


class _OpenBins:
    """The nodes opened so far, by bin: how many nodes, what is free on each, what is on each."""

    def __init__(self, fresh: FreshNode, shapes: list[PodShape], max_nodes: int) -> None:
        self._alone = fresh.alone
        self._shapes = shapes
        self._spare_nodes = max(0, max_nodes)
        self._nodes: IntArray = np.zeros(0, dtype=np.int64)
        self._layers: list[_Layer | None] = []
        axis = self._alone.state.usage.axis
        self._demands: list[Demand] = [axis.demand(shape) for shape in shapes]
        self._empty = np.array([self._alone.free(name)[0] for name in axis.names()])
        self._free = np.zeros((len(axis), 0), dtype=np.int64)
        self._ported = [number for number, shape in enumerate(shapes) if shape.host_ports]

    def place(self, number: int, count: int) -> int:
        """Put up to `count` pods of a demand on open bins, then on new nodes; how many found a place."""
        on_empty = int(self._alone.room(self._shapes[number])[0])
        if on_empty == 0 or count <= 0:
            return 0
        left = count - self._fill(number, count)
        return count - left + self._open(number, left, on_empty)

    def bins(self) -> tuple[Bin, ...]:
        return tuple(
            Bin(nodes=int(nodes), contents=_contents(layer))
            for nodes, layer in zip(self._nodes, self._layers, strict=True)
        )

    def _fill(self, number: int, count: int) -> int:
        """Fill open bins in order; the one where the pods run out is split."""
        room = self._room(number)
        per_bin = np.minimum(room, count) * self._nodes
        placement = first_fit(per_bin, count)
        if not placement.placed:
            return 0
        last = int(placement.indices[-1])
        for index in placement.indices[:-1]:
            self._add(int(index), number, int(room[index]))
        full_nodes, rest = divmod(int(placement.counts[-1]), int(room[last]))
        parts = [(full_nodes, int(room[last])), (min(rest, 1), rest)]
        parts.append((int(self._nodes[last]) - full_nodes - parts[1][0], 0))
        filled = placement.indices[:-1]
        for row, amount in self._demands[number]:
            self._free[row, filled] -= amount * room[filled]
        self._split(last, number, [part for part in parts if part[0]])
        return placement.placed

    def _room(self, number: int) -> IntArray:
        (pods_row, _), *requested = self._demands[number]
        room: IntArray = self._free[pods_row].copy()
        for row, amount in requested:
            np.minimum(room, self._free[row] // amount, out=room)
        np.maximum(room, 0, out=room)
        if self._shapes[number].host_ports:
            room = np.minimum(room, self._ports_free(number))
        return room

    def _ports_free(self, number: int) -> BoolArray:
        """Which bins hold no pod that has one of the demand's host ports."""
        rivals = {other for other in self._ported if self._compete(number, other)}
        free = (all(d not in rivals for d, _ in _contents(layer)) for layer in self._layers)
        return np.fromiter(free, dtype=np.bool_, count=len(self._layers))

    def _compete(self, number: int, other: int) -> bool:
        return any(
            ports_conflict(mine, theirs)
            for mine in self._shapes[number].host_ports
            for theirs in self._shapes[other].host_ports
        )

    def _add(self, index: int, number: int, count: int) -> None:
        self._layers[index] = _Layer(number, count, self._layers[index])

    def _split(self, index: int, number: int, parts: list[tuple[int, int]]) -> None:
        """Replace one bin by parts of (nodes, pods of the demand on each), in order."""
        below = self._layers[index]
        self._layers[index : index + 1] = [
            _Layer(number, pods, below) if pods else below for _, pods in parts
        ]
        copies = np.ones(len(self._nodes), dtype=np.int64)
        copies[index] = len(parts)
        self._nodes = np.repeat(self._nodes, copies)
        self._free = np.repeat(self._free, copies, axis=1)
        here = slice(index, index + len(parts))
        self._nodes[here] = [nodes for nodes, _ in parts]
        pods_each = np.array([pods for _, pods in parts])
        for row, amount in self._demands[number]:
            self._free[row, here] -= amount * pods_each

    def _open(self, number: int, count: int, on_empty: int) -> int:
        """Open new nodes for the pods, all full but the last; how many pods found a place."""
        count = min(count, self._spare_nodes * on_empty)
        if count == 0:
            return 0
        full_nodes, rest = divmod(count, on_empty)
        opened = full_nodes + min(rest, 1)
        self._spare_nodes -= opened
        parts = [part for part in ((full_nodes, on_empty), (min(rest, 1), rest)) if part[0]]
        self._nodes = np.append(self._nodes, opened)
        self._layers.append(None)
        self._free = np.concatenate((self._free, self._empty[:, np.newaxis]), axis=1)
        self._split(len(self._nodes) - 1, number, parts)
        return count


def _contents(layer: _Layer | None) -> tuple[tuple[int, int], ...]:
    contents: list[tuple[int, int]] = []
    while layer is not None:
        contents.append((layer.demand, layer.count))
        layer = layer.below
    return tuple(reversed(contents))
