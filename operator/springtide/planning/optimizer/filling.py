"""Filling many nodes at once, each greedily: the pod that is worth most for the room it takes, until none fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.instance import Instance
from springtide.planning.optimizer.problem import Floats, Ints

_NOTHING_LEFT: Final = 1e-9
"""Of a capacity: keeps the price of a resource that is used up finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """One row per node."""

    pods: Ints
    """(nodes, items)."""
    free: Ints
    """(nodes, resources)."""


def fill(instance: Instance, node_types: Ints, worth: Floats) -> Filled:
    """One node of each of `node_types`, filled from all pods of the instance (every node as if it were the only one).

    A resource is the dearer, the less of it is left on the node, which keeps the resources in balance. Of each pod
    chosen, half of what would fit is taken, so that others get their turn. `worth`: (items,), positive.
    """
    free = instance.capacities[node_types]
    pods = np.zeros((len(node_types), instance.items), dtype=np.int64)
    waiting = np.minimum(instance.counts, instance.room.T[node_types])
    sizes = np.ascontiguousarray(instance.demands.T).astype(np.float64)
    spare = _NOTHING_LEFT * (instance.capacities + 1.0)
    open_nodes = np.arange(len(node_types))
    while len(open_nodes):
        room = free[open_nodes]
        fits = waiting[open_nodes] > 0
        for resource, demand in enumerate(instance.demands.T):
            fits &= demand[None, :] <= room[:, resource, None]
        cost = (1.0 / (room + spare[node_types[open_nodes]])) @ sizes
        score = np.where(fits, worth / np.maximum(cost, 1e-300), -1.0)
        chosen = score.argmax(axis=1)
        going_on = score[np.arange(len(open_nodes)), chosen] >= 0
        open_nodes, chosen = open_nodes[going_on], chosen[going_on]
        taken = (_fitting(instance.demands[chosen], free[open_nodes], waiting[open_nodes, chosen]) + 1) // 2
        free[open_nodes] -= instance.demands[chosen] * taken[:, None]
        pods[open_nodes, chosen] += taken
        waiting[open_nodes, chosen] -= taken
        if instance.conflicts is not None:
            waiting[open_nodes] = np.where(instance.conflicts[chosen], 0, waiting[open_nodes])
    return Filled(pods, free)


def _fitting(demands: Ints, free: Ints, waiting: Ints) -> Ints:
    """How many of each pod fit into each room."""
    by_resource = np.where(demands > 0, free // np.maximum(demands, 1), np.iinfo(np.int64).max)
    fitting: Ints = np.minimum(by_resource.min(axis=1), waiting)
    return fitting
