"""What nodes would take if no other workload mattered: all filters but those that look at where other pods are.

For planning new nodes, whose surroundings are only being planned: the rules between pods are kept by the packing
(scheduling.packing.rules) and by quotas, not asked of a node that stands alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.state import State

BETWEEN_PODS: Final = frozenset({"PodTopologySpread", "InterPodAffinity"})
"""The plugins that look at where other pods are."""

_UNLIMITED: Final = np.int64(2**62)


def admitted(shape: PodShape, state: State) -> BoolArray:
    """(size,) Which nodes would take one more pod of the shape."""
    fits = ~state.usage.withdrawn
    for each in FILTERS:
        mask = None if each.plugin in BETWEEN_PODS else each.mask(shape, state)
        if mask is not None:
            fits &= mask
    return fits


def admitted_room(shape: PodShape, state: State) -> IntArray:
    """(size,) How many more pods of the shape each node would take."""
    room = ~state.usage.withdrawn * _UNLIMITED
    for each in FILTERS:
        if each.plugin in BETWEEN_PODS:
            continue
        if each.limit is not None:
            limit = each.limit(shape, state)
            if limit is not None:
                np.minimum(room, limit, out=room)
        else:
            mask = each.mask(shape, state)
            if mask is not None:
                room *= mask
    return room
