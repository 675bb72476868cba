"""NodeVolumeLimits: how many volumes of a CSI driver a node can have attached, as its CSINode says.

A volume counts once on a node, however many pods use it there. A node whose limit is exceeded still takes pods that
bring no further volume of the driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not _attaches(shape):
        return None
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for _, free, each, once in _drivers(shape, state):
        wanted = each + once
        fits &= (free >= wanted) | (wanted == 0)
    return fits


def limit(shape: PodShape, state: State) -> IntArray | None:
    if not _attaches(shape):
        return None
    room = np.full(len(state.nodes), _UNLIMITED)
    for _, free, each, once in _drivers(shape, state):
        if each:
            np.minimum(room, (free - once) // each, out=room)
        else:
            room[(free < once) & (once > 0)] = 0
    return np.maximum(room, 0, out=room)


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first driver that is short, each with the most that any of them can still attach."""
    misfits: dict[Misfit, int] = {}
    left = rejected
    for driver, free, each, once in _drivers(shape, state):
        wanted = (each + once)[left]
        here = free[left]
        short = (here < wanted) & (wanted > 0)
        if short.any():
            misfit = Misfit(
                Plugin.NODE_VOLUME_LIMITS,
                subject=driver,
                requested=int(wanted[short].max()),
                free=int(here[short].max()),
            )
            misfits[misfit] = int(np.count_nonzero(short))
        left = left[~short]
    return misfits


def _attaches(shape: PodShape) -> bool:
    return shape.volumes is not None and bool(shape.volumes.attaches or shape.volumes.shared)


def _drivers(shape: PodShape, state: State) -> Iterator[tuple[str, IntArray, int, IntArray]]:
    """By driver: what each node can still attach, how many volumes each pod brings, and how many are shared and not
    on a node yet."""
    needs, usage = shape.volumes, state.usage
    assert needs is not None
    own = dict(needs.attaches)
    for driver in dict.fromkeys((*own, *(driver for driver, _ in needs.shared))):
        once = np.zeros(len(state.nodes), dtype=np.int64)
        for attachment in needs.shared:
            if attachment[0] == driver:
                once += ~usage.volumes.attached(attachment, len(once))
        yield driver, usage.free(usage.axis.volumes_row(driver)), own.get(driver, 0), once


_UNLIMITED = np.int64(2**62)

FILTER = Filter(plugin=Plugin.NODE_VOLUME_LIMITS, mask=mask, explain=explain, limit=limit)
