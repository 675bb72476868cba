"""Balancing: spread new nodes over groups that can all take them, so that their targets even out."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Bin(Generic[Key]):
    """A group that could take a share."""

    group: Key
    target: int
    room: int
    """Most nodes it can still take."""
    pool: str = ""
    """Whose room it shares with the pool's other groups."""


def spread(
    count: int, bins: Sequence[Bin[Key]], *, pool_rooms: Mapping[str, int] | None = None
) -> dict[Key, int]:
    """Nodes for each group: one by one to the one with the smallest target that has room left, and whose pool has.

    Ties go to the group that stands first. Groups without a share are left out; shares sum to `count`, or to
    all the room there is. `pool_rooms`: most nodes for all groups of a pool together; no entry: no bound.
    """
    left_of_pool = dict(pool_rooms or {})
    heap = [(item.target, order) for order, item in enumerate(bins) if item.room > 0]
    heapq.heapify(heap)
    shares = [0] * len(bins)
    given = 0
    while heap and given < count:
        target, order = heapq.heappop(heap)
        pool = bins[order].pool
        if left_of_pool.get(pool, 1) <= 0:
            continue
        if pool in left_of_pool:
            left_of_pool[pool] -= 1
        shares[order] += 1
        given += 1
        if shares[order] < bins[order].room:
            heapq.heappush(heap, (target + 1, order))
    return {item.group: share for item, share in zip(bins, shares, strict=True) if share}
