"""Pouring the pods of a spread over its domains."""

from __future__ import annotations

import pytest

from springtide.planning.zones.pouring import Water
from tests.unit.scheduling.companies import spread


def water(
    counts: dict[str, int],
    growing: dict[str, int],
    *,
    existing: str = "",
    load: dict[str, int] | None = None,
    counts_itself: bool = True,
    **constraint: int,
) -> Water:
    return Water(
        spread("web", key="zone", **constraint),
        counts,
        growing,
        frozenset(existing) | {domain for domain, pods in counts.items() if pods},
        load or {},
        counts_itself,
    )


@pytest.mark.parametrize(
    ("given", "pods", "shares"),
    [
        pytest.param(water({}, {"a": 9, "b": 9, "c": 9}), 9, {"a": 3, "b": 3, "c": 3}, id="evenly"),
        pytest.param(water({"a": 4}, {"a": 9, "b": 9}), 4, {"b": 4}, id="the lowest first"),
        pytest.param(
            water({}, {"a": 9, "b": 9}, load={"a": 5}),
            3,
            {"a": 1, "b": 2},
            id="remainders where the load is least",
        ),
        pytest.param(
            water({}, {"a": 9, "b": 0}, existing="b"), 9, {"a": 1}, id="who cannot grow bounds the others"
        ),
        pytest.param(
            water({"b": 3}, {"a": 9, "b": 0}, max_skew=2), 9, {"a": 5}, id="at its count plus the skew"
        ),
        pytest.param(
            water({}, {"a": 9, "b": 1}), 9, {"a": 9}, id="unless it need not exist, and is better left out"
        ),
        pytest.param(water({}, {"a": 2, "b": 1}), 9, {"a": 2, "b": 1}, id="or makes no difference"),
        pytest.param(
            water({}, {"a": 9, "b": 9}, min_domains=3),
            9,
            {"a": 1, "b": 1},
            id="too few domains allow the skew",
        ),
        pytest.param(
            water({"a": 5, "b": 1}, {"a": 9, "b": 9}, counts_itself=False),
            4,
            {"b": 4},
            id="pods that do not count themselves change nothing",
        ),
        pytest.param(water({}, {}), 3, {}, id="nowhere"),
    ],
)
def test_where_pods_go(given: Water, pods: int, shares: dict[str, int]) -> None:
    assert given.poured(pods) == shares
