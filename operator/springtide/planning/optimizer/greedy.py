"""Whole plans in one go: node after node, always the one that gives most worth for its price.

What a pod is worth decides everything. The prices of the volume bound are right about what is scarce, but many of
them are right at once, and at a vertex they call a resource free until it runs out. So they are mixed with each pod's
share of all that is asked for, and large pods are made worth more, because small ones fill what is left anyway.
Measured: workload c of the benchmarks, 868 $/h by the prices alone, 803.8 by the mixture (the bound is 803.75)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.deadline import Deadline
from springtide.planning.optimizer.exchange import Pairs, exchange
from springtide.planning.optimizer.filling import Filled, fill
from springtide.planning.optimizer.instance import Bought, Instance
from springtide.planning.optimizer.problem import Bools, Floats, Ints
from springtide.planning.optimizer.volume import VolumeBound

CANDIDATES: Final = 300
"""Items that a node is filled from, at most. More cost time on every node and change little."""

SHORTLIST: Final = 8
"""Types looked at for most nodes: those that came out best when all were looked at."""

FULL_LOOK: Final = 8
"""Every so many turns all types are looked at."""

NEW_WORTH: Final = 32
"""Every so many turns worth follows what is left."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How worth is mixed."""

    volume: float
    """Share of plain volume against the prices of the bound, 0 to 1."""
    large: float
    """The exponent by which large pods are worth more than their volume."""
    repeat: float
    """Of the nodes that could be filled alike, how many are: 1 is fastest, 0 makes every node anew."""


RECIPES: Final = (
    Recipe(volume=0.6, large=1.0, repeat=1.0),
    Recipe(volume=0.6, large=0.5, repeat=1.0),
    Recipe(volume=0.1, large=0.5, repeat=0.3),
    Recipe(volume=0.3, large=2.0, repeat=1.0),
)
"""Tried in this order. Of 32 recipes, one of the first two was best on each of the workloads c and o."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Nodes, and the pods (items,) that found no place on those that may be bought."""

    bought: tuple[Bought, ...]
    unplaced: Ints


def pack(instance: Instance, volume: VolumeBound, recipe: Recipe, deadline: Deadline) -> Packing | None:
    """A plan by this recipe; None if time ran out."""
    return Packer(instance, volume, recipe).run(deadline)


class Packer:
    """A plan in the making."""

    def __init__(self, instance: Instance, volume: VolumeBound, recipe: Recipe) -> None:
        self._instance = instance
        self._priced = np.maximum(volume.worth, 1e-6 * float(volume.worth.max()))
        self._volume = volume
        self._recipe = recipe
        self._worth = self._favoured = self._priced
        self._spare = instance.max_nodes.copy()
        self._shortlist = np.empty(0, dtype=np.int64)
        self._turn = 0
        self._items = np.empty(0, dtype=np.int64)
        self._view = instance
        self._pairs: Pairs | None = None
        self._left = instance.counts.copy()
        self._bought: list[Bought] = []

    def run(self, deadline: Deadline) -> Packing | None:
        """The plan; None if time ran out: run again to go on."""
        while self._left.any():
            if deadline.passed:
                return None
            if not self._add_nodes():
                break
        return Packing(tuple(self._bought), self._left)

    def _add_nodes(self) -> bool:
        """Buy nodes of one kind; False: what is left fits no node that may still be bought."""
        placeable = (self._left > 0) & self._instance.fits[:, self._spare > 0].any(axis=1)
        if not placeable.any():
            return False
        self._choose_items(placeable)
        items = self._items
        view = self._view.left(counts=self._left[items], max_nodes=self._spare)
        types = self._types(view, placeable[items])
        filled = fill(view, types, self._favoured[items])
        scores = self._scores(filled, view.prices[types])
        if len(types) > SHORTLIST:
            self._shortlist = types[np.argsort(-scores, kind="stable")[:SHORTLIST]]
        best = int(scores.argmax())
        assert self._pairs is not None  # made with the items
        pods = exchange(
            view, int(types[best]), filled.pods[best], self._pairs, self._worth[items], most_out=1, rounds=3
        )
        self._buy(int(types[best]), pods)
        return True

    def _choose_items(self, placeable: Bools) -> None:
        """Candidates and their worth anew when most of the last ones are placed, and every so many turns."""
        waiting = int(placeable[self._items].sum())
        fresh = waiting * 2 <= len(self._items) and waiting < placeable.sum()
        if self._pairs is not None and not fresh and self._turn < NEW_WORTH:
            return
        if fresh:
            # Evenly, not the heaviest: those are alike, and would leave what goes badly together for the end.
            items = np.flatnonzero(placeable)
            self._items = items[:: -(-len(items) // CANDIDATES)]
            self._view = self._instance.of_items(self._items)
        self._worth, self._favoured = _worth(self._instance, self._volume, self._recipe, self._left)
        self._pairs = Pairs.of(self._view, self._worth[self._items], np.arange(len(self._items)))
        self._turn = 0

    def _types(self, view: Instance, placeable: Bools) -> Ints:
        """The best types of the last full look, which comes every few turns."""
        here = (self._spare > 0) & view.fits[placeable].any(axis=0)
        short = self._shortlist[here[self._shortlist]]
        self._turn += 1
        if self._turn % FULL_LOOK == 1 or not len(short):
            return np.flatnonzero(here)
        return short

    def _scores(self, filled: Filled, prices: Floats) -> Floats:
        """Worth for the price of each node. Where the bound's prices cannot tell, the mixture does."""
        priced, worth = self._priced[self._items], self._worth[self._items]
        value = filled.pods @ (priced + 1e-6 * float(priced.mean()) / float(worth.mean()) * worth)
        return np.where(filled.pods.any(axis=1), value / prices, -1.0)

    def _buy(self, node_type: int, inside: Ints) -> None:
        pods = np.zeros(self._instance.items, dtype=np.int64)
        pods[self._items] = inside
        held = pods > 0
        alike = int(int((self._left[held] // pods[held]).min()) * self._recipe.repeat)
        nodes = min(max(alike, 1), int(self._spare[node_type]))
        self._left -= pods * nodes
        self._spare[node_type] -= nodes
        self._bought.append(Bought(node_type, nodes, pods))


def _worth(instance: Instance, volume: VolumeBound, recipe: Recipe, left: Ints) -> tuple[Floats, Floats]:
    """(items,) each, positive: the mixture, by which all pods together are worth 1, and the same with large pods favoured.

    Nodes are filled by the latter; exchanges at the end, which look for the last bit of room, go by the former.
    """
    asked = np.maximum(instance.counts @ instance.demands.astype(np.float64), 1.0)
    still = np.maximum(left @ instance.demands.astype(np.float64), 1.0)
    # Where more than its share is left, a resource gets tight later on.
    tight = volume.tightness * still / asked
    # A resource of which plenty is bought anyway does not matter: 0.9 to the eighth is 0.43, 0.5 is 0.004.
    scarce = (tight / max(float(tight.max()), 1e-300)) ** 8 + 1e-12
    shares = instance.demands @ (scarce / scarce.sum() / asked)
    priced = volume.worth / max(float(instance.counts @ volume.worth), 1e-300)
    mixed = (1 - recipe.volume) * priced + recipe.volume * shares + 1e-12
    size = (instance.demands / np.maximum(asked / instance.counts.sum(), 1e-300) * scarce).max(axis=1)
    favoured: Floats = mixed * (np.maximum(size, 1e-9) / max(float(size.max()), 1e-9)) ** recipe.large
    return mixed, favoured
