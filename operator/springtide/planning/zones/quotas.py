"""Quotas: how many pods of each shape go to each zone, before any node is chosen.

A rule over zones (or regions, or any label but the hostname) binds nodes of several groups to each other, so no single
group can be packed without knowing what the others get. Quotas settle that first: how the pods of each such shape are
divided over *cells* (groups whose new nodes lie in the same domains). Each cell can then be packed for itself, all in
one pass. The rule is written down in docs/decisions/009-quotas-for-zones.md:

- the domains of a spread are those of the nodes that exist, as the scheduler counts them, and those that new nodes
  would add; pods go to the lowest first, so every prefix keeps the skew; a domain that cannot grow bounds the others;
- pods that want each other near go where they are already, else all to one cell that holds them all;
- pods that want others near come after those, and go where they are;
- pods that repel each other get one domain each;
- remainders rotate: among equals, the cell with the least load so far is first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from springtide.cluster.shape import PodShape, SpreadConstraint
from springtide.planning.landscape import GroupKey
from springtide.planning.zones.bounds import (
    apart_over_domains,
    near_over_domains,
    near_question,
    spreads_over_domains,
)
from springtide.planning.zones.kinship import Kinship
from springtide.planning.zones.pouring import Water
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.packing.dealing import deal
from springtide.scheduling.relations.questions import (
    Namespaces,
    Question,
    anti_affinity_question,
    spread_question,
)

HEAVIEST = 2**32
"""Weight of a pod that asks for more than any machine has: its share of a cell's load must not overflow."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Groups whose new nodes lie in the same domain of every topology key that is asked for."""

    labels: Mapping[str, str]
    """Topology key -> domain; a key that the nodes lack is absent."""
    keys: tuple[GroupKey, ...]


class Census(Protocol):
    """Pods that are counted on nodes already, by domain."""

    @property
    def namespaces(self) -> Namespaces: ...

    def spread(self, shape: PodShape, constraint: SpreadConstraint) -> Mapping[str, int]:
        """Domain -> counted pods, for each domain with a node that is eligible for the shape's spreads."""
        ...

    def near(self, question: Question, topology_key: str) -> Mapping[str, int]:
        """Domain -> pods that are meant, where there are any."""
        ...

    def repelling(self, shape: PodShape) -> Mapping[str, frozenset[str]]:
        """Topology key -> domains that the anti-affinity of running pods forbids to pods of the shape."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """Pending pods of one shape."""

    shape: PodShape
    count: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What becomes of one ask."""

    by_cell: Mapping[int, int]
    """Cell's index -> most pods that may go there."""
    left: int = 0
    """Pods that the rules let go nowhere."""
    why: str = ""
    """Why they cannot, for users."""


@dataclass(frozen=True, slots=True)
class Means:
    """What quotas must know of the groups."""

    capacity: Callable[[int], IntArray]
    """Ask's index -> (cells,) how many of its pods new nodes may hold at most; 0: the shape does not fit them, or the
    groups may not grow."""
    shared: Callable[[int, SpreadConstraint], BoolArray]
    """(ask's index, its constraint) -> (cells,) where others may get nodes that are eligible for the constraint."""
    choose: Callable[[Sequence[int], Sequence[int]], int]
    """(asks that must be together, cells that could hold them) -> the cell to prefer; both not empty."""
    keyless: Callable[[str], str]
    """Topology key -> why no new node will have such a label."""
    obstacle: Callable[[str, str], str]
    """(topology key, domain) -> why no group can add nodes there; empty: nothing is known."""


def allot(asks: Sequence[Ask], cells: Sequence[Cell], *, census: Census, means: Means) -> list[Quota | None]:
    """The quota of each ask, in order; None: no rule over domains binds it."""
    return _Allotter(asks, cells, census, means).allot()


@dataclass
class _Allotter:
    """Goes through the asks once, and remembers what was planned for whom where."""

    asks: Sequence[Ask]
    cells: Sequence[Cell]
    census: Census
    means: Means
    _planned: dict[int, IntArray] = field(default_factory=dict)
    """Question's number -> (cells,) pods that it means, as far as they are planned."""
    _repelling: dict[int, dict[str, IntArray]] = field(default_factory=dict)
    """Question's number -> topology key -> (cells,) planned pods whose anti-affinity asks it over the key."""
    _quotas: dict[int, Quota] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kinship = Kinship([ask.shape for ask in self.asks], self.census.namespaces)
        self._knows = self._kinship.knows
        self._load = np.zeros(len(self.cells), dtype=np.int64)
        self._domains: dict[str, list[str | None]] = {}

    def allot(self) -> list[Quota | None]:
        for number in self._kinship.order():
            self._quotas[number] = quota = self._quota(number)
            self._plan(self.asks[number].shape, quota)
        return [self._quotas.get(number) for number in range(len(self.asks))]

    # --- one ask --------------------------------------------------------------------------------------------

    def _quota(self, number: int) -> Quota:
        shape, count = self.asks[number].shape, self.asks[number].count
        room = np.minimum(self.means.capacity(number), count)
        if not room.any():
            return Quota({}, left=count)
        room, why = self._room_with_keys(shape, room)
        if room.any():
            room, why = self._near_room(number, room)
        room, why = self._apart_room(shape, room, why)
        if not room.any():
            return Quota({}, left=count, why=why)
        spreads = spreads_over_domains(shape)
        alone = self._single_keys(shape)
        if not spreads and not alone:
            shares = (
                self._together(count, room) if number in self._kinship.tyrants else self._by_load(count, room)
            )
        elif len(spreads) == 1 and not alone:
            shares, why = self._spread(number, spreads[0], count, room)
        else:
            shares, why = self._one_by_one(number, spreads, alone, count, room)
        left = count - int(shares.sum())
        return Quota(
            {cell: int(share) for cell, share in enumerate(shares) if share},
            left=left,
            why=why if left else "",
        )

    def _plan(self, shape: PodShape, quota: Quota) -> None:
        shares = self._nothing()
        for cell, share in quota.by_cell.items():
            shares[cell] = share
        for question in self._knows.meaning(shape):
            self._planned[question] = self._of(question) + shares
        for term in apart_over_domains(shape):
            by_key = self._repelling.setdefault(self._knows.number(anti_affinity_question(term)), {})
            by_key[term.topology_key] = by_key.get(term.topology_key, self._nothing()) + shares
        # A cpu weighs as much as 4 GiB: only to keep cells even.
        weight = 1 + shape.requests.get("cpu", 0) + (shape.requests.get("memory", 0) >> 22)
        self._load += shares * min(weight, HEAVIEST)

    def _of(self, question: int) -> IntArray:
        """(cells,) Planned pods that a question means."""
        planned = self._planned.get(question)
        return self._nothing() if planned is None else planned

    def _room_with_keys(self, shape: PodShape, room: IntArray) -> tuple[IntArray, str]:
        """The room on nodes that will have every label by which the pods are to be spread, or brought together."""
        for key in (*near_over_domains(shape), *(each.topology_key for each in spreads_over_domains(shape))):
            room = room * self._has(key)
            if not room.any():
                return room, self.means.keyless(key)
        return room, ""

    # --- affinity -------------------------------------------------------------------------------------------

    def _near_room(self, number: int, room: IntArray) -> tuple[IntArray, str]:
        """The room where the pods are that it wants near."""
        shape = self.asks[number].shape
        keys = near_over_domains(shape)
        if not keys:
            return room, ""
        near = near_question(shape)
        planned = self._of(self._knows.number(near))
        counts = {key: self._counted(key, self.census.near(near, key), planned) for key in keys}
        if any(sum(count.values()) for count in counts.values()):
            for key, count in counts.items():
                room = room * self._in_domains(key, {value for value, pods in count.items() if pods})
            return room, "no pod that its affinity asks for is where a group could add nodes"
        if not self._knows.means(near, shape):
            return self._nothing(), "no pod that its affinity asks for is anywhere"
        return self._gathered(number, keys, room), "no group can grow in any domain"

    def _gathered(self, number: int, keys: Sequence[str], room: IntArray) -> IntArray:
        """The first of pods that want each other near: all in the domain of one cell, one that holds them all."""
        family = self._kinship.family(number)
        open_cells = np.flatnonzero(room).tolist()
        if not open_cells:
            return room
        held = {cell: self._held(family, keys, cell) for cell in open_cells}
        most = max(held.values())
        chosen = self.means.choose(
            family, self._lightest([cell for cell in open_cells if held[cell] == most])
        )
        for key in keys:
            room = room * self._in_domains(key, {self.cells[chosen].labels[key]})
        return room

    def _held(self, family: Sequence[int], keys: Sequence[str], cell: int) -> int:
        """How many of these pods the domain of the cell can hold, each shape for itself."""
        labels = self.cells[cell].labels
        together = np.array(
            [all(each.labels.get(key) == labels.get(key) for key in keys) for each in self.cells]
        )
        return sum(
            min(self.asks[number].count, int((self.means.capacity(number) * together).sum()))
            for number in family
        )

    def _lightest(self, cells: Sequence[int]) -> list[int]:
        return sorted(cells, key=lambda cell: int(self._load[cell]))

    # --- anti-affinity --------------------------------------------------------------------------------------

    def _apart_room(self, shape: PodShape, room: IntArray, why: str) -> tuple[IntArray, str]:
        """The room where nobody is that it repels, or that repels it."""
        taken: list[tuple[str, set[str]]] = [
            (key, set(values)) for key, values in self.census.repelling(shape).items()
        ]
        for term in apart_over_domains(shape):
            question = anti_affinity_question(term)
            counts = self._counted(
                term.topology_key,
                self.census.near(question, term.topology_key),
                self._of(self._knows.number(question)),
            )
            taken.append((term.topology_key, {value for value, pods in counts.items() if pods}))
        for number in self._knows.meaning(shape) if self._repelling else ():
            for key, planned in self._repelling.get(number, {}).items():
                values = {value for value, pods in self._counted(key, {}, planned).items() if pods}
                taken.append((key, values))
        for key, values in taken:
            room = room * ~self._in_domains(key, values)
        if taken and not room.any():
            why = f"anti-affinity: every {taken[0][0]} that could grow has such a pod"
        return room, why

    def _single_keys(self, shape: PodShape) -> list[str]:
        """Keys over which pods of the shape repel each other."""
        return [
            term.topology_key
            for term in apart_over_domains(shape)
            if self._knows.means(anti_affinity_question(term), shape)
        ]

    # --- spread ---------------------------------------------------------------------------------------------

    def _spread(
        self, number: int, constraint: SpreadConstraint, count: int, room: IntArray
    ) -> tuple[IntArray, str]:
        """Shares by one constraint, in closed form."""
        shape = self.asks[number].shape
        key = constraint.topology_key
        levels = self._levels(number, constraint)
        codes = self._values(key)
        if levels is None:
            return self._by_load(count, room), ""
        counts, existing = levels
        growing = dict.fromkeys(counts, 0)
        load = dict.fromkeys(counts, 0)
        for cell, value in enumerate(codes):
            if value is not None and room[cell]:
                growing[value] = growing.get(value, 0) + int(room[cell])
            if value is not None:
                load[value] = load.get(value, 0) + int(self._load[cell])
        water = Water(constraint, counts, growing, existing, load, self._counts_itself(shape, constraint))
        by_domain = water.poured(count)
        shares = self._nothing()
        for value, share in by_domain.items():
            here = room * np.array([each == value for each in codes])
            shares += self._by_load(share, here)
        return shares, water.obstacle(by_domain, self.means.obstacle)

    def _counts_itself(self, shape: PodShape, constraint: SpreadConstraint) -> bool:
        return self._knows.means(spread_question(constraint, shape.namespace), shape)

    def _levels(self, number: int, constraint: SpreadConstraint) -> tuple[dict[str, int], set[str]] | None:
        """Counted pods by domain, and which domains there will be whatever becomes of this ask: those with nodes, and
        those that others may get nodes in. None: it counts no pod at all, and never rejects."""
        shape = self.asks[number].shape
        question = spread_question(constraint, shape.namespace)
        if question.conditions[0].selector is None:
            return None
        known = self.census.spread(shape, constraint)
        counts = self._counted(constraint.topology_key, known, self._of(self._knows.number(question)))
        used = self.means.shared(number, constraint).tolist()
        values = self._values(constraint.topology_key)
        coming = {value for value, is_used in zip(values, used, strict=True) if is_used and value is not None}
        return {**dict.fromkeys(coming, 0), **counts}, coming.union(known)

    def _one_by_one(
        self,
        number: int,
        spreads: Sequence[SpreadConstraint],
        alone: Sequence[str],
        count: int,
        room: IntArray,
    ) -> tuple[IntArray, str]:
        """Shares by several rules at once: one pod after the other to the lowest cell that all of them allow."""
        shape = self.asks[number].shape
        shares = self._nothing()
        rules: list[tuple[SpreadConstraint, dict[str, int], bool]] = []
        for constraint in spreads:
            levels = self._levels(number, constraint)
            if levels is not None:
                rules.append((constraint, levels[0], self._counts_itself(shape, constraint)))
        for constraint, counts, _ in rules:
            for cell in np.flatnonzero(room).tolist():
                counts.setdefault(self.cells[cell].labels[constraint.topology_key], 0)
        for _ in range(count):
            chosen = self._lowest(rules, room - shares, shares)
            if chosen is None:
                return shares, "the rules over domains, taken together, allow no more"
            shares[chosen] += 1
            for constraint, counts, itself in rules:
                counts[self.cells[chosen].labels[constraint.topology_key]] += itself
            for key in alone:
                value = self.cells[chosen].labels.get(key)
                if value is not None:
                    room = np.where(self._in_domains(key, {value}), shares, room)
        return shares, ""

    def _lowest(
        self, rules: Sequence[tuple[SpreadConstraint, dict[str, int], bool]], room: IntArray, shares: IntArray
    ) -> int | None:
        allowed: list[tuple[tuple[int, ...], int]] = []
        for cell in np.flatnonzero(room > 0).tolist():
            heights = []
            for constraint, counts, itself in rules:
                height = counts[self.cells[cell].labels[constraint.topology_key]]
                least = min(counts.values()) if len(counts) >= constraint.min_domains else 0
                if height + itself > least + constraint.max_skew:
                    break
                heights.append(height)
            else:
                allowed.append(((*heights, int(shares[cell]), int(self._load[cell])), cell))
        return min(allowed)[1] if allowed else None

    # --- cells ----------------------------------------------------------------------------------------------

    def _nothing(self) -> IntArray:
        return np.zeros(len(self.cells), dtype=np.int64)

    def _values(self, key: str) -> list[str | None]:
        if key not in self._domains:
            self._domains[key] = [cell.labels.get(key) for cell in self.cells]
        return self._domains[key]

    def _has(self, key: str) -> BoolArray:
        return np.array([value is not None for value in self._values(key)], dtype=np.bool_)

    def _in_domains(self, key: str, values: set[str]) -> BoolArray:
        return np.array([value in values for value in self._values(key)], dtype=np.bool_)

    def _counted(self, key: str, known: Mapping[str, int], planned: IntArray) -> dict[str, int]:
        """What is there and what is planned, by domain."""
        counts = dict(known)
        for value, pods in zip(self._values(key), planned.tolist(), strict=True):
            if value is not None and pods:
                counts[value] = counts.get(value, 0) + pods
        return counts

    def _together(self, count: int, room: IntArray) -> IntArray:
        """Shares in as few cells as possible: the lightest that holds them all, else the largest first."""
        order = sorted(
            range(len(room)), key=lambda cell: (-min(count, int(room[cell])), int(self._load[cell]))
        )
        shares = self._nothing()
        for cell in order:
            shares[cell] = min(count - int(shares.sum()), int(room[cell]))
        return shares

    def _by_load(self, count: int, room: IntArray) -> IntArray:
        """Shares that are even, the cells with the least load first."""
        order = np.argsort(self._load, kind="stable")
        dealt = deal(count, levels=np.zeros_like(room), room=room[order])
        shares = self._nothing()
        shares[order] = dealt.sums(np.ones_like(room))
        return shares
