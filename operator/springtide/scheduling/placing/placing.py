"""Placing many pods of one shape at once, when each of them changes what is open to the next.

The result is that of placing them one by one, each on the first node that takes it. Bounds whose floor stays where it
is and whose domains are single nodes are nothing but less room; what is left is filled by levels, or in steps where
several bounds meet.
"""

from __future__ import annotations

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.admission import admitted_room
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters import inter_pod_affinity, pod_topology_spread
from springtide.scheduling.placing.bounds import Bound, bounds_of
from springtide.scheduling.placing.levels import fill_by_levels
from springtide.scheduling.placing.steps import fill_by_steps
from springtide.scheduling.state import State


def counts_on_nodes(shape: PodShape, state: State, count: int, *, only: BoolArray | None) -> IntArray:
    """(size,) How many of `count` pods go to each node. For shapes with rules between pods.

    Not for the first pod of those that must be near to each other: place that one alone, it decides for the others.
    """
    room = np.minimum(admitted_room(shape, state), count)
    for lasting in (
        only,
        pod_topology_spread.lasting(shape, state),
        inter_pod_affinity.mask(shape, state),
    ):
        if lasting is not None:
            room *= lasting
    nodes = np.flatnonzero(room)
    counts = np.zeros(len(room), dtype=np.int64)
    counts[nodes] = _fill(room[nodes], [bound.on(nodes) for bound in bounds_of(shape, state)], count)
    return counts


def _fill(room: IntArray, bounds: list[Bound], count: int) -> IntArray:
    moving: list[Bound] = []
    for bound in bounds:
        if bound.is_fixed and bound.is_per_node:
            room = np.minimum(room, bound.quotas[bound.codes])
        else:
            moving.append(bound)
    if not moving:
        before = np.cumsum(room) - room
        filled: IntArray = np.clip(count - before, 0, room)
        return filled
    if len(moving) == 1:
        return fill_by_levels(room, moving[0], count)
    return fill_by_steps(room, moving, count)
