"""Balancing: new nodes go to the smallest group that has room, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.planning.scale_up.balancing import Bin, spread


@pytest.mark.parametrize(
    ("count", "bins", "shares"),
    [
        pytest.param(3, [("a", 0, 9), ("b", 0, 9), ("c", 0, 9)], {"a": 1, "b": 1, "c": 1}, id="evenly"),
        pytest.param(3, [("a", 5, 9), ("b", 2, 9)], {"b": 3}, id="the smallest catches up"),
        pytest.param(4, [("a", 3, 9), ("b", 2, 9)], {"a": 2, "b": 2}, id="then both grow; ties in order"),
        pytest.param(5, [("a", 0, 1), ("b", 9, 9)], {"a": 1, "b": 4}, id="a full group takes no more"),
        pytest.param(5, [("a", 0, 1), ("b", 0, 2)], {"a": 1, "b": 2}, id="all that fits when room is short"),
        pytest.param(2, [("a", 0, 0), ("b", 0, -1)], {}, id="nowhere"),
    ],
)
def test_spread(count: int, bins: list[tuple[str, int, int]], shares: dict[str, int]) -> None:
    assert spread(count, [Bin(*each) for each in bins]) == shares


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6),
)
def test_no_group_ends_above_another_that_still_had_room(count: int, sizes: list[tuple[int, int]]) -> None:
    bins = [Bin(str(number), target, room) for number, (target, room) in enumerate(sizes)]
    shares = spread(count, bins)
    assert sum(shares.values()) == min(count, sum(room for _, room in sizes))
    ends = {each.group: each.target + shares.get(each.group, 0) for each in bins}
    for grown in (each for each in bins if each.group in shares):
        for other in bins:
            if shares.get(other.group, 0) < other.room:
                assert ends[grown.group] <= ends[other.group] + 1
