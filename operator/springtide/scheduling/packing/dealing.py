"""Dealing out evenly: always to the lowest, as pouring water does; in closed form, not pod by pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.scheduling.arrays import IntArray


@dataclass(frozen=True, slots=True)
class Dealt:
    """What each of several stacks of equal places gets."""

    each: IntArray
    """So many to every place of the stack."""
    more: IntArray
    """So many places of the stack get one more."""

    def total(self, places: IntArray) -> int:
        return int((self.each * places + self.more).sum())

    def sums(self, places: IntArray) -> IntArray:
        """What all places of each stack get together."""
        sums: IntArray = self.each * places + self.more
        return sums


_FEW: Final = 8
"""Of so few stacks (zones, mostly) arrays cost more than plain numbers."""


def deal(count: int, *, levels: IntArray, room: IntArray, places: IntArray | None = None) -> Dealt:
    """Deal `count` to the lowest first: `levels[i]` is what each place of stack i has, `room[i]` what it can still
    take, `places[i]` how many places the stack has (one, where not given). Less is dealt where there is no room.

    Ties go to the stack that stands first.
    """
    if places is None and len(levels) <= _FEW:
        return Dealt(each=_deal_few(count, levels.tolist(), room.tolist()), more=np.zeros_like(levels))
    places = np.ones_like(levels) if places is None else places
    room = np.minimum(np.maximum(room, 0), count)
    none = np.zeros_like(levels)
    if count <= 0 or not len(levels) or not (room * places).any():
        return Dealt(each=none, more=none)
    low, high = int(levels.min()), int((levels + room).max())
    # The highest water level whose volume is not more than there is to deal.
    while low < high:
        middle = (low + high + 1) // 2
        if int((np.clip(middle - levels, 0, room) * places).sum()) <= count:
            low = middle
        else:
            high = middle - 1
    each = np.clip(low - levels, 0, room)
    rest = count - int((each * places).sum())
    # At this level, one more to each of those that stand exactly at it and have room: fewer than would fill it.
    open_places = np.where((levels + each == low) & (each < room), places, 0)
    before = np.cumsum(open_places) - open_places
    more = np.clip(rest - before, 0, open_places)
    return Dealt(each=each, more=more)


def _deal_few(count: int, levels: Sequence[int], room: Sequence[int]) -> IntArray:
    """The same for single places, step by step: all of the lowest rise together to the next level."""
    each = [0] * len(levels)
    while count > 0:
        rising = [number for number, most in enumerate(room) if each[number] < most]
        if not rising:
            break
        low = min(levels[number] + each[number] for number in rising)
        lowest = [number for number in rising if levels[number] + each[number] == low]
        steps = [levels[number] + each[number] - low for number in rising if number not in lowest]
        steps += [room[number] - each[number] for number in lowest]
        step = min(*steps, count // len(lowest))
        for number in lowest if step else lowest[:count]:
            each[number] += max(step, 1)
        count -= step * len(lowest) if step else min(count, len(lowest))
    return np.array(each, dtype=np.int64)
