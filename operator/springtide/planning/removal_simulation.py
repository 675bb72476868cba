"""Removal simulation: would the pods of these nodes, all gone together, find a place on the nodes that stay?

Pods are counted as movable only onto ready nodes that stay, and never onto nodes with repelling pods (see
springtide.scheduling.simulation). What one removal has moved stays moved for the next, so a set of removals
that were all granted is feasible as a whole, and so is every part of it: a node that received pods never goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.planning.landscape import Landscape
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit


@dataclass(frozen=True, slots=True)
class Moves:
    """Where the pods of a removed node went, or which of them has no place."""

    destinations: Mapping[str, str]
    """Pod uid -> node name; empty when a pod has no place, or none had to move."""
    stuck: PodRecord | None = None
    misfit: Misfit | None = None
    """Why the stuck pod does not fit, on most of the other nodes; None: no node is left that may take it."""

    @property
    def feasible(self) -> bool:
        return self.stuck is None


class RemovalSimulation:
    """Removes nodes one after another, keeping the moves."""

    def __init__(self, landscape: Landscape, *, candidates: Iterable[str]) -> None:
        """`candidates`: nodes that may be asked about; others are preferred as destinations, so that moves do not
        make candidates needed."""
        self._simulation = landscape.simulation.fork()
        self._ready = landscape.ready
        self._spared = np.ones(self._simulation.size, dtype=np.bool_)
        for name in candidates:
            index = self._index(name)
            if index is not None:
                self._spared[index] = False
        self._received = np.zeros(self._simulation.size, dtype=np.bool_)

    def received(self, node: str) -> bool:
        """Whether pods of removed nodes were moved to this node."""
        index = self._index(node)
        return index is not None and bool(self._received[index])

    def remove(self, node: str, pods: Sequence[PodRecord]) -> Moves:
        """Move the pods off the node and take it away; nothing changes when one of them has no place."""
        trial = self._simulation.fork()
        index = self._index(node)
        if index is not None:
            trial.withdraw(index)
        open_nodes = self._ready & ~trial.withdrawn & ~trial.repelled
        destinations: dict[str, str] = {}
        touched: list[int] = []
        for shape, alike in _by_shape(pods):
            targets = _place(trial, shape, len(alike), open_nodes=open_nodes, spared=self._spared)
            if len(targets) < len(alike):
                return Moves(destinations={}, stuck=alike[len(targets)], misfit=_usual_misfit(trial, shape))
            touched += targets
            destinations.update(
                (pod.uid, trial.name(target)) for pod, target in zip(alike, targets, strict=True)
            )
        self._simulation = trial
        self._received[touched] = True
        return Moves(destinations=destinations)

    def _index(self, name: str) -> int | None:
        """Unready nodes are not in the landscape."""
        try:
            return self._simulation.index(name)
        except KeyError:
            return None


def _by_shape(pods: Sequence[PodRecord]) -> list[tuple[PodShape, list[PodRecord]]]:
    """Largest first, so that the hardest to place choose first."""
    alike: dict[PodShape, list[PodRecord]] = {}
    for pod in pods:
        alike.setdefault(pod.shape, []).append(pod)
    return sorted(alike.items(), key=lambda entry: _size(entry[0]), reverse=True)


def _size(shape: PodShape) -> tuple[int, int, int]:
    return (len(shape.requests), shape.requests.get("cpu", 0), shape.requests.get("memory", 0))


def _place(
    simulation: Simulation, shape: PodShape, count: int, *, open_nodes: BoolArray, spared: BoolArray
) -> list[int]:
    """The node of each pod that found one: first nodes that stay for certain, then candidates."""
    targets: list[int] = []
    for where in (open_nodes & spared, open_nodes & ~spared):
        if len(targets) < count:
            placement = simulation.place(shape, count - len(targets), only=where)
            targets += np.repeat(placement.indices, placement.counts).tolist()
    return targets


def _usual_misfit(simulation: Simulation, shape: PodShape) -> Misfit | None:
    return next(iter(simulation.misfits(shape)), None)
