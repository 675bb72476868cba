"""How many fresh nodes a set of pods needs: first-fit decreasing by shape, on new nodes only.

Rules between pods of one node (scheduling.packing.rules) are kept: host ports, and (anti-)affinity and spread over
hostnames. Rules over zones and the like are not seen here; whoever plans over several zones splits the pods into
parts that are bound to sites (planning.zones.quotas).

A hard spread over hostnames is kept as it will be once all the new nodes are up: on no node may there be more of the
counted pods than on the emptiest eligible node plus the skew. Therefore such pods are dealt out evenly over all the
nodes, however many the other pods open; when the others open more than the pods were dealt to, everything is packed
again with so many nodes open from the start. Where that does not settle, new nodes may stay empty for all the packing
knows, and each gets no more of these pods than the skew.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.admission import admitted_room
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.nodes.volumes import most_on
from springtide.scheduling.packing.bins import Bin, OpenBins, Recipe, Site
from springtide.scheduling.packing.dealing import deal
from springtide.scheduling.packing.rules import Rulebook
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.state import State

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
    parts = [_with_volumes_for(part, fresh) for part in parts]
    packer = _Packer.of(fresh, parts, sites=sites, max_nodes=max_nodes, rulebook=rulebook)
    best: Packing | None = None
    for order, opened in packer.ways():
        packing = packer.packed(order, opened)
        if best is None or packer.rank(packing) < packer.rank(best):
            best = packing
        if packing.nodes <= packer.least_nodes(packing):
            break
    assert best is not None  # there is always a way
    if packer.lacks_bound(best):
        best = min(best, packer.packed(packer.bound_first(), packer.nothing_open), key=packer.rank)
    return best


def _with_volumes_for(part: Part, fresh: FreshNode) -> Part:
    """No more pods than find existing volumes on such nodes, where none can be made."""
    state = fresh.alone.state
    most = most_on(part.shape, state.nodes, state.usage.volumes, asked=part.count)
    return part if most == part.count else replace(part, count=most)


@dataclass(frozen=True)
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
        on_empty = _rooms([part.shape for part in parts if part.count > 0], state)
        recipes = [
            Recipe(
                takes=axis.demand(part.shape),
                rule=rulebook.rule(part.shape),
                on_empty=on_empty[part.shape.nature] if part.count > 0 else 0,
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

    @property
    def counts(self) -> list[int]:
        return [part.count for part in self.parts]

    # --- ways -----------------------------------------------------------------------------------------------

    def ways(self) -> Iterator[tuple[list[int], IntArray]]:
        """Orders worth trying, each once, and how many nodes are open at first in each site."""
        decreasing = sorted(range(len(self.parts)), key=lambda number: -self.sizes[number])
        orders = [self._in_turns(decreasing)]
        rules = [recipe.rule for recipe in self.recipes]
        if len(self.parts) <= _FEW and any(rule.asks for rule in rules):
            for first in (True, False):
                order = self._in_turns(sorted(decreasing, key=lambda n: rules[n].asks is not first))
                if order not in orders:
                    orders.append(order)
        dealt = [number for number in decreasing if rules[number].is_dealt]
        starts = self._starts(dealt) if dealt else [self.nothing_open]
        for start in starts:
            yield from ((order, start) for order in orders)

    def bound_first(self) -> list[int]:
        """Parts that may go to some sites only before those that may go anywhere; each the largest first."""
        order = sorted(range(len(self.parts)), key=lambda n: (self.parts[n].sites is None, -self.sizes[n]))
        return self._in_turns(order)

    @property
    def nothing_open(self) -> IntArray:
        return np.zeros(len(self.sites), dtype=np.int64)

    def rank(self, packing: Packing) -> tuple[int, int, int]:
        """The lower the better: parts bound to sites first, for other parts of theirs count on them."""
        return -self._placed_bound(packing), -sum(packing.placed), packing.nodes

    def lacks_bound(self, packing: Packing) -> bool:
        """Whether a bound part has pods without a place though unbound ones have one."""
        bound = sum(part.count for part in self.parts if part.sites is not None)
        placed = self._placed_bound(packing)
        return placed < min(bound, sum(packing.placed))

    def _placed_bound(self, packing: Packing) -> int:
        return sum(
            placed for part, placed in zip(self.parts, packing.placed, strict=True) if part.sites is not None
        )

    def _in_turns(self, order: Sequence[int]) -> list[int]:
        """Pods that gather on one node go first, while there is a whole one; pods that want others near come when
        the others are placed, and so do gatherings that no node can hold."""
        return sorted(order, key=self._turn)

    def _turn(self, number: int) -> int:
        rule = self.recipes[number].rule
        if rule.near is None:
            return 1
        return 0 if rule.gathers and rule.near in self._whole else 2

    @cached_property
    def _whole(self) -> frozenset[int]:
        """Rows of marks: an empty node holds all the pods that want to be near these."""
        totals: dict[int, IntArray] = {}
        for part, recipe in zip(self.parts, self.recipes, strict=True):
            if recipe.rule.near is not None:
                total = totals.setdefault(recipe.rule.near, np.zeros_like(self.empty))
                for row, amount in recipe.takes:
                    total[row] += amount * part.count
        return frozenset(near for near, total in totals.items() if (total <= self.empty).all())

    # --- packing --------------------------------------------------------------------------------------------

    def packed(self, order: Sequence[int], opened: IntArray) -> Packing:
        dealt = [number for number in order if self.recipes[number].rule.is_dealt]
        for _ in range(_ROUNDS if dealt else 1):
            bins = self._bins(order, is_dealt=True)
            bins.open_empty(opened)
            placed = bins.place(self.counts)
            if not dealt or bins.keeps_spreads(dealt):
                return self._packing(bins, placed)
            opened = np.maximum(opened, bins.per_site)
        bins = self._bins(order, is_dealt=False)
        return self._packing(bins, bins.place(self.counts))

    def _bins(self, order: Sequence[int], *, is_dealt: bool) -> OpenBins:
        return OpenBins(
            self.recipes,
            order,
            empty=self.empty,
            marks=self.marks,
            sites=self.sites,
            max_nodes=self.max_nodes,
            is_dealt=is_dealt,
        )

    @staticmethod
    def _packing(bins: OpenBins, placed: Sequence[int]) -> Packing:
        packed = bins.bins()
        return Packing(nodes=sum(each.nodes for each in packed), placed=tuple(placed), bins=packed)

    def _starts(self, dealt: Sequence[int]) -> list[IntArray]:
        """How many nodes to deal to at first, by site: as many as all pods need by volume; with few parts also as many
        as those dealt need at least, each part for itself."""
        rooms = np.array([site.room for site in self.sites], dtype=np.int64)
        levels = np.array([site.target for site in self.sites], dtype=np.int64)
        least = np.zeros_like(levels)
        for number in dealt:
            recipe = self.recipes[number]
            if recipe.on_empty:
                shares = deal(self._least_for(number), levels=levels, room=rooms * recipe.sites)
                least = np.maximum(least, shares.sums(np.ones_like(levels)))
        missing = self._by_volume([part.count for part in self.parts]) - int(least.sum())
        by_volume = least + deal(missing, levels=levels + least, room=rooms - least).sums(
            np.ones_like(levels)
        )
        starts = [by_volume, least] if missing > 0 and len(self.parts) <= _FEW else [by_volume]
        return [start if start.sum() <= self.max_nodes else np.zeros_like(start) for start in starts]

    def _least_for(self, number: int) -> int:
        recipe, count = self.recipes[number], self.parts[number].count
        domains = max(spread.min_domains - spread.floor.domains for spread in recipe.rule.spreads)
        floors = [
            s.level(s.floor.least, new_nodes=0) for s in recipe.rule.spreads if s.floor.least is not None
        ]
        each = min([recipe.on_empty, *(level for level in floors if level > 0)])
        return max(-(-count // each), min(domains, count))

    def least_nodes(self, packing: Packing) -> int:
        """No packing that places the same pods needs fewer nodes, by volume or by what shares no node; 0: unknown."""
        if sum(packing.placed) < sum(part.count for part in self.parts):
            return 0 if self.max_nodes > packing.nodes else packing.nodes
        least = self._by_volume(packing.placed)
        for recipe, placed in zip(self.recipes, packing.placed, strict=True):
            if placed:
                least = max(least, -(-placed // (1 if recipe.rule.single else recipe.on_empty)))
        return least

    def _by_volume(self, counts: Sequence[int]) -> int:
        """No fewer nodes hold so many pods of each part; parts that fit no node do not count."""
        total = np.zeros_like(self.empty)
        for recipe, count in zip(self.recipes, counts, strict=True):
            if recipe.on_empty:
                held = min(count, recipe.on_empty) if recipe.rule.gathers else count
                for row, amount in recipe.takes:
                    total[row] += amount * held
        return int(np.max(-(-total // np.maximum(self.empty, 1)), initial=0))


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


def _rooms(shapes: Iterable[PodShape], alone: State) -> dict[Hashable, int]:
    """How many pods of each nature a node that stands alone admits."""
    rooms: dict[Hashable, int] = {}
    for shape in shapes:
        if shape.nature not in rooms:
            rooms[shape.nature] = int(admitted_room(shape, alone)[0])
    return rooms


def _share(shape: PodShape, fresh: FreshNode) -> float:
    """Share of the node's cpu plus share of its memory that a pod of the shape takes."""
    share = 0.0
    for resource in ("cpu", "memory"):
        whole = fresh.allocatable.get(resource, 0)
        share += shape.requests.get(resource, 0) / whole if whole else 0.0
    return share
