"""Removal simulation: would the pods of these nodes, all gone together, find a place on the nodes that stay?

Pods are counted as movable only onto ready nodes that stay. What one removal has moved stays moved for the next, so a
set of removals that were all granted is feasible as a whole, and a node that received pods never goes. Unless moves
hung on where other pods are (`entangled`), every part of it is feasible, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.planning.landscape import Landscape
from springtide.planning.scale_down.destinations import Alike, Destinations, Stuck
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit


@dataclass(frozen=True)
class Moves:
    """Where the pods of a removed node went, or which of them has no place."""

    pods: Sequence[Alike] = ()
    spots: Sequence[tuple[int, str, int]] = ()
    """(number of the kind of pods, node, how many of them), in the order in which they were placed."""
    stuck: Stuck | None = None

    @property
    def feasible(self) -> bool:
        return self.stuck is None

    @cached_property
    def destinations(self) -> Mapping[str, str]:
        """Pod uid -> node name, in the order in which they were placed; empty when a pod has no place, or none had to
        move."""
        waiting = [iter(members) for _, members in self.pods]
        return {pod.uid: node for number, node, count in self.spots for pod in islice(waiting[number], count)}


class RemovalSimulation:
    """Removes nodes one after another, keeping the moves."""

    def __init__(self, landscape: Landscape, *, victims: Sequence[str], shapes: Iterable[PodShape]) -> None:
        """`victims`: the nodes that will be asked about, in that order; `shapes`: of their pods. Nodes that stay for
        certain are preferred as destinations, the fullest first; then the last victims, so that moves make the fewest
        of them needed."""
        self._simulation = landscape.simulation
        self._destinations = Destinations(
            landscape.simulation,
            _order(landscape, victims),
            shapes,
            imagined=range(landscape.existing_count, landscape.simulation.size),
        )
        self._received: set[int] = set()

    @property
    def entangled(self) -> bool:
        """Whether any move hung on where other pods are: then a part of the removals need not be feasible because all
        of them together are."""
        return self._destinations.entangled

    @property
    def examined(self) -> int:
        """Nodes looked at as destinations so far: the work done."""
        return self._destinations.examined

    def received(self, node: str) -> bool:
        """Whether pods of removed nodes were moved to this node."""
        return _index(self._simulation, node) in self._received

    def remove(self, node: str, pods: Sequence[Alike]) -> Moves:
        """Move the pods off the node and take it away; nothing changes when one of them has no place. `pods`: by shape,
        in the order in which they choose."""
        outcome = self._destinations.relocate(_index(self._simulation, node), pods)
        if outcome.stuck is not None:
            return Moves(stuck=outcome.stuck)
        self._received.update(index for _, (index, _) in outcome.steps)
        names = self._simulation.state.nodes.names
        return Moves(pods, [(number, names[index], count) for number, (index, count) in outcome.steps])

    def last_word(self, node: str, shape: PodShape) -> tuple[bool, Misfit | None]:
        """Why there is no room for a pod of this node's, once all nodes have been asked: (whether there is for one
        pod after all; why not, on most of the other nodes; None: on none of them)."""
        return self._destinations.last_word(shape, _index(self._simulation, node))


def _index(simulation: Simulation, name: str) -> int | None:
    """Nodes on their way out are not in the landscape."""
    try:
        return simulation.index(name)
    except KeyError:
        return None


def _order(landscape: Landscape, victims: Sequence[str]) -> IntArray:
    """Indices of the nodes that may take pods, the most welcome first."""
    simulation = landscape.simulation
    indices = [_index(simulation, name) for name in victims]
    last_first = np.array([index for index in reversed(indices) if index is not None], dtype=np.int64)
    is_open = landscape.ready & ~simulation.withdrawn
    stays = is_open.copy()
    stays[last_first] = False
    emptiness = _emptiness(simulation)
    fullest_first = sorted(
        np.flatnonzero(stays).tolist(), key=lambda index: (emptiness[index], simulation.name(index))
    )
    return np.concatenate((np.array(fullest_first, dtype=np.int64), last_first[is_open[last_first]]))


def _emptiness(simulation: Simulation) -> list[float]:
    """What is free on each node, cpu and memory weighed by how scarce they are."""
    emptiness = np.zeros(simulation.size)
    for resource in ("cpu", "memory"):
        free = np.maximum(simulation.free(resource), 0)
        emptiness += free / max(1.0, float(free.sum()))
    return emptiness.tolist()
