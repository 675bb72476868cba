"""How many fresh nodes a set of pods needs: first-fit decreasing by shape, on new nodes only.

Rules between pods of one node (scheduling.rules) are kept: host ports, and (anti-)affinity and spread over hostnames.
Rules over zones and the like are not seen here; whoever plans over several zones splits the pods into parts that are
bound to sites (planning.quotas).

A hard spread over hostnames is kept as it will be once all the new nodes are up: on no node may there be more of the
counted pods than on the emptiest eligible node plus the skew. Therefore such pods are dealt out evenly over all the
nodes, however many the other pods open; when the others open more than the pods were dealt to, everything is packed
again with so many nodes open from the start. Where that does not settle, new nodes may stay empty for all the packing
knows, and each gets no more of these pods than the skew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.admission import admitted_room
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.bins import Bin, OpenBins, Recipe, Site
from springtide.scheduling.dealing import deal
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.rules import Rulebook
from springtide.scheduling.simulation import Simulation

__all__ = ["Bin", "Packing", "Part", "Site", "apply_packing", "pack", "pack_parts"]


@dataclass(frozen=True, slots=True)
class Packing:
    """The outcome: so many nodes, in the order of `bins`; `placed[i]` pods of part i are on them."""

    nodes: int
    placed: tuple[int, ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Pods of one shape, and the sites they may go to."""

    shape: PodShape
    count: int
    sites: frozenset[int] | None = None
    """None: all."""


_ROUNDS: Final = 4
"""How often pods of a spread are dealt again because other pods have opened further nodes."""
_FEW: Final = 200
"""With more parts than these, one order must do: the second is worth a node or two, and costs as much as the first."""


def pack(
    fresh: FreshNode,
    demands: Sequence[tuple[PodShape, int]],
    *,
    max_nodes: int,
    rulebook: Rulebook | None = None,
) -> Packing:
    """Pack (shape, number of pods) pairs on new nodes, on `max_nodes` of them at most.

    Shapes go in Cluster Autoscaler's order: largest share of the node's cpu plus share of its memory first,
    equals as given. A shape opens a new node only when no open one has room for it, and only if it fits an
    empty one. Where rules between pods are in play, other orders are tried, too.
    """
    parts = [Part(shape, count) for shape, count in demands]
    return pack_parts(fresh, parts, sites=(Site(room=max_nodes),), max_nodes=max_nodes, rulebook=rulebook)


def pack_parts(
    fresh: FreshNode,
    parts: Sequence[Part],
    *,
    sites: Sequence[Site],
    max_nodes: int,
    rulebook: Rulebook | None = None,
) -> Packing:
    """Pack parts on equal new nodes in several sites, on `max_nodes` of them at most.

    `rulebook`: the rules of all the parts' shapes and of the daemon pods; made here where it is not given.
    """
    packer = _Packer.of(fresh, parts, sites=sites, max_nodes=max_nodes, rulebook=rulebook)
    best: Packing | None = None
    for order in packer.orders():
        packing = packer.packed(order)
        if best is None or _rank(packing) < _rank(best):
            best = packing
        if packing.nodes <= packer.least_nodes(packing):
            break
    assert best is not None  # there is always at least one order
    return best


def _rank(packing: Packing) -> tuple[int, int]:
    return -sum(packing.placed), packing.nodes


@dataclass(frozen=True, slots=True)
class _Packer:
    """One set of parts, to be packed in one order or another."""

    parts: Sequence[Part]
    recipes: Sequence[Recipe]
    sizes: Sequence[float]
    empty: IntArray
    marks: IntArray
    sites: Sequence[Site]
    max_nodes: int

    @classmethod
    def of(
        cls,
        fresh: FreshNode,
        parts: Sequence[Part],
        *,
        sites: Sequence[Site],
        max_nodes: int,
        rulebook: Rulebook | None,
    ) -> _Packer:
        if rulebook is None:
            rulebook = Rulebook.of([*(part.shape for part in parts), *fresh.daemon_shapes])
        state = fresh.alone.state
        axis = state.usage.axis
        everywhere = np.ones(len(sites), dtype=np.bool_)
        recipes = [
            Recipe(
                takes=axis.demand(part.shape),
                rule=rulebook.rule(part.shape),
                on_empty=int(admitted_room(part.shape, state)[0]) if part.count > 0 else 0,
                sites=everywhere
                if part.sites is None
                else np.array([number in part.sites for number in range(len(sites))]),
            )
            for part in parts
        ]
        return cls(
            parts=parts,
            recipes=recipes,
            sizes=[_share(part.shape, fresh) for part in parts],
            empty=np.array([fresh.alone.free(name)[0] for name in axis.names()]),
            marks=rulebook.marks_of(fresh.daemon_shapes),
            sites=sites,
            max_nodes=max_nodes,
        )

    # --- orders ---------------------------------------------------------------------------------------------

    def orders(self) -> Iterator[list[int]]:
        """Orders worth trying; each one once."""
        decreasing = sorted(range(len(self.parts)), key=lambda number: -self.sizes[number])
        usual = self._followers_last(decreasing)
        yield usual
        if len(self.parts) > _FEW or not any(recipe.rule.asks for recipe in self.recipes):
            return
        known = [usual]
        for order in (self._asking_first(decreasing), self._asking_last(decreasing)):
            if order not in known:
                known.append(order)
                yield order

    def _asking_first(self, order: Sequence[int]) -> list[int]:
        return self._followers_last(sorted(order, key=lambda n: not self.recipes[n].rule.asks))

    def _asking_last(self, order: Sequence[int]) -> list[int]:
        return self._followers_last(sorted(order, key=lambda n: self.recipes[n].rule.asks))

    def _followers_last(self, order: Sequence[int]) -> list[int]:
        """Pods that gather on one node go first, while there is a whole one; pods that want others near come when
        the others are placed."""
        return sorted(order, key=lambda n: self._turn(n))

    def _turn(self, number: int) -> int:
        rule = self.recipes[number].rule
        if rule.near is None:
            return 1
        return 0 if rule.gathers else 2

    # --- packing --------------------------------------------------------------------------------------------

    def packed(self, order: Sequence[int]) -> Packing:
        dealt = [number for number in order if self.recipes[number].rule.is_dealt]
        opened = self._for_the_dealt(dealt)
        for _ in range(_ROUNDS if dealt else 1):
            bins = OpenBins(
                self.recipes, empty=self.empty, marks=self.marks, sites=self.sites, max_nodes=self.max_nodes
            )
            bins.open_empty(opened)
            placed = self._place(bins, order)
            if not dealt or bins.keeps_spreads(dealt):
                return self._packing(bins, placed)
            opened = np.maximum(opened, bins.per_site)
        bins = OpenBins(
            self.recipes,
            empty=self.empty,
            marks=self.marks,
            sites=self.sites,
            max_nodes=self.max_nodes,
            is_dealt=False,
        )
        return self._packing(bins, self._place(bins, order))

    def _place(self, bins: OpenBins, order: Sequence[int]) -> list[int]:
        placed = [0] * len(self.parts)
        for number in order:
            placed[number] = bins.place(number, self.parts[number].count)
        return placed

    @staticmethod
    def _packing(bins: OpenBins, placed: Sequence[int]) -> Packing:
        packed = bins.bins()
        return Packing(nodes=sum(each.nodes for each in packed), placed=tuple(placed), bins=packed)

    def _for_the_dealt(self, dealt: Sequence[int]) -> IntArray:
        """(sites,) Nodes that the pods of hard spreads need at least, each part for itself."""
        opened = np.zeros(len(self.sites), dtype=np.int64)
        levels = np.array([site.target for site in self.sites], dtype=np.int64)
        for number in dealt:
            recipe = self.recipes[number]
            if recipe.on_empty:
                nodes = self._least_for(number)
                room = np.array([site.room for site in self.sites]) * recipe.sites
                shares = deal(min(nodes, self.max_nodes), levels=levels, room=room)
                opened = np.maximum(opened, shares.sums(np.ones_like(levels)))
        return opened if opened.sum() <= self.max_nodes else np.zeros_like(opened)

    def _least_for(self, number: int) -> int:
        recipe, count = self.recipes[number], self.parts[number].count
        domains = max(spread.min_domains - spread.floor.domains for spread in recipe.rule.spreads)
        floors = [
            s.level(s.floor.least, new_nodes=0) for s in recipe.rule.spreads if s.floor.least is not None
        ]
        each = min([recipe.on_empty, *(level for level in floors if level > 0)])
        return max(-(-count // each), min(domains, count))

    def least_nodes(self, packing: Packing) -> int:
        """No packing that places the same pods needs fewer nodes than this, by volume or by what shares no node."""
        least = 0
        total = np.zeros_like(self.empty)
        for recipe, placed in zip(self.recipes, packing.placed, strict=True):
            if placed:
                each = min(recipe.on_empty, 1) if recipe.rule.single else recipe.on_empty
                least = max(least, -(-placed // each))
                for row, amount in recipe.takes:
                    total[row] += amount * placed
        with np.errstate(divide="ignore"):
            by_volume = np.where(self.empty > 0, -(-total // np.maximum(self.empty, 1)), 0)
        if sum(packing.placed) < sum(part.count for part in self.parts):
            return 0 if self.max_nodes > packing.nodes else packing.nodes
        return max(least, int(by_volume.max(initial=0)))


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


def _share(shape: PodShape, fresh: FreshNode) -> float:
    """Share of the node's cpu plus share of its memory that a pod of the shape takes."""
    share = 0.0
    for resource in ("cpu", "memory"):
        whole = fresh.allocatable.get(resource, 0)
        share += shape.requests.get(resource, 0) / whole if whole else 0.0
    return share
