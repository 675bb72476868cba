"""Open bins: new nodes as they are filled, those with the same pods on them counted as one.

Of a shape, a bin of n nodes takes n times what one of them takes, and at most one bin must be split where the pods
run out. So the cost follows the number of shapes, not of pods or nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.resources import Demand
from springtide.scheduling.packing.dealing import deal
from springtide.scheduling.packing.marks import Marks
from springtide.scheduling.packing.rules import Rule, SpreadRule
from springtide.scheduling.simulation import first_fit

Contents = tuple[tuple[int, int], ...]
"""What is on each node of a bin: (index of the part, pods of it per node)."""


@dataclass(frozen=True, slots=True)
class Bin:
    """`nodes` new nodes, one after the other, each with the same pods."""

    nodes: int
    contents: Contents
    site: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """Where new nodes may be opened: a zone's groups, say."""

    room: int
    """Most nodes that may be opened here."""
    target: int = 0
    """Nodes that are there already: sites are kept even, as far as pods leave a choice."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pods of one part go on nodes."""

    takes: Demand
    """The places for pods first."""
    rule: Rule
    on_empty: int
    """How many of them an empty new node holds."""
    sites: BoolArray
    """(sites,) Where they may go."""


_FULL = 2**40
"""More pods than any node has."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """What was put on a bin last, and what was there before: shared by the bins that were split off from it."""

    part: int
    count: int
    below: _Layer | None


class OpenBins:
    """The nodes opened so far, by bin: how many nodes, what is free on each, the marks and the pods on each."""

    def __init__(
        self,
        recipes: Sequence[Recipe],
        order: Sequence[int],
        *,
        empty: IntArray,
        marks: IntArray,
        sites: Sequence[Site],
        max_nodes: int,
        is_dealt: bool = True,
    ) -> None:
        """`order`: in which the parts will be placed.

        `empty`: (resources,) free on an empty new node; `marks`: (rows,) the marks on it.

        `is_dealt`: pods of a hard spread may lie higher than the spread alone allows, because each node opened so far
        has its share of them; the caller checks that those opened later do not spoil that.
        """
        self._recipes = recipes
        self._order = order
        self._empty = empty[:, np.newaxis]
        self._marks = Marks(marks, [recipes[number].rule for number in order])
        self._spare = max(0, max_nodes)
        self._site_room = np.array([max(0, site.room) for site in sites], dtype=np.int64)
        self._site_size = np.array([site.target for site in sites], dtype=np.int64)
        self._is_dealt = is_dealt
        self._nodes: IntArray = np.zeros(0, dtype=np.int64)
        self._site: IntArray = np.zeros(0, dtype=np.int64)
        self._free = np.zeros((len(empty), 0), dtype=np.int64)
        self._layers: list[_Layer | None] = []

    # --- asked from outside ---------------------------------------------------------------------------------

    @property
    def nodes(self) -> int:
        return int(self._nodes.sum())

    @property
    def per_site(self) -> IntArray:
        """(sites,) Nodes opened in each."""
        return np.bincount(self._site, weights=self._nodes, minlength=len(self._site_room)).astype(np.int64)

    def open_empty(self, per_site: IntArray) -> None:
        """Open so many nodes in each site, to be filled later."""
        for site, nodes in enumerate(per_site.tolist()):
            if nodes:
                self._append(site, nodes)

    def place(self, counts: Sequence[int]) -> list[int]:
        """Put up to so many pods of each part on open bins, then on new nodes; how many found a place."""
        placed = [0] * len(self._recipes)
        for number in self._order:
            self._marks.begin()
            if self._recipes[number].on_empty and counts[number] > 0:
                placed[number] = self._place(number, counts[number])
        return placed

    def _place(self, number: int, count: int) -> int:
        rule = self._recipes[number].rule
        if rule.near is not None:
            return self._join(number, count, near=rule.near)
        done = self._deal(number, count) if rule.is_dealt else self._fill(number, count, self._room(number))
        return done + self._open(number, count - done, self._on_new(number)) if done < count else done

    def bins(self) -> tuple[Bin, ...]:
        """Nodes that stayed empty are left out."""
        return tuple(
            Bin(nodes=int(nodes), contents=contents(layer), site=int(site))
            for nodes, site, layer in zip(self._nodes, self._site, self._layers, strict=True)
            if layer is not None
        )

    def keeps_spreads(self, numbers: Sequence[int]) -> bool:
        """Whether the spreads of these parts can come about on the nodes that are not empty.

        Either the spreading pods alone lie evenly enough: then they can be bound first, the others later. Or all
        counted pods together do: then any order will do.
        """
        rules = {spread for number in numbers for spread in self._recipes[number].rule.spreads}
        tally = _Tally(self._nodes, self._layers, [recipe.rule for recipe in self._recipes])
        return not tally.nodes or all(
            any(
                tally.is_even(row, spread, on_new=self._marks.on_new(row))
                for row in (spread.own_row, spread.row)
            )
            for spread in rules
            if spread.counts_itself
        )

    # --- filling open bins ----------------------------------------------------------------------------------

    def _room(self, number: int) -> IntArray:
        """(bins,) How many pods of the part each node of a bin takes."""
        recipe = self._recipes[number]
        room = self._resources_for(recipe)
        if recipe.rule.asks:
            room = self._ruled(recipe.rule, room)
        if not recipe.sites.all():
            room = room * recipe.sites[self._site]
        return room

    def _resources_for(self, recipe: Recipe) -> IntArray:
        (pods_row, _), *requested = recipe.takes
        room: IntArray = self._free[pods_row].copy()
        for row, amount in requested:
            np.minimum(room, self._free[row] // amount, out=room)
        return np.maximum(room, 0, out=room)

    def _ruled(self, rule: Rule, room: IntArray) -> IntArray:
        """The room that the rules leave of what the resources leave."""
        if rule.single:
            np.minimum(room, 1, out=room)
        for row in rule.clear:
            room *= self._marks.on_bins(row) == 0
        for spread in rule.spreads:
            left = self._left_to(spread, room)
            room = np.minimum(room, left) if spread.counts_itself else room * (left > 0)
        return room

    def _left_to(self, spread: SpreadRule, room: IntArray) -> IntArray:
        """(bins,) How many more pods the spread allows on each node."""
        if not (self._is_dealt and spread.counts_itself):
            least = int(self._marks.on_bins(spread.row).min(initial=_FULL)) if self._is_dealt else 0
            return np.maximum(spread.level(least, new_nodes=self.nodes) - self._marks.on_bins(spread.row), 0)
        ways: list[IntArray] = [
            np.maximum(self._level(row, spread, room) - self._marks.on_bins(row), 0)
            for row in (spread.row, spread.own_row)
        ]
        return max(ways, key=lambda left: int((np.minimum(left, room) * self._nodes).sum()))

    def _level(self, row: int, spread: SpreadRule, room: IntArray) -> int:
        """How many counted pods a node may have when every node gets what it can: other sites get their share, too."""
        return spread.level(int((self._marks.on_bins(row) + room).min(initial=_FULL)), new_nodes=self.nodes)

    def _fill(self, number: int, count: int, room: IntArray) -> int:
        """Fill open bins in order; the one where the pods run out is split."""
        if count == 1:
            return self._fill_one(number, room)
        placement = first_fit(np.minimum(room, count) * self._nodes, count)
        if not placement.placed:
            return 0
        last = int(placement.indices[-1])
        filled = placement.indices[:-1]
        for index in filled:
            self._add(int(index), number, int(room[index]))
        self._take(number, filled, room[filled])
        full_nodes, rest = divmod(int(placement.counts[-1]), int(room[last]))
        parts = [(full_nodes, int(room[last])), (min(rest, 1), rest)]
        parts.append((int(self._nodes[last]) - full_nodes - parts[1][0], 0))
        self._split(last, number, [part for part in parts if part[0]])
        return placement.placed

    def _fill_one(self, number: int, room: IntArray) -> int:
        """One pod on the first node that takes it: the same for less."""
        index = int((room > 0).argmax()) if len(room) else 0
        if not len(room) or room[index] <= 0:
            return 0
        rest = int(self._nodes[index]) - 1
        self._split(index, number, [(1, 1), (rest, 0)] if rest else [(1, 1)])
        return 1

    def _deal(self, number: int, count: int) -> int:
        """Deal the pods out over open bins, to the nodes with the fewest counted pods first."""
        row = next(spread.row for spread in self._recipes[number].rule.spreads if spread.counts_itself)
        dealt = deal(count, levels=self._marks.on_bins(row), room=self._room(number), places=self._nodes)
        done = int(dealt.sums(self._nodes).sum())
        for index in np.flatnonzero(dealt.each + dealt.more)[::-1].tolist():  # splits move what stands behind
            each, more = int(dealt.each[index]), int(dealt.more[index])
            parts = ((more, each + 1), (int(self._nodes[index]) - more, each))
            self._split(index, number, [part for part in parts if part[0]])
        return done

    def _join(self, number: int, count: int, *, near: int) -> int:
        """Put pods where those are that they want near; if nobody is anywhere, all of them on one node."""
        room = self._room(number)
        there = self._marks.on_bins(near) > 0
        if self._marks.on_new(near):  # a DaemonSet's pod, on every node
            done = self._fill(number, count, room)
            return done + self._open(number, count - done, self._on_new(number))
        if there.any():
            return self._fill(number, count, room * there)
        return self._gather(number, count, room) if self._recipes[number].rule.gathers else 0

    def _gather(self, number: int, count: int, room: IntArray) -> int:
        """All on the first node that holds them all, if need be on a new one; else as many as an open node holds:
        for a gathering that can never be whole no node is opened if there is another way."""
        on_new = self._on_new(number) if self._open_sites(number).any() else 0
        whole = room >= count
        if not whole.any() and (on_new >= count or not room.any()):
            return self._open(number, min(count, on_new), on_new)
        chosen = int(whole.argmax() if whole.any() else room.argmax())
        only = np.zeros_like(room)
        only[chosen] = room[chosen]
        return self._fill(number, min(count, int(room[chosen])), only)

    # --- opening --------------------------------------------------------------------------------------------

    def _on_new(self, number: int) -> int:
        """How many pods of the part a new node takes."""
        recipe = self._recipes[number]
        rule, marks, on_new = recipe.rule, self._marks, recipe.on_empty
        if not rule.asks:
            return on_new
        if any(marks.on_new(row) for row in rule.clear):
            return 0
        on_new = min(on_new, 1) if rule.single else on_new
        for spread in rule.spreads:
            mark = marks.on_new(spread.row)
            left = max(
                0, spread.level(self._least(spread, recipe, mark + on_new), new_nodes=self.nodes + 1) - mark
            )
            on_new = min(on_new, left) if spread.counts_itself or not left else on_new
        return on_new

    def _least(self, spread: SpreadRule, recipe: Recipe, on_new: int) -> int:
        """How many counted pods the emptiest node will have in the end, if a new one gets `on_new`."""
        if not self._is_dealt:
            return 0
        if not spread.counts_itself:
            return int(self._marks.on_bins(spread.row).min(initial=0))
        reach = self._marks.on_bins(spread.own_row) + self._resources_for(recipe)
        return min(on_new, int(reach.min(initial=_FULL)))

    def _open_sites(self, number: int) -> IntArray:
        """(sites,) How many nodes may still be opened for the part in each."""
        return np.minimum(self._site_room, self._spare) * self._recipes[number].sites

    def _open(self, number: int, count: int, on_new: int) -> int:
        """Open new nodes for the pods, all full but the last; how many pods found a place."""
        if count <= 0 or on_new <= 0:
            return 0
        room = self._open_sites(number)
        nodes = min(-(-count // on_new), self._spare, int(room.sum()))
        shares = deal(nodes, levels=self._site_size, room=room).sums(np.ones_like(room)).tolist()
        done = 0
        for site, share in enumerate(shares):
            if share:
                here = min(count - done, share * on_new)
                full_nodes, rest = divmod(here, on_new)
                self._append(site, share)
                parts = [part for part in ((full_nodes, on_new), (min(rest, 1), rest)) if part[0]]
                self._split(len(self._nodes) - 1, number, parts)
                done += here
        return done

    def _append(self, site: int, nodes: int) -> None:
        self._spare -= nodes
        self._site_room[site] -= nodes
        self._site_size[site] += nodes
        self._nodes = np.append(self._nodes, nodes)
        self._site = np.append(self._site, site)
        self._layers.append(None)
        self._free = np.concatenate((self._free, self._empty), axis=1)
        self._marks.append_bin()

    # --- bookkeeping ----------------------------------------------------------------------------------------

    def _add(self, index: int, number: int, count: int) -> None:
        self._layers[index] = _Layer(number, count, self._layers[index])

    def _take(self, number: int, where: IntArray | slice, counts: IntArray) -> None:
        """Count so many pods of the part on each node of these bins."""
        recipe = self._recipes[number]
        for row, amount in recipe.takes:
            self._free[row, where] -= amount * counts
        if recipe.rule.marks:
            self._marks.add(recipe.rule, where, counts)

    def _split(self, index: int, number: int, parts: list[tuple[int, int]]) -> None:
        """Replace one bin by parts of (nodes, pods of the part on each), in order."""
        below = self._layers[index]
        self._layers[index : index + 1] = [
            _Layer(number, pods, below) if pods else below for _, pods in parts
        ]
        if len(parts) > 1:
            copies = np.ones(len(self._nodes), dtype=np.int64)
            copies[index] = len(parts)
            self._nodes = np.repeat(self._nodes, copies)
            self._site = np.repeat(self._site, copies)
            self._free = np.repeat(self._free, copies, axis=1)
            self._marks.repeat(copies)
        here = slice(index, index + len(parts))
        self._nodes[here] = [nodes for nodes, _ in parts]
        self._take(number, here, np.array([pods for _, pods in parts]))


class _Tally:
    """Marks on all bins in the end, counted from what is on them."""

    def __init__(self, nodes: IntArray, layers: Sequence[_Layer | None], rules: Sequence[Rule]) -> None:
        self.nodes = 0
        """Nodes that are not empty."""
        self._bins = 0
        self._marked: dict[int, dict[int, int]] = {}
        for index, layer in enumerate(layers):
            if layer is not None:
                self.nodes += int(nodes[index])
                self._bins += 1
                for part, count in contents(layer):
                    for row in rules[part].marks:
                        on_bins = self._marked.setdefault(row, {})
                        on_bins[index] = on_bins.get(index, 0) + count

    def is_even(self, row: int, spread: SpreadRule, *, on_new: int) -> bool:
        """Whether no node has more than the spread allows. `on_new`: marks on an empty node."""
        marks = self._marked.get(row, {}).values()
        least = min(marks, default=0) if len(marks) == self._bins else 0
        return max(marks, default=0) + on_new <= spread.level(least + on_new, new_nodes=self.nodes)


def contents(layer: _Layer | None) -> Contents:
    """What the layers say, from the bottom up."""
    found: list[tuple[int, int]] = []
    while layer is not None:
        found.append((layer.part, layer.count))
        layer = layer.below
    return tuple(reversed(found))
