"""Utilization of many nodes at once is that of each node alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.planning.scale_down.utilization import utilization, utilizations
from springtide.scheduling.simulation import Simulation
from tests.unit.planning.world import GIB, NOW, node, running, shape

AMOUNTS = st.sampled_from([0, 1, 3, 250, 1000, 4000, 2**40, 2**53, 2**60])
SHAPES = (shape(250, GIB), shape(1, 1), shape(0, 3), shape(7, 0), shape(2**52, 2**54), shape(2**62, 1))


@st.composite
def nodes_with_pods(draw: st.DrawFn) -> tuple[list[NodeRecord], dict[str, list[PodRecord]]]:
    nodes = [
        node(f"n{number}", allocatable={"cpu": draw(AMOUNTS), "memory": draw(AMOUNTS), "pods": 10, **gpus})
        for number, gpus in enumerate(
            draw(st.lists(st.sampled_from([{}, {}, {"nvidia.com/gpu": 2}]), max_size=4))
        )
    ]
    pods = {
        each.name: [
            pod for of in draw(st.lists(st.sampled_from(SHAPES), max_size=4)) for pod in running(1, of)
        ]
        for each in nodes
    }
    return nodes, pods


@settings(max_examples=200, deadline=None)
@given(nodes_with_pods())
def test_many_nodes_at_once_are_each_node_alone(
    there: tuple[list[NodeRecord], dict[str, list[PodRecord]]],
) -> None:
    nodes, pods = there
    simulation = Simulation.of(nodes, pods)
    found = utilizations(nodes, free_cpu=simulation.free("cpu"), free_memory=simulation.free("memory"))
    for each, known in zip(nodes, found, strict=True):
        assert known is None or known == utilization(each, pods[each.name], now=NOW)


def test_ordinary_nodes_are_known_at_once() -> None:
    nodes = [node("a"), node("b", allocatable={"cpu": 0, "memory": GIB, "pods": 10})]
    simulation = Simulation.of(nodes, {"a": running(2, shape(1000, GIB))})
    first, second = utilizations(
        nodes, free_cpu=simulation.free("cpu"), free_memory=simulation.free("memory")
    )
    assert first is not None
    assert (first.resource, first.value, first.memory) == ("cpu", 0.5, 2 / 16)
    assert second is None
