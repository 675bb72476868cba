"""Many pods of one shape at once stand where they would stand had they come one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling.build import node, pod, shape

ZONE, HOST, RACK = "zone", "kubernetes.io/hostname", "rack"
WEB = LabelSelector((LabelRequirement("app", SelectorOperator.IN, ("web",)),))


def web(
    *spread: SpreadConstraint, apart: tuple[str, ...] = (), together: tuple[str, ...] = (), cpu: int = 1
) -> PodShape:
    """Pods of one app that are spread, kept apart, or kept together, over these topologies."""
    return shape(
        {"cpu": cpu},
        labels={"app": "web"},
        spread=spread,
        pod_anti_affinity=tuple(PodAffinityTerm(key, WEB, ("default",)) for key in apart),
        pod_affinity=tuple(PodAffinityTerm(key, WEB, ("default",)) for key in together),
    )


def over(key: str, max_skew: int = 1, min_domains: int = 1) -> SpreadConstraint:
    return SpreadConstraint(key, max_skew, WEB, min_domains)


def one_by_one(simulation: Simulation, one: PodShape, count: int) -> list[int]:
    """Pods per node."""
    counts = np.zeros(simulation.size, dtype=np.int64)
    for _ in range(count):
        placement = simulation.place(one, 1)
        if not placement.placed:
            break
        counts[placement.indices] += 1
    return counts.tolist()


def at_once(simulation: Simulation, one: PodShape, count: int) -> list[int]:
    counts = np.zeros(simulation.size, dtype=np.int64)
    placement = simulation.place(one, count)
    counts[placement.indices] = placement.counts
    assert placement.placed == counts.sum()
    return counts.tolist()


_topologies = st.sampled_from((ZONE, HOST, RACK))
_spreads = st.builds(over, _topologies, st.integers(1, 4), st.sampled_from((1, 1, 1, 4)))
_webs = st.builds(
    lambda spread, apart, together: web(*spread, apart=tuple(apart), together=tuple(together)),
    st.lists(_spreads, min_size=1, max_size=3),
    st.lists(_topologies, max_size=1),
    st.one_of(st.just([]), st.just([]), st.lists(_topologies, max_size=2)),
)


@st.composite
def _zoned(draw: st.DrawFn) -> list[NodeRecord]:
    nodes = []
    for number in range(draw(st.integers(1, 12))):
        labels = {HOST: f"n{number}", ZONE: draw(st.sampled_from(("a", "b", "c")))}
        if draw(st.integers(0, 5)):
            labels[RACK] = draw(st.sampled_from(("r1", "r2")))
        nodes.append(node(f"n{number}", {"cpu": draw(st.integers(0, 9)), "pods": 100}, labels=labels))
    return nodes


@settings(max_examples=400, deadline=None)
@given(_zoned(), _webs, st.lists(st.integers(0, 11), max_size=6), st.integers(2, 60))
def test_at_once_is_one_by_one(
    nodes: list[NodeRecord], one: PodShape, residents: list[int], count: int
) -> None:
    there = {f"n{index}": [pod(web())] * residents.count(index) for index in residents}
    simulation = Simulation.of(nodes, there)
    batch = simulation.fork()
    assert at_once(batch, one, count) == one_by_one(simulation, one, count)
    for probe in (one, web(over(ZONE)), web(apart=(RACK,)), web(together=(ZONE,))):
        assert batch.feasible(probe).tolist() == simulation.feasible(probe).tolist()


def cluster(zones: str, cpu: int = 8) -> list[NodeRecord]:
    """One node for each letter, in the zone of that letter."""
    return [
        node(f"n{i}", {"cpu": cpu, "pods": 110}, labels={ZONE: zone, HOST: f"n{i}"})
        for i, zone in enumerate(zones)
    ]


@pytest.mark.parametrize(
    ("zones", "one", "count", "placed"),
    [
        pytest.param("abc", web(over(ZONE)), 7, [3, 2, 2], id="even over zones, the first gets the rest"),
        pytest.param("aab", web(over(ZONE)), 7, [4, 0, 3], id="in its zone the first node is filled first"),
        pytest.param("ab", web(over(ZONE, 3)), 5, [4, 1], id="the skew may be used up"),
        pytest.param("ab", web(over(ZONE, 1, 3)), 9, [1, 1], id="too few domains: no more than the skew"),
        pytest.param("abc", web(over(HOST)), 4, [2, 1, 1], id="even over nodes"),
        pytest.param("aabb", web(apart=(ZONE,)), 9, [1, 0, 1, 0], id="one a zone"),
        pytest.param("aabb", web(apart=(HOST,)), 3, [1, 1, 1, 0], id="one a node"),
        pytest.param("abab", web(together=(ZONE,)), 30, [8, 0, 8, 0], id="all in the zone of the first"),
        pytest.param("aabb", web(over(ZONE), apart=(HOST,)), 9, [1, 1, 1, 1], id="even, one a node"),
        pytest.param(
            "aab", web(over(ZONE), over(HOST)), 9, [2, 1, 2], id="until zones and nodes stop each other"
        ),
        pytest.param("aab", web(over(ZONE), apart=(HOST,)), 9, [1, 1, 1], id="until the nodes are used up"),
    ],
)
def test_where_pods_go(zones: str, one: PodShape, count: int, placed: list[int]) -> None:
    assert at_once(Simulation.of(cluster(zones), {}), one, count) == placed


def test_a_full_zone_stops_the_others() -> None:
    full = [pod(shape({"cpu": 8}))]
    simulation = Simulation.of(cluster("abc"), {"n1": full})
    assert at_once(simulation, web(over(ZONE, 2)), 9) == [2, 0, 2]


def test_a_large_spread_is_even() -> None:
    simulation = Simulation.of(cluster("abc" * 2084), {})
    placement = simulation.place(web(over(ZONE)), 50_000)
    assert placement.placed == 50_000
    zones = np.bincount(placement.indices % 3, weights=placement.counts)
    assert zones.max() - zones.min() <= 1
