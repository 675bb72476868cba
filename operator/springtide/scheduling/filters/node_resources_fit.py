"""NodeResourcesFit: the number of pods always, and each resource that the pod requests, against what is free.

Only requested resources are compared: a pod that requests nothing passes on an overcommitted node with a free
place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    usage = state.usage
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for row, amount in usage.axis.requests(shape):
        fits &= usage.free(row) >= amount
    return fits


def limit(shape: PodShape, state: State) -> IntArray | None:
    usage = state.usage
    (pods_row, _), *requested = usage.axis.requests(shape)
    room = np.maximum(usage.free(pods_row), 0)
    for row, amount in requested:
        # Floor division of a negative number is negative: cut off at 0 below.
        np.minimum(room, usage.free(row) // amount, out=room)
    return np.maximum(room, 0, out=room)


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first resource that is short, each with the most that any of them has free."""
    usage = state.usage
    names = usage.axis.names()
    misfits: dict[Misfit, int] = {}
    left = rejected
    for row, amount in usage.axis.requests(shape):
        free = usage.free(row)[left]
        short = free < amount
        if short.any():
            most = int(free[short].max())
            misfit = Misfit(Plugin.NODE_RESOURCES_FIT, subject=names[row], requested=amount, free=most)
            misfits[misfit] = int(np.count_nonzero(short))
        left = left[~short]
    return misfits


def objections(shape: PodShape, state: State, index: int) -> tuple[Misfit, ...]:
    """Every resource that is short on the node."""
    usage = state.usage
    names = usage.axis.names()
    free = ((row, amount, int(usage.free(row)[index])) for row, amount in usage.axis.requests(shape))
    return tuple(
        Misfit(Plugin.NODE_RESOURCES_FIT, subject=names[row], requested=amount, free=left)
        for row, amount, left in free
        if left < amount
    )


FILTER = Filter(
    plugin=Plugin.NODE_RESOURCES_FIT, mask=mask, explain=explain, limit=limit, objections=objections
)
