"""Dealing in closed form equals dealing one by one to the lowest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scheduling.packing.dealing import deal

stacks = st.lists(st.tuples(st.integers(0, 9), st.integers(-2, 9), st.integers(1, 4)), max_size=12)


def one_by_one(count: int, places: list[tuple[int, int]]) -> list[int]:
    """(level, room) of every place -> what it gets."""
    given_ = [0] * len(places)
    for _ in range(count):
        lowest = (
            min(
                (level + got, number)
                for number, ((level, room), got) in enumerate(zip(places, given_, strict=True))
                if got < room
            )
            if any(got < room for (_, room), got in zip(places, given_, strict=True))
            else None
        )
        if lowest is None:
            break
        given_[lowest[1]] += 1
    return given_


@given(st.integers(0, 60), stacks)
def test_stacks_of_places(count: int, given_stacks: list[tuple[int, int, int]]) -> None:
    levels, room, places = (np.array([s[n] for s in given_stacks], dtype=np.int64) for n in range(3))
    dealt = deal(count, levels=levels, room=room, places=places)
    expected = one_by_one(count, [(level, most) for level, most, many in given_stacks for _ in range(many)])
    ends = np.cumsum(places).tolist()
    sums = [sum(expected[end - many : end]) for end, many in zip(ends, places.tolist(), strict=True)]
    assert dealt.sums(places).tolist() == sums
    assert (dealt.more <= places).all()


@given(st.integers(0, 60), stacks)
def test_single_places(count: int, given_stacks: list[tuple[int, int, int]]) -> None:
    levels, room, _ = (np.array([s[n] for s in given_stacks], dtype=np.int64) for n in range(3))
    dealt = deal(count, levels=levels, room=room)
    assert dealt.sums(np.ones_like(levels)).tolist() == one_by_one(
        count, [(level, most) for level, most, _ in given_stacks]
    )


@pytest.mark.parametrize("stacks_", [3, 30])
def test_a_million_is_dealt_at_once(stacks_: int) -> None:
    none = np.zeros(stacks_, dtype=np.int64)
    dealt = deal(1_000_000, levels=none, room=np.full(stacks_, 10**7))
    assert int(dealt.sums(np.ones_like(none)).sum()) == 1_000_000
