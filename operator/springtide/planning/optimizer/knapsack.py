"""The best node of a type: which pods, each worth something, fill it to the greatest worth.

A knapsack with several resources and limited numbers of each pod. Its linear relaxation gives a price per unit of
each resource; against these prices every pod loses a little (its `loss`), and so does every unit left unused. A beam
search goes through the pods, largest first, and keeps the fillings that have lost least; what the relaxation promises
minus what is lost bounds what a filling can still be worth, so those that cannot reach the target are dropped for
good. The best ends are improved by exchanges. Measured on patterns of workload o: mostly within 1 % of the optimum in 6 to
20 ms, where an exact search by mixed-integer programming took 50 to 700 ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.exchange import Pairs, exchange
from springtide.planning.optimizer.instance import Instance
from springtide.planning.optimizer.linear import LinearProgram, Solver
from springtide.planning.optimizer.problem import Bools, Floats, Ints

_WASTE_AVERSION: Final = 0.05
"""How much of the value of unused room counts against a filling while the beam is thinned: room may stay unused."""

_SHUFFLED: Final = 0.4
"""How far the order of pods is shuffled in a diversified search, as a share of their size."""

_PAIRED: Final = 150
"""Pods that take part in exchanges, those that lose least: pairs grow with the square."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to search."""

    beam: int
    """Fillings kept."""
    finished: int
    """Of these, how many are improved by exchanges."""


class Relaxations:
    """The linear relaxations of all types' knapsacks, each solved again from its last basis."""

    def __init__(self, instance: Instance, solver: Solver) -> None:
        self._programs = [_relaxation(instance, node_type, solver) for node_type in range(instance.types)]
        self._items = [np.flatnonzero(instance.fits[:, node_type]) for node_type in range(instance.types)]
        self._scale = 1.0 / np.maximum(instance.capacities, 1)

    def prices(self, node_type: int, worth: Floats, *, seconds: float) -> Floats:
        """(resources,): at least 0, per unit. Raises SolverError."""
        program = self._programs[node_type]
        program.set_costs(-worth[self._items[node_type]])
        optimum = program.solve(seconds=seconds)
        prices: Floats = np.maximum(-optimum.row_duals, 0.0) * self._scale[node_type]
        return prices


def _relaxation(instance: Instance, node_type: int, solver: Solver) -> LinearProgram:
    items = np.flatnonzero(instance.fits[:, node_type])
    resources = instance.demands.shape[1]
    program = solver(np.full(resources, -np.inf), np.ones(resources))
    shares = instance.demands[items] / np.maximum(instance.capacities[node_type], 1)
    at, resource = np.nonzero(shares)
    program.add_columns(
        costs=np.zeros(len(items)),
        limits=instance.room[items, node_type].astype(np.float64),
        starts=np.searchsorted(at, np.arange(len(items))),
        rows=resource,
        values=shares[at, resource],
    )
    return program


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What the relaxation says of a type: no filling is worth more than `most`."""

    node_type: int
    prices: Floats
    most: float


def outlook(instance: Instance, node_type: int, worth: Floats, prices: Floats) -> Outlook:
    """`most` follows from `prices` by hand, so it holds whatever the quality of the prices."""
    limit = np.minimum(instance.room[:, node_type], instance.counts)
    surplus = np.maximum(worth - instance.demands @ prices, 0.0) * limit
    return Outlook(node_type, prices, float(instance.capacities[node_type] @ prices + surplus.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found."""

    fillings: list[Ints]
    """(items,) each, worth more than the target, the best first."""
    most: float
    """Proven: no filling is worth more than this and the target."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shelf:
    """The pods of one search, in the order of the search."""

    items: Ints
    demands: Ints
    limit: Ints
    loss: Floats
    """Price of the room a pod takes, less its worth; negative if it is worth more."""
    surplus: Floats
    """What all pods of an item gain at most: lost as soon as the item's turn is over, gained per pod taken."""
    conflicts: Bools | None


def search(
    instance: Instance,
    view: Outlook,
    worth: Floats,
    *,
    target: float,
    effort: Effort,
    lot: np.random.Generator | None,
) -> Found:
    """Fillings worth more than `target`, at most a few. `lot` shuffles the search; None: the plain order."""
    if view.most <= target:
        return Found([], view.most)
    shelf = _shelf(instance, view, worth, target, lot)
    beam = _Beam(instance.capacities[view.node_type], view, target, effort.beam)
    for at in range(len(shelf.items)):
        if not beam.step(shelf, at, lot):
            return Found([], max(beam.dropped, target))
    pairs = Pairs.of(instance, worth, _least_losing(shelf))
    found: dict[bytes, tuple[float, Ints]] = {}
    for end in beam.best_ends()[: effort.finished]:
        pods = np.zeros(instance.items, dtype=np.int64)
        pods[shelf.items] = beam.filling(int(end))
        pods = exchange(instance, view.node_type, pods, pairs, worth, most_out=2, rounds=6)
        value = float(pods @ worth)
        if value > target:
            found[pods.tobytes()] = (value, pods)
    ranked = sorted(found.values(), key=lambda one: -one[0])[:4]
    most = max([beam.dropped, beam.best_value(), target])
    return Found([pods for _, pods in ranked], max([most, *(value for value, _ in ranked)]))


def _shelf(
    instance: Instance, view: Outlook, worth: Floats, target: float, lot: np.random.Generator | None
) -> _Shelf:
    limit = np.minimum(instance.room[:, view.node_type], instance.counts)
    size = instance.demands @ view.prices
    loss = size - worth
    # One pod that loses more than the relaxation exceeds the target by has no place on any node we look for.
    items = np.flatnonzero((limit > 0) & (loss < view.most - target))
    key = size[items]
    if lot is not None:
        key = key * lot.uniform(1 - _SHUFFLED, 1.0, len(items))
    items = items[np.argsort(-key, kind="stable")]
    return _Shelf(
        items=items,
        demands=instance.demands[items],
        limit=limit[items],
        loss=loss[items],
        surplus=np.maximum(-loss[items], 0.0) * limit[items],
        conflicts=None if instance.conflicts is None else instance.conflicts[np.ix_(items, items)],
    )


def _least_losing(shelf: _Shelf) -> Ints:
    if len(shelf.items) <= _PAIRED:
        return shelf.items
    return shelf.items[np.argpartition(shelf.loss, _PAIRED)[:_PAIRED]]


class _Beam:
    """Fillings side by side: the room each has left, and what it can still be worth."""

    def __init__(self, capacity: Ints, view: Outlook, target: float, width: int) -> None:
        self._room = capacity[None, :].copy()
        self._hope = np.array([view.most])
        self._prices = view.prices
        self._target = target
        self._width = width
        self._steps: list[tuple[Ints, Ints]] = []
        self._barred: Bools | None = None
        self.dropped = -np.inf
        """The highest hope among fillings dropped though they could have reached the target."""

    def step(self, shelf: _Shelf, at: int, lot: np.random.Generator | None) -> bool:
        """Take every possible number of pods of one item; False: nothing is left that could reach the target."""
        most = self._possible(shelf, at)
        parent = np.repeat(np.arange(len(most)), most + 1)
        taken = np.arange(len(parent)) - np.repeat(np.cumsum(most + 1) - (most + 1), most + 1)
        hope = self._hope[parent] - taken * shelf.loss[at] - shelf.surplus[at]
        alive = np.flatnonzero(hope > self._target)
        if not len(alive):
            return False
        if len(alive) > self._width:
            alive = self._thinned(alive, parent, taken, hope, shelf.demands[at], lot)
        parent, taken = parent[alive], taken[alive]
        self._hope = hope[alive]
        self._room = self._room[parent] - taken[:, None] * shelf.demands[at]
        if shelf.conflicts is not None and self._barred is not None:
            self._barred = self._barred[parent] | ((taken > 0)[:, None] & shelf.conflicts[at])
        self._steps.append((parent, taken))
        return True

    def _possible(self, shelf: _Shelf, at: int) -> Ints:
        demand = shelf.demands[at]
        asked = np.flatnonzero(demand)
        most = np.full(len(self._hope), shelf.limit[at])
        if len(asked):
            most = np.minimum(most, (self._room[:, asked] // demand[asked]).min(axis=1))
        if shelf.conflicts is not None:
            if self._barred is None:
                self._barred = np.zeros((len(self._hope), len(shelf.items)), dtype=np.bool_)
            most = np.where(self._barred[:, at], 0, most)
        return most

    def _thinned(
        self,
        alive: Ints,
        parent: Ints,
        taken: Ints,
        hope: Floats,
        demand: Ints,
        lot: np.random.Generator | None,
    ) -> Ints:
        room = self._room[parent[alive]] - taken[alive, None] * demand
        rank = hope[alive] - _WASTE_AVERSION * (room @ self._prices)
        if lot is not None:
            rank = rank + lot.uniform(0.0, 0.01 * self._target, len(rank))
        order = np.argpartition(-rank, self._width - 1)
        self.dropped = max(self.dropped, float(hope[alive[order[self._width :]]].max()))
        return alive[order[: self._width]]

    def best_ends(self) -> Ints:
        """Fillings, the most valuable first: what is left of hope once unused room is paid for."""
        return np.argsort(-(self._hope - self._room @ self._prices), kind="stable")

    def best_value(self) -> float:
        return float((self._hope - self._room @ self._prices).max())

    def filling(self, end: int) -> Ints:
        """How many pods of each item of the shelf."""
        pods = np.zeros(len(self._steps), dtype=np.int64)
        for at in range(len(self._steps) - 1, -1, -1):
            parent, taken = self._steps[at]
            pods[at] = taken[end]
            end = int(parent[end])
        return pods
