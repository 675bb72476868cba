"""The problem as the search works on it: equal items merged, useless types and resources left out, sizes tamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.problem import Bools, Floats, Ints, Lot, Problem

HUGE: Final = 1 << 60
"""The pods together may not ask for more of one resource, so that four times an amount still is an int64."""

NODE_SURCHARGE: Final = 1e-6
"""Of the cheapest price, added to every price in the search: of equally dear plans the one with fewer nodes is found."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Instance:
    """A problem in which every item fits some type, by size too, and all prices are positive. Arrays as in Problem."""

    counts: Ints
    demands: Ints
    capacities: Ints
    prices: Floats
    max_nodes: Ints
    fits: Bools
    caps: Ints
    """(items,) as `per_node`, but never above the item's count."""
    capped: Bools
    """(items,): the cap, not the size, says how many pods of the item a node can hold."""
    conflicts: Bools | None
    """(items, items), symmetric; None: no conflicts at all."""
    room: Ints
    """(items, types): how many pods of the item alone one node of the type holds; 0: may not run there."""

    @property
    def items(self) -> int:
        return len(self.counts)

    @property
    def types(self) -> int:
        return len(self.prices)

    def holds(self, node_type: int, pods: Ints) -> bool:
        """Can a node of the type hold these pods (items,)? Counts aside."""
        here = np.flatnonzero(pods)
        if (pods[here] > self.room[here, node_type]).any():
            return False
        if (pods @ self.demands > self.capacities[node_type]).any():
            return False
        return self.conflicts is None or not self.conflicts[np.ix_(here, here)].any()

    def of_types(self, types: Ints) -> Instance:
        """Only these types, which must suffice for all items."""
        return dataclasses.replace(
            self,
            capacities=self.capacities[types],
            prices=self.prices[types],
            max_nodes=self.max_nodes[types],
            fits=np.ascontiguousarray(self.fits[:, types]),
            room=np.ascontiguousarray(self.room[:, types]),
        )

    def of_items(self, items: Ints) -> Instance:
        """Only these items."""
        return dataclasses.replace(
            self,
            counts=self.counts[items],
            demands=self.demands[items],
            fits=self.fits[items],
            caps=self.caps[items],
            capped=self.capped[items],
            conflicts=None if self.conflicts is None else self.conflicts[np.ix_(items, items)],
            room=self.room[items],
        )

    def left(self, *, counts: Ints, max_nodes: Ints) -> Instance:
        """What remains to be done: so many pods, so many nodes that may still be bought."""
        return dataclasses.replace(self, counts=counts, max_nodes=max_nodes)


@dataclass(frozen=True, slots=True, eq=False)
class Bought:
    """Equal nodes of an instance: `pods` (items,) is what each of them holds."""

    node_type: int
    nodes: int
    pods: Ints


def cost_of(instance: Instance, bought: Sequence[Bought]) -> float:
    """By the prices of the search."""
    return float(sum(float(instance.prices[lot.node_type]) * lot.nodes for lot in bought))


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """An instance, and the way back to the problem it was made from."""

    instance: Instance
    members: tuple[Ints, ...]
    """Per item of the instance, the problem's items merged into it, first things first."""
    types: Ints
    """Per type of the instance, the problem's."""
    wanted: Ints
    """(problem items,): how many pods of each the instance holds."""

    def expand(self, bought: Sequence[Bought]) -> tuple[Lot, ...]:
        """Nodes of the instance as nodes of the problem."""
        queues = [[(int(item), int(self.wanted[item])) for item in members] for members in self.members]
        lots: list[Lot] = []
        for lot in bought:
            need = {int(item): int(lot.pods[item]) for item in np.flatnonzero(lot.pods)}
            left = lot.nodes
            while left:
                alike, pods = _take(queues, need, left)
                lots.append(Lot(int(self.types[lot.node_type]), alike, tuple(sorted(pods.items()))))
                left -= alike
        return tuple(lots)

    def shrink(self, lots: Sequence[Lot]) -> list[Bought]:
        """Nodes of the problem as nodes of the instance, without types and items that were left out, and overfull ones."""
        type_of = {int(given): here for here, given in enumerate(self.types)}
        item_of = {int(item): here for here, members in enumerate(self.members) for item in members}
        bought = []
        for lot in lots:
            if lot.node_type in type_of:
                pods = np.zeros(self.instance.items, dtype=np.int64)
                for item, number in lot.pods:
                    if item in item_of:
                        pods[item_of[item]] += number
                if pods.any() and self.instance.holds(type_of[lot.node_type], pods):
                    bought.append(Bought(type_of[lot.node_type], lot.nodes, pods))
        return bought


def _take(
    queues: list[list[tuple[int, int]]], need: dict[int, int], nodes: int
) -> tuple[int, dict[int, int]]:
    """Pods for as many alike nodes as the heads of the queues serve, else for one node from several heads."""
    alike = min([nodes, *(queues[item][0][1] // number for item, number in need.items())])
    pods: dict[int, int] = {}
    for item, number in need.items():
        left = number * max(alike, 1)
        while left:
            member, waiting = queues[item][0]
            taken = min(left, waiting)
            pods[member] = pods.get(member, 0) + (number if alike else taken)
            left -= taken
            queues[item][0] = (member, waiting - taken)
            if taken == waiting:
                queues[item].pop(0)
    return max(alike, 1), pods


def reduce(problem: Problem, wanted: Ints) -> Reduction | None:
    """The instance that places `wanted` (problem items,) pods.

    None if there is nothing to place, or nowhere, or if the pods together ask for more than `HUGE` of a resource.
    """
    usable = (problem.max_nodes > 0)[None, :] & (problem.caps > 0)[:, None] & problem.fits
    room = _room(problem, usable)
    wanted = np.where(room.any(axis=1), np.minimum(wanted, problem.counts), 0)
    items = np.flatnonzero(wanted)
    if not len(items):
        return None
    members = _merged(problem, room, items)
    first = np.array([int(group[0]) for group in members])
    counts = np.array([int(wanted[group].sum()) for group in members], dtype=np.int64)
    if (counts @ problem.demands[first].astype(np.float64) > HUGE).any():
        return None
    demands, capacities = _tamed(problem, first, counts)
    types = _useful_types(problem, capacities, room[first], int(counts.sum()))
    fitting = room[first][:, types]
    caps = np.minimum(problem.caps[first], counts)
    instance = Instance(
        counts=counts,
        demands=demands,
        capacities=np.ascontiguousarray(capacities[types]),
        prices=_search_prices(problem.prices[types]),
        max_nodes=np.minimum(problem.max_nodes[types], int(counts.sum())),
        fits=np.ascontiguousarray(fitting > 0),
        caps=caps,
        capped=(problem.caps[first][:, None] < _room(problem, usable, capped=False)[first][:, types]).any(
            axis=1
        ),
        conflicts=_conflicts(problem, first),
        room=np.ascontiguousarray(np.minimum(fitting, caps[:, None])),
    )
    return Reduction(instance=instance, members=members, types=types, wanted=wanted)


def _room(problem: Problem, usable: Bools, *, capped: bool = True) -> Ints:
    """(items, types): how many pods of the item alone a node holds."""
    room = np.full(usable.shape, np.iinfo(np.int64).max)
    if capped:
        room = np.minimum(room, problem.caps[:, None])
    for demand, capacity in zip(problem.demands.T, problem.capacities.T, strict=True):
        asked = np.flatnonzero(demand)
        room[asked] = np.minimum(room[asked], capacity[None, :] // demand[asked, None])
    return np.where(usable, room, 0)


def _merged(problem: Problem, room: Ints, items: Ints) -> tuple[Ints, ...]:
    """Items alike in all that matters. Items that a cap or a conflict concerns stay alone: theirs are counted apart."""
    in_conflict = {item for pair in problem.conflicts for item in pair}
    binding = problem.caps < _room(problem, room > 0, capped=False).max(axis=1)
    groups: dict[tuple[int, bytes, bytes], list[int]] = {}
    for item in items.tolist():
        alone = item if binding[item] or item in in_conflict else -1
        groups.setdefault((alone, problem.demands[item].tobytes(), (room[item] > 0).tobytes()), []).append(
            item
        )
    return tuple(np.array(group, dtype=np.int64) for group in groups.values())


def _tamed(problem: Problem, items: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Demands and capacities without resources that nobody asks for; a node never needs more than all pods together."""
    demands = problem.demands[items]
    asked = np.flatnonzero(demands.any(axis=0))
    if not len(asked):
        asked = np.array([0])
    demands = demands[:, asked]
    total = counts @ demands
    return np.ascontiguousarray(demands), np.minimum(
        problem.capacities[:, asked], np.maximum(total, 1)[None, :]
    )


def _useful_types(problem: Problem, capacities: Ints, room: Ints, pods: int) -> Ints:
    """Types without those that another one beats: as cheap, as large, open to as many items, and plentiful."""
    candidates = [g for g in range(len(problem.prices)) if room[:, g].any()]
    candidates.sort(key=lambda g: (float(problem.prices[g]), tuple((-capacities[g]).tolist()), g))
    kept: list[int] = []
    for g in candidates:
        plentiful = [h for h in kept if problem.max_nodes[h] >= pods]
        beaten = any(
            bool((capacities[h] >= capacities[g]).all()) and bool((room[:, h] >= room[:, g]).all())
            for h in plentiful
        )
        if not beaten:
            kept.append(g)
    return np.array(sorted(kept), dtype=np.int64)


def _search_prices(prices: Floats) -> Floats:
    positive = prices[prices > 0]
    cheapest = float(positive.min()) if len(positive) else 1.0
    return prices + (NODE_SURCHARGE if len(positive) else 1.0) * cheapest


def _conflicts(problem: Problem, items: Ints) -> Bools | None:
    here = {int(item): number for number, item in enumerate(items)}
    pairs = [(here[a], here[b]) for a, b in problem.conflicts if a in here and b in here]
    if not pairs:
        return None
    matrix = np.zeros((len(items), len(items)), dtype=np.bool_)
    for a, b in pairs:
        matrix[a, b] = matrix[b, a] = True
    return matrix
