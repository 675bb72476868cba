"""Bounds: how pods of one shape limit each other, as most that a domain takes, while they are placed one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, CodeArray, IntArray
from springtide.scheduling.filters import inter_pod_affinity
from springtide.scheduling.filters.base import UNLIMITED
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.relations.spreading import standings
from springtide.scheduling.state import State

NO_FLOOR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Bound:
    """A domain takes another pod while it has fewer than the floor plus `above`."""

    codes: CodeArray
    """(nodes,) Domain of each node; ABSENT: not bounded."""
    heights: IntArray
    """(domains,) Pods that count, now."""
    above: int
    lifts: BoolArray | None
    """(domains,) The floor is the least of these heights; None: it is 0 for ever."""

    def on(self, nodes: IntArray) -> Bound:
        """The same, for some of the nodes."""
        return Bound(self.codes[nodes], self.heights, self.above, self.lifts)

    @property
    def least_elsewhere(self) -> int:
        """The least height of domains that have none of the nodes: nothing lifts it."""
        if self.lifts is None:
            return 0
        elsewhere = self.lifts.copy()
        elsewhere[self.codes] = False
        return int(self.heights[elsewhere].min(initial=NO_FLOOR))

    @property
    def is_fixed(self) -> bool:
        """Whether the floor stays where it is, wherever pods go."""
        if self.lifts is None:
            return True
        return self.least_elsewhere <= int(self.heights[self.lifts].min(initial=NO_FLOOR))

    @property
    def quotas(self) -> IntArray:
        """(domains,) How many more pods each takes while the floor stays."""
        floor = 0 if self.lifts is None else int(self.heights[self.lifts].min(initial=NO_FLOOR))
        quotas = np.maximum(floor + self.above - self.heights, 0)
        quotas[ABSENT] = UNLIMITED
        return quotas

    @property
    def is_per_node(self) -> bool:
        """Whether no two of the nodes share a domain."""
        bounded = self.codes[self.codes != ABSENT]
        return int(np.bincount(bounded, minlength=1).max()) <= 1


def bounds_of(shape: PodShape, state: State) -> list[Bound]:
    """What pods of the shape do to each other: its spreads and anti-affinities that count pods of its own."""
    bounds = [
        Bound(
            codes=standing.domains.codes,
            heights=standing.domains.counts,
            above=standing.constraint.max_skew,
            lifts=None if standing.too_few_domains else standing.present,
        )
        for standing in standings(shape, state)
        if standing.asked.counts_itself
    ]
    for key in inter_pod_affinity.keys_apart(shape, state):
        column = state.nodes.column(key)
        nobody = np.zeros(column.width, dtype=np.int64)
        bounds.append(Bound(codes=column.codes, heights=nobody, above=1, lifts=None))
    return bounds
