"""The nearest miss: of all node groups, the one that would hold a pod if the least were changed, and what that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import GroupRefusal, GroupVerdict, NearestMiss, PendingOutcome, PendingVerdict
from springtide.scheduling.objections import objections, rejections
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin

MAX_EXPLAINED: Final = 200
"""Shapes that get a nearest miss in one plan: a tenth of a millisecond each, and nobody reads more."""
_MAX_COMPARED: Final = 8
"""Groups looked at closely for one shape, of those that equally many filters reject."""
_HOPELESS: Final = frozenset({GroupRefusal.NO_TEMPLATE, GroupRefusal.LEFT_ALONE})
"""Of such groups nothing is known that a change to the pod could meet."""


def with_nearest(
    verdicts: Sequence[PendingVerdict], *, fresh: Simulation, index: Mapping[GroupKey, int]
) -> list[PendingVerdict]:
    """The verdicts, with the nearest miss on those that no group helps.

    `fresh` holds one fresh node of each group; `index` says where.
    """
    explained: list[PendingVerdict] = []
    left = MAX_EXPLAINED
    for verdict in verdicts:
        if verdict.outcome is PendingOutcome.NO_GROUP and left:
            left -= 1
            explained.append(replace(verdict, nearest=_nearest(verdict, fresh, index)))
        else:
            explained.append(verdict)
    return explained


def _nearest(verdict: PendingVerdict, fresh: Simulation, index: Mapping[GroupKey, int]) -> NearestMiss | None:
    known = [group for group in verdict.groups if _may_help(group) and (group.pool, group.group) in index]
    if not known:
        return None
    at = np.array([index[group.pool, group.group] for group in known])
    refused = np.array([group.refusal is not None for group in known])
    counts = rejections(fresh, verdict.shape)[at] + refused
    closest = np.flatnonzero(counts == counts.min())[:_MAX_COMPARED]
    misses = [_miss(known[number], verdict.shape, fresh, int(at[number])) for number in closest]
    return min(misses, key=_distance)


def _may_help(group: GroupVerdict) -> bool:
    return not group.used and group.refusal not in _HOPELESS


def _miss(group: GroupVerdict, shape: PodShape, fresh: Simulation, index: int) -> NearestMiss:
    return NearestMiss(
        pool=group.pool,
        group=group.group,
        misfits=objections(fresh, shape, index),
        refusal=group.refusal,
        detail=group.detail,
    )


def _distance(miss: NearestMiss) -> tuple[int, float, str, str]:
    """Fewest changes first, then the smallest: what is short by little is nearer than what is missing wholly."""
    changes = len(miss.misfits) + (miss.refusal is not None)
    return (changes, sum(map(_size, miss.misfits)), miss.pool, miss.group)


_SIZES: Mapping[Plugin, Callable[[Misfit], float]] = {
    Plugin.NODE_RESOURCES_FIT: lambda misfit: misfit.requested / misfit.free if misfit.free > 0 else 100.0,
}


def _size(misfit: Misfit) -> float:
    measure = _SIZES.get(misfit.plugin)
    return measure(misfit) if measure is not None else 10.0
