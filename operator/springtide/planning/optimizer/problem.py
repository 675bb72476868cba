"""What the optimiser is asked and what it answers: pods of several kinds, node types with prices, and a plan of nodes.

Plain arrays and indices, so that it can be stated, solved and checked without pods or clouds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Problem:
    """Which nodes hold these pods at least cost?

    An item is a kind of pod that the scheduler cannot tell apart. The order of items is their priority: when the
    nodes that may be bought do not hold all, earlier items matter more.

    Raises ValueError if shapes disagree or a number is negative or not finite.
    """

    counts: Ints
    """(items,): how many pods of each item must be placed."""
    demands: Ints
    """(items, resources): what one pod takes, in whole units; the number of pods is a resource like any other."""
    capacities: Ints
    """(types, resources): what pods can use of a fresh node."""
    prices: Floats
    """(types,): per node and hour, at least 0; any currency. A surcharge per node belongs into the price."""
    max_nodes: Ints
    """(types,): how many nodes of the type may be bought."""
    fits: Bools
    """(items, types): may the item run on the type at all (labels, taints, zones, volumes)? Sizes are checked here."""
    per_node: Ints | None = None
    """(items,): at most so many pods of the item on one node (hostname anti-affinity to itself: 1); None: no caps."""
    conflicts: tuple[tuple[int, int], ...] = ()
    """Pairs of different items that may not share a node."""

    def __post_init__(self) -> None:
        items, types = np.shape(self.fits)
        resources = np.shape(self.demands)[-1]
        per_node = np.full(items, np.iinfo(np.int64).max) if self.per_node is None else self.per_node
        shaped = {
            "counts": (self.counts, (items,), np.int64),
            "demands": (self.demands, (items, resources), np.int64),
            "capacities": (self.capacities, (types, resources), np.int64),
            "prices": (self.prices, (types,), np.float64),
            "max_nodes": (self.max_nodes, (types,), np.int64),
            "per_node": (per_node, (items,), np.int64),
        }
        for name, (given, shape, kind) in shaped.items():
            array = np.ascontiguousarray(given, dtype=kind)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, not {shape}")
            if not np.isfinite(array).all() or (array < 0).any():
                raise ValueError(f"{name} holds a number that is negative or not finite")
            object.__setattr__(self, name, array)
        object.__setattr__(self, "fits", np.ascontiguousarray(self.fits, dtype=np.bool_))
        if any(a == b or not (0 <= a < items and 0 <= b < items) for a, b in self.conflicts):
            raise ValueError("conflicts must name two different items each")

    @property
    def caps(self) -> Ints:
        """`per_node`, always an array."""
        assert self.per_node is not None  # made an array above
        return self.per_node


@dataclass(frozen=True, slots=True)
class Lot:
    """So many equal nodes: the type, how many, and what each of them holds as (item, pods), by item."""

    node_type: int
    nodes: int
    pods: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """Nodes to buy and what they are meant to hold."""

    lots: tuple[Lot, ...]
    cost: float
    """Per hour, of all nodes."""
    lower_bound: float
    """Proven: no purchase that places at least the pods that must be placed costs less. At most `cost`."""
    unplaced: tuple[int, ...]
    """Per item, how many pods have no place."""
    note: str = ""
    """Why the search ended early, in words for users; empty if nothing went wrong."""

    @property
    def nodes(self) -> int:
        return sum(lot.nodes for lot in self.lots)

    @property
    def gap(self) -> float:
        """How much dearer than the bound, as a share of the cost; 0: proven to be cheapest."""
        return 0.0 if self.cost <= 0 else max(0.0, 1.0 - self.lower_bound / self.cost)


def cost_of(problem: Problem, lots: Sequence[Lot]) -> float:
    """The hourly price of all nodes."""
    return math.fsum(float(problem.prices[lot.node_type]) * lot.nodes for lot in lots)


def placed_by(problem: Problem, lots: Sequence[Lot]) -> list[int]:
    """How many pods of each item the nodes hold (exact)."""
    placed = [0] * len(problem.counts)
    for lot in lots:
        for item, pods in lot.pods:
            placed[item] += pods * lot.nodes
    return placed


def verify(problem: Problem, lots: Sequence[Lot]) -> list[str]:
    """All that is wrong with these nodes, in words; empty: every rule of the problem holds. Exact integers throughout."""
    wrong: list[str] = []
    used = [0] * len(problem.prices)
    for number, lot in enumerate(lots):
        used[lot.node_type] += lot.nodes
        wrong += (f"lot {number}: {fault}" for fault in _faults_of(problem, lot))
    for node_type, nodes in enumerate(used):
        if nodes > problem.max_nodes[node_type]:
            wrong.append(f"type {node_type}: {nodes} nodes, at most {problem.max_nodes[node_type]}")
    for item, placed in enumerate(placed_by(problem, lots)):
        if placed > problem.counts[item]:
            wrong.append(f"item {item}: {placed} pods placed of {problem.counts[item]}")
    return wrong


def _faults_of(problem: Problem, lot: Lot) -> list[str]:
    faults: list[str] = []
    if lot.nodes < 1 or not lot.pods:
        faults.append("no nodes, or nothing on them")
    on_node = dict(lot.pods)
    if len(on_node) != len(lot.pods):
        faults.append("an item twice")
    for item, pods in lot.pods:
        if not problem.fits[item, lot.node_type]:
            faults.append(f"item {item} may not run there")
        if not 1 <= pods <= problem.caps[item]:
            faults.append(f"{pods} pods of item {item}, at most {problem.caps[item]} a node")
    for resource, capacity in enumerate(problem.capacities[lot.node_type].tolist()):
        taken = sum(int(problem.demands[item, resource]) * pods for item, pods in lot.pods)
        if taken > capacity:
            faults.append(f"resource {resource}: {taken} of {capacity}")
    faults += (
        f"items {a} and {b} share a node" for a, b in problem.conflicts if a in on_node and b in on_node
    )
    return faults
