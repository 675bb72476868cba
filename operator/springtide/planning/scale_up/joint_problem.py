"""The optimiser's problem behind one policy's purchases: pods as items, kinds of new nodes as types.

Where a rule cannot be put into the problem (hostname affinity, spreads over hostnames, volumes) it is left out, which
makes the problem easier: its lower bound holds all the same. Plans are only sought for pods whose rules are all in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.planning.groups.limits import Ledger, is_atomic
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.optimizer import Problem
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.planning.scale_up.lots import Lot
from springtide.planning.scale_up.searches import Names
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.resources import LARGEST_AMOUNT
from springtide.scheduling.packing.rules import Rulebook

MOST_CONFLICTS: Final = 20_000
"""Pairs of items that keep apart: with more, the problem would be all conflicts."""


@dataclass(frozen=True, slots=True)
class NodeKind:
    """Groups in one cell that get equal nodes."""

    candidate: Candidate
    site: int
    """Its place among the candidate's sites."""
    cell: int | None
    keys: tuple[GroupKey, ...]
    price: float
    room: int
    """Most nodes that may be bought."""


@dataclass(frozen=True)
class Stage:
    """What problems of one policy have in common."""

    catalog: Catalog
    ledger: Ledger
    """Before these purchases."""
    rulebook: Rulebook
    lots: Sequence[Lot]
    kinds: Sequence[NodeKind]

    def names(self, items: Sequence[int]) -> Names:
        """What stands behind the numbers of a problem over these lots."""
        return Names(
            items=tuple((self.lots[number].demand.shape, self.lots[number].cell) for number in items),
            types=tuple((kind.keys, kind.cell) for kind in self.kinds),
        )

    def problem(self, counts: Mapping[int, int]) -> Problem | None:
        """The cheapest nodes for so many pods of each lot; None where it makes no sense to ask."""
        items = list(counts)
        shapes = [self.lots[number].demand.shape for number in items]
        conflicts = self._conflicts(shapes)
        if not items or not self.kinds or len(conflicts) > MOST_CONFLICTS:
            return None
        demands, capacities = self._amounts(shapes)
        return Problem(
            counts=np.array([counts[number] for number in items], dtype=np.int64),
            demands=demands,
            capacities=capacities,
            prices=np.array([kind.price for kind in self.kinds], dtype=np.float64),
            max_nodes=np.array([kind.room for kind in self.kinds], dtype=np.int64),
            fits=self._fits(items, shapes),
            per_node=np.array([self._per_node(shape) for shape in shapes], dtype=np.int64),
            conflicts=tuple(conflicts),
        )

    def expressible(self, shape: PodShape) -> bool:
        """Whether the problem has all the rules of such pods."""
        rule = self.rulebook.rule(shape)
        return rule.near is None and not rule.gathers and not rule.spreads and shape.volumes is None

    def _per_node(self, shape: PodShape) -> int:
        return 1 if self.rulebook.rule(shape).single else LARGEST_AMOUNT

    def _amounts(self, shapes: Sequence[PodShape]) -> tuple[IntArray, IntArray]:
        """((items, resources) demands, (types, resources) capacities beside daemon pods)."""
        resources = sorted({name for shape in shapes for name in shape.requests})
        demands = [
            [1, *(min(shape.requests.get(name, 0), LARGEST_AMOUNT) for name in resources)] for shape in shapes
        ]
        free = {name: self._free(name) for name in ("pods", *resources)}
        capacities = np.array([free[name] for name in ("pods", *resources)], dtype=np.int64).T
        return np.array(demands, dtype=np.int64), np.maximum(capacities, 0)

    def _free(self, resource: str) -> list[int]:
        return [int(self.catalog.free_on(kind.keys, resource).min()) for kind in self.kinds]

    def rough_bound(self, counts: Mapping[int, int]) -> float:
        """So many pods of each lot cost no less per hour, wherever they go: what they ask of one resource, bought where
        that is cheapest. Weaker than the optimiser's bounds, and quick however many lots and kinds there are."""
        items = [number for number, count in counts.items() if count]
        if not items or not self.kinds:
            return 0.0
        demands, capacities = self._amounts([self.lots[number].demand.shape for number in items])
        asked = np.array([counts[number] for number in items], dtype=np.float64) @ demands
        prices = np.array([kind.price for kind in self.kinds], dtype=np.float64)
        each = np.divide(
            prices[:, np.newaxis], capacities, out=np.full(capacities.shape, np.inf), where=capacities > 0
        )
        cheapest = each.min(axis=0)
        return float(np.max(asked * np.where(np.isfinite(cheapest), cheapest, 0.0)))

    def _fits(self, items: Sequence[int], shapes: Sequence[PodShape]) -> BoolArray:
        """(items, types)"""
        keys = [key for kind in self.kinds for key in kind.keys]
        first = np.cumsum([0, *(len(kind.keys) for kind in self.kinds[:-1])])
        admits: BoolArray = np.logical_and.reduceat(self.catalog.fits_on(keys, shapes), first, axis=1)
        admits &= self._in_cells(items)
        for row, number in enumerate(items):
            closed = self.lots[number].demand.closed_pools
            if closed:
                admits[row] &= [closed.isdisjoint(key[0] for key in kind.keys) for kind in self.kinds]
        for column, kind in enumerate(self.kinds):
            daemons = set(np.flatnonzero(self.rulebook.marks_of(kind.candidate.fresh.daemon_shapes)).tolist())
            if daemons:
                admits[:, column] &= [daemons.isdisjoint(self.rulebook.rule(shape).clear) for shape in shapes]
        return admits

    def _in_cells(self, items: Sequence[int]) -> BoolArray:
        """(items, types) Which kinds lie in the cell that an item is bound to."""
        nowhere = -1
        bound = [self.lots[number].cell for number in items]
        wanted = np.array([nowhere if cell is None else cell for cell in bound])
        lies_in = np.array([nowhere if kind.cell is None else kind.cell for kind in self.kinds])
        in_cell: BoolArray = (wanted == nowhere)[:, np.newaxis] | (wanted[:, np.newaxis] == lies_in)
        return in_cell

    def _conflicts(self, shapes: Sequence[PodShape]) -> set[tuple[int, int]]:
        """Pairs of items of which one asks for a row to be empty that the other marks."""
        marking: dict[int, list[int]] = {}
        for item, shape in enumerate(shapes):
            for row in self.rulebook.rule(shape).marks:
                marking.setdefault(row, []).append(item)
        pairs: set[tuple[int, int]] = set()
        for item, shape in enumerate(shapes):
            for row in self.rulebook.rule(shape).clear:
                pairs.update((min(item, other), max(item, other)) for other in marking.get(row, ()))
            if len(pairs) > MOST_CONFLICTS:
                break
        return {(one, other) for one, other in pairs if one != other}


def kinds_of(
    candidates: Sequence[Candidate],
    states: Mapping[GroupKey, GroupState],
    ledger: Ledger,
    *,
    atomic: bool,
) -> list[NodeKind]:
    """The kinds of nodes that may be bought at a known price; `atomic`: those bought whole or not at all, too."""
    kinds = []
    for candidate in candidates:
        for site, (cell, keys) in enumerate(candidate.sites.items()):
            price = states[keys[0]].group.hourly_price
            if price is None or (is_atomic(states[keys[0]].pool) and not atomic):
                continue
            room = ledger.room(*keys).nodes
            if room > 0:
                kinds.append(NodeKind(candidate, site, cell, keys, price, room))
    return kinds
