"""VolumeRestrictions: a disk that cannot be shared on a node, and a ReadWriteOncePod claim that is in use anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.needs import VolumeNeeds
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.nodes.volumes import keeps_its_like_out
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    needs = shape.volumes
    if needs is None or not (needs.disks or needs.exclusive_claims):
        return None
    if _claim_in_use(needs, state):
        return np.zeros(len(state.nodes), dtype=np.bool_)
    taken = np.zeros(len(state.nodes), dtype=np.bool_)
    for disk in needs.disks:
        taken |= state.usage.volumes.in_conflict(disk, len(taken))
    return ~taken


def limit(shape: PodShape, state: State) -> IntArray | None:
    needs = shape.volumes
    free = mask(shape, state)
    if needs is None or free is None:
        return None
    single = bool(needs.exclusive_claims) or keeps_its_like_out(needs.disks)
    return free.astype(np.int64) if single else free * _UNLIMITED


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    needs = shape.volumes
    assert needs is not None
    misfits: dict[Misfit, int] = {}
    left = rejected
    # The scheduler looks at disks first, then at claims.
    for disk in needs.disks:
        taken = state.usage.volumes.in_conflict(disk, len(state.nodes))[left]
        if taken.any():
            misfit = Misfit(Plugin.VOLUME_RESTRICTIONS, subject=f"{disk.kind} {disk.identity}")
            misfits[misfit] = int(np.count_nonzero(taken))
        left = left[~taken]
    claim = _claim_in_use(needs, state)
    if len(left) and claim:
        misfits[Misfit(Plugin.VOLUME_RESTRICTIONS, subject=f"ReadWriteOncePod claim {claim}")] = len(left)
    return misfits


def _claim_in_use(needs: VolumeNeeds, state: State) -> str:
    """The first of the pod's ReadWriteOncePod claims that another pod uses; empty: none."""
    return next((c for c in needs.exclusive_claims if state.usage.volumes.claimed(c)), "")


_UNLIMITED = np.int64(2**62)

FILTER = Filter(plugin=Plugin.VOLUME_RESTRICTIONS, mask=mask, explain=explain, limit=limit)
