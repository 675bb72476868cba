"""Balancing: spread new nodes over groups of one pool that can all take them, so that their targets even out."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bin:
    """A group that could take a share."""

    group: str
    target: int
    room: int
    """Most nodes it can still take."""


def spread(count: int, bins: Sequence[Bin]) -> dict[str, int]:
    """Nodes for each group: one by one to the one with the smallest target that has room left.

    Ties go to the group that stands first. Groups without a share are left out; shares sum to `count`, or to
    all the room there is.
    """
    heap = [(item.target, order) for order, item in enumerate(bins) if item.room > 0]
    heapq.heapify(heap)
    shares = [0] * len(bins)
    for _ in range(count):
        if not heap:
            break
        target, order = heapq.heappop(heap)
        shares[order] += 1
        if shares[order] < bins[order].room:
            heapq.heappush(heap, (target + 1, order))
    return {item.group: share for item, share in zip(bins, shares, strict=True) if share}
