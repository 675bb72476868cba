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
from springtide.planning.optimizer.problem import Floats, Ints
from springtide.planning.optimizer.volume import VolumeBound

CANDIDATES: Final = 300
"""Items that a node is filled from: those with most left. More cost time on every node and change little."""


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
"""Tried in this order. Measured on workloads c, o and a2: the best of the first two is as good as the best of forty."""


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Nodes, and the pods (items,) that found no place on those that may be bought."""

    bought: tuple[Bought, ...]
    unplaced: Ints


def pack(instance: Instance, volume: VolumeBound, recipe: Recipe, deadline: Deadline) -> Packing | None:
    """A plan by this recipe; None if time ran out."""
    worth, favoured = _worth(instance, volume, recipe)
    left, spare = instance.counts.copy(), instance.max_nodes.copy()
    bought: list[Bought] = []
    pairs: tuple[Ints, Pairs] | None = None
    while left.any():
        if deadline.passed:
            return None
        placeable = np.where(instance.fits[:, spare > 0].any(axis=1), left, 0)
        if not placeable.any():
            break
        items = _candidates(placeable, worth)
        types = np.flatnonzero((spare > 0) & instance.fits[items].any(axis=0))
        view = instance.of_items(items).left(counts=left[items], max_nodes=spare)
        if pairs is None or not np.array_equal(pairs[0], items):
            pairs = items, Pairs.of(view, worth[items], np.arange(len(items)))
        filled = fill(view, types, favoured[items])
        best = _best(filled, view.prices[types], volume.worth[items], worth[items])
        node_type = int(types[best])
        inside = exchange(view, node_type, filled.pods[best], pairs[1], worth[items], most_out=1, rounds=3)
        pods = np.zeros(instance.items, dtype=np.int64)
        pods[items] = inside
        held = pods > 0
        alike = int(int((left[held] // pods[held]).min()) * recipe.repeat)
        nodes = min(max(alike, 1), int(spare[node_type]))
        left -= pods * nodes
        spare[node_type] -= nodes
        bought.append(Bought(node_type, nodes, pods))
    return Packing(tuple(bought), left)


def _worth(instance: Instance, volume: VolumeBound, recipe: Recipe) -> tuple[Floats, Floats]:
    """(items,) each, positive: the mixture, by which all pods together are worth 1, and the same with large pods favoured.

    Nodes are filled by the latter; exchanges at the end, which look for the last bit of room, go by the former.
    """
    asked = np.maximum(instance.counts @ instance.demands.astype(np.float64), 1.0)
    # A resource of which plenty is bought anyway does not matter: 0.9 to the eighth is 0.43, 0.5 is 0.004.
    scarce = volume.tightness**8 + 1e-12
    shares = instance.demands @ (scarce / scarce.sum() / asked)
    priced = volume.worth / max(float(instance.counts @ volume.worth), 1e-300)
    mixed = (1 - recipe.volume) * priced + recipe.volume * shares + 1e-12
    size = (instance.demands / np.maximum(asked / instance.counts.sum(), 1e-300) * scarce).max(axis=1)
    favoured: Floats = mixed * (np.maximum(size, 1e-9) / max(float(size.max()), 1e-9)) ** recipe.large
    return mixed, favoured


def _candidates(left: Ints, worth: Floats) -> Ints:
    items = np.flatnonzero(left)
    if len(items) > CANDIDATES:
        weight = left[items] * worth[items]
        items = np.sort(items[np.argpartition(-weight, CANDIDATES - 1)[:CANDIDATES]])
    return items


def _best(filled: Filled, prices: Floats, priced: Floats, worth: Floats) -> int:
    """The node that holds most worth for its price. Where the bound's prices cannot tell, the mixture does."""
    priced = np.maximum(priced, 1e-6 * float(priced.max()))
    value = filled.pods @ (priced + 1e-6 * max(float(priced.mean()), 1e-300) / worth.mean() * worth)
    return int(np.where(filled.pods.any(axis=1), value / prices, -1.0).argmax())
