"""Packing by bins equals first-fit decreasing pod by pod, and meets the node counts that are known to be best."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.shape import HostPort, PodShape, Unmodelled
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.packing.packing import Packing, apply_packing, pack
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling import reference, worlds
from tests.unit.scheduling.build import node, shape

Demands = list[tuple[PodShape, int]]


def per_node(packing: Packing) -> list[list[int]]:
    """For each node the demand of each pod on it, as the reference tells it."""
    return [
        list(itertools.chain.from_iterable([number] * count for number, count in each.contents))
        for each in packing.bins
        for _ in range(each.nodes)
    ]


demand_lists = st.lists(st.tuples(worlds.shapes, st.integers(0, 12)), max_size=5)
plain_shapes = worlds.shapes.filter(lambda each: not each.host_ports)
plain_lists = st.lists(st.tuples(plain_shapes, st.integers(0, 12)), max_size=5)
"""Where rules between pods are in play, packing tries several orders: see test_packing_rules."""


@settings(max_examples=150, deadline=None)
@given(worlds.fresh_nodes, plain_lists, st.integers(0, 8))
def test_bins_equal_packing_pod_by_pod(fresh: FreshNode, demands: Demands, max_nodes: int) -> None:
    packing = pack(fresh, demands, max_nodes=max_nodes)
    expected = reference.pack(fresh, demands, max_nodes)
    assert per_node(packing) == expected
    assert packing.nodes == len(expected) <= max_nodes
    pods = list(itertools.chain.from_iterable(expected))
    assert packing.placed == tuple(pods.count(number) for number in range(len(demands)))


@settings(max_examples=60, deadline=None)
@given(worlds.fresh_nodes, demand_lists)
def test_an_applied_packing_is_what_placing_its_pods_gives(fresh: FreshNode, demands: Demands) -> None:
    packing = pack(fresh, demands, max_nodes=6)
    applied, placed = Simulation.of([node("old")], {}), Simulation.of([node("old")], {})
    added = apply_packing(applied, fresh, demands, packing, prefix="new")
    again = placed.add_nodes(fresh, packing.nodes, prefix="new")
    for index, pods in zip(again, per_node(packing), strict=True):
        for number in pods:
            assert placed.place(demands[number][0], 1, only=np.arange(placed.size) == index).placed == 1
    assert added == again
    for resource in ("pods", *worlds.RESOURCES):
        assert applied.free(resource).tolist() == placed.free(resource).tolist()
    for one, _ in demands:
        assert applied.feasible(one).tolist() == placed.feasible(one).tolist()


MIB = 1 << 20
SMALL_NODE = FreshNode(allocatable={"cpu": 10_000, "memory": 10_000, "pods": 100})
CPU_BOUND_NODE = FreshNode(allocatable={"cpu": 1_000, "memory": 5_000 * MIB, "pods": 100})


@pytest.mark.parametrize(
    ("fresh", "demands", "nodes"),
    [
        pytest.param(
            SMALL_NODE, [(shape({"cpu": 200, "memory": 200}), 50_000)], 1_000, id="50,000 pods of one shape"
        ),
        pytest.param(
            CPU_BOUND_NODE,
            [(shape({"cpu": 50, "memory": 100}), 50_000), (shape({"cpu": 95, "memory": 190}), 1_000)],
            2_595,
            id="51,000 pods of two shapes",
        ),
        pytest.param(SMALL_NODE, [(shape(), 101)], 2, id="pods that request nothing still need places"),
        pytest.param(SMALL_NODE, [(shape({"cpu": 10_001}), 5)], 0, id="too large a pod opens no node"),
        pytest.param(SMALL_NODE, [(shape({"cpu": 1}), 0)], 0, id="no pods need no node"),
        pytest.param(SMALL_NODE, [], 0, id="no shapes need no node"),
        pytest.param(
            SMALL_NODE,
            [(shape({"cpu": 2_000}), 1), (shape({"cpu": 8_000}), 1)],
            1,
            id="large shapes go first and small ones fill the gap",
        ),
        pytest.param(
            SMALL_NODE,
            [
                (shape(host_ports=(HostPort("TCP", "", 80),)), 3),
                (shape(host_ports=(HostPort("TCP", "10.0.0.1", 80),)), 2),
            ],
            5,
            id="host ports that clash never share a node",
        ),
        pytest.param(
            SMALL_NODE,
            [
                (shape(host_ports=(HostPort("TCP", "", 80),)), 3),
                (shape(host_ports=(HostPort("UDP", "", 80),)), 3),
            ],
            3,
            id="other ports do",
        ),
        pytest.param(
            SMALL_NODE,
            [(shape(unmodelled=(Unmodelled.RESOURCE_CLAIMS,)), 3)],
            0,
            id="nothing is bought for what is not modelled",
        ),
        pytest.param(
            SMALL_NODE,
            [(shape(node_selector={"kubernetes.io/hostname": "n1"}), 1)],
            0,
            id="a pod that wants a node by name is not helped by a new one",
        ),
    ],
)
def test_node_counts(fresh: FreshNode, demands: Demands, nodes: int) -> None:
    packing = pack(fresh, demands, max_nodes=10_000)
    assert packing.nodes == nodes


def test_the_limit_of_nodes_leaves_the_rest_unplaced() -> None:
    packing = pack(SMALL_NODE, [(shape({"cpu": 4_000}), 7)], max_nodes=2)
    assert (packing.nodes, packing.placed) == (2, (4,))


def test_daemon_pods_take_their_part_of_every_new_node() -> None:
    with_agent = FreshNode(allocatable=SMALL_NODE.allocatable, daemon_shapes=(shape({"cpu": 1_000}),))
    demands = [(shape({"cpu": 5_000}), 2)]
    assert pack(SMALL_NODE, demands, max_nodes=9).nodes == 1
    assert pack(with_agent, demands, max_nodes=9).nodes == 2
