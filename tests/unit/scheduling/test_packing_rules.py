"""Packing keeps the rules between pods of one node: what it arranges, the scheduler can bring about."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.shape import PodShape
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.packing.packing import Packing, Part, Site, pack, pack_parts
from tests.unit.scheduling.arrangement import Place, stranded
from tests.unit.scheduling.companies import app, apps, near, spread

FRESH = FreshNode(allocatable={"cpu": 10, "memory": 10, "pods": 8})
Demands = list[tuple[PodShape, int]]


def places(demands: Demands, packing: Packing, fresh: FreshNode = FRESH) -> list[Place]:
    numbers = itertools.count()
    return [
        Place(
            labels={HOSTNAME_LABEL: f"new-{next(numbers)}"},
            allocatable=fresh.allocatable,
            running=list(fresh.daemon_shapes),
            planned=[demands[number][0] for number, count in each.contents for _ in range(count)],
        )
        for each in packing.bins
        for _ in range(each.nodes)
    ]


def on_nodes(demands: Demands, **bounds: int) -> list[dict[int, int]]:
    """What is on each node: demand -> pods."""
    packing = pack(FRESH, demands, max_nodes=bounds.get("max_nodes", 100))
    return [dict(each.contents) for each in packing.bins for _ in range(each.nodes)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(apps(HOSTNAME_LABEL), st.integers(0, 9)), max_size=4), st.integers(0, 12))
def test_whatever_is_packed_can_be_bound_there(demands: Demands, max_nodes: int) -> None:
    packing = pack(FRESH, demands, max_nodes=max_nodes)
    assert stranded(places(demands, packing)) == []
    assert packing.nodes <= max_nodes
    assert all(each.contents for each in packing.bins)
    counts = [0] * len(demands)
    for each in packing.bins:
        for number, count in each.contents:
            counts[number] += count * each.nodes
    assert tuple(counts) == packing.placed
    assert all(placed <= count for placed, (_, count) in zip(packing.placed, demands, strict=True))


ALONE = app("a", 2, anti=(near("a"),))


@pytest.mark.parametrize(
    ("demands", "nodes", "placed"),
    [
        pytest.param([(ALONE, 5000)], 5000, (5000,), id="a pod that repels its own has a node for itself"),
        pytest.param(
            [(ALONE, 3), (app("b", 8), 3)], 3, (3, 3), id="the room that it leaves is used by others"
        ),
        pytest.param(
            [(app("a", 1, anti=(near("b"),)), 4), (app("b", 1), 4)], 2, (4, 4), id="repelling works both ways"
        ),
        pytest.param([(app("a", 1, port=80), 3)], 3, (3,), id="a host port is taken once on a node"),
        pytest.param(
            [(app("a", 5, spreads=(spread("a"),)), 7)], 4, (7,), id="a spread over full nodes needs no more"
        ),
        pytest.param(
            [(app("a", 2, spreads=(spread("a"),)), 10), (app("b", 10), 2)],
            12,
            (10, 2),
            id="nodes that others fill are domains with none: the skew bounds every other node",
        ),
        pytest.param(
            [(app("a", 1, spreads=(spread("a", min_domains=4),)), 6)],
            4,
            (6,),
            id="at least so many domains are made",
        ),
        pytest.param(
            [(app("a", 2, affinity=(near("a"),)), 5)], 1, (5,), id="pods that want each other share a node"
        ),
        pytest.param([(app("a", 2, affinity=(near("a"),)), 9)], 1, (5,), id="as far as one node holds them"),
        pytest.param(
            [(app("a", 2, affinity=(near("b"),)), 2), (app("b", 4), 1)],
            1,
            (2, 1),
            id="pods that want others go where those are",
        ),
        pytest.param(
            [(app("a", 2, affinity=(near("b"),)), 2)],
            0,
            (0,),
            id="nothing is bought for company nobody gives",
        ),
    ],
)
def test_how_many_nodes_rules_need(demands: Demands, nodes: int, placed: tuple[int, ...]) -> None:
    packing = pack(FRESH, demands, max_nodes=10_000)
    assert (packing.nodes, packing.placed) == (nodes, placed)


def test_one_bin_holds_five_thousand_lonely_pods() -> None:
    packing = pack(FRESH, [(ALONE, 5000)], max_nodes=5000)
    assert [each.nodes for each in packing.bins] == [5000]


def test_daemon_pods_count_for_rules() -> None:
    fresh = FreshNode(allocatable=FRESH.allocatable, daemon_shapes=(app("b"),))
    near_daemons, away = app("a", 1, affinity=(near("b"),)), app("a", 1, anti=(near("b"),))
    assert pack(fresh, [(near_daemons, 9)], max_nodes=9).placed == (9,)
    assert pack(fresh, [(away, 9)], max_nodes=9).nodes == 0


def test_a_spread_is_dealt_over_the_nodes_that_others_open() -> None:
    arranged = on_nodes([(app("a", 1, spreads=(spread("a"),)), 8), (app("b", 8), 4)])
    assert [node[0] for node in arranged] == [2, 2, 2, 2]


# --- sites -------------------------------------------------------------------------------------------------------


def test_parts_go_to_their_sites_and_others_fill_up_and_keep_them_even() -> None:
    parts = [
        Part(app("a", 5), 6, frozenset({0})),
        Part(app("a", 5), 1, frozenset({1})),
        Part(app("b", 5), 9),
    ]
    packing = pack_parts(FRESH, parts, sites=(Site(room=9), Site(room=9), Site(room=9)), max_nodes=20)
    nodes = [sum(each.nodes for each in packing.bins if each.site == site) for site in range(3)]
    assert packing.placed == (6, 1, 9)
    assert nodes in ([3, 3, 2], [3, 2, 3])
    for each in packing.bins:
        assert all(parts[n].sites is None or each.site in (parts[n].sites or ()) for n, _ in each.contents)


def test_a_site_without_room_gets_nothing() -> None:
    packing = pack_parts(
        FRESH, [Part(app("a", 10), 5)], sites=(Site(room=0), Site(room=2), Site(room=9)), max_nodes=4
    )
    assert packing.placed == (4,)
    assert {each.site: each.nodes for each in packing.bins} == {1: 2, 2: 2}
