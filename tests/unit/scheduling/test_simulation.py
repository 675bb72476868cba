"""Arrays give the verdicts of the plain reference implementation, whatever was placed, removed, added or forked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord, PodPhase
from springtide.cluster.shape import HostPort, PodShape, Unmodelled
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.resources import LARGEST_AMOUNT
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling import worlds
from tests.unit.scheduling.build import node, pod, shape
from tests.unit.scheduling.reference import ReferenceNode, place_one, rejection


@dataclass
class Twin:
    """A simulation, and the reference nodes that it must agree with."""

    simulation: Simulation
    nodes: list[ReferenceNode]

    @classmethod
    def of(cls, records: list[NodeRecord]) -> Twin:
        return cls(Simulation.of(records, {}), [ReferenceNode.of(record) for record in records])

    def fork(self) -> Twin:
        return Twin(self.simulation.fork(), [each.copy() for each in self.nodes])

    def agree_on(self, shapes: list[PodShape]) -> None:
        for each in shapes:
            assert self.simulation.feasible(each).tolist() == [n.takes(each) for n in self.nodes]
            assert self.simulation.room(each).tolist() == [n.room(each) for n in self.nodes]
            misfits = [self.simulation.misfit(each, index) for index in range(len(self.nodes))]
            assert [m and m.plugin for m in misfits] == [rejection(each, n) for n in self.nodes]
            rejected = sum(not n.withdrawn and not n.takes(each) for n in self.nodes)
            assert sum(self.simulation.misfits(each).values()) == rejected
        for resource in ("pods", *worlds.RESOURCES):
            assert self.simulation.free(resource).tolist() == [n.free(resource) for n in self.nodes]


def change(twin: Twin, shapes: list[PodShape], fresh: FreshNode, data: st.DataObject) -> None:
    """One random step, done to both."""
    one = data.draw(st.sampled_from(shapes))
    nodes = twin.nodes
    step = data.draw(
        st.sampled_from(("place", "place", "place only", "place on", "remove", "add", "withdraw"))
    )
    if step == "place":
        count = data.draw(st.integers(0, 9))
        placement = twin.simulation.place(one, count)
        singly = [index for index in (place_one(one, nodes) for _ in range(count)) if index is not None]
        assert np.repeat(placement.indices, placement.counts).tolist() == singly
        assert placement.placed == len(singly)
    elif step == "add":
        added = twin.simulation.add_nodes(fresh, data.draw(st.integers(0, 2)), prefix="fresh")
        nodes.extend(ReferenceNode.fresh(fresh, twin.simulation.name(index)) for index in added)
        assert [twin.simulation.index(nodes[index].name) for index in added] == list(added)
    elif nodes:
        change_one_node(twin, one, step, data)


def change_one_node(twin: Twin, one: PodShape, step: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(twin.nodes) - 1))
    chosen = twin.nodes[index]
    if step == "place only":
        only = np.arange(len(twin.nodes)) == index
        room = chosen.room(one)
        assert twin.simulation.place(one, 2, only=only).placed == min(room, 2)
        chosen.pods += [one] * min(room, 2)
    elif step == "place on":
        twin.simulation.place_on(one, index, 2)
        chosen.pods += [one, one]
    elif step == "withdraw":
        twin.simulation.withdraw(index)
        chosen.withdrawn = True
    elif chosen.pods:
        leaving = data.draw(st.sampled_from(chosen.pods))
        twin.simulation.remove(leaving, index)
        chosen.pods.remove(leaving)


@settings(max_examples=150, deadline=None)
@given(st.data(), worlds.clusters(), st.lists(worlds.shapes, min_size=1, max_size=3), worlds.fresh_nodes)
def test_arrays_agree_with_the_reference_through_any_sequence_of_changes(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape], fresh: FreshNode
) -> None:
    twins = [Twin.of(records)]
    for _ in range(data.draw(st.integers(0, 8))):
        current = data.draw(st.sampled_from(twins))
        if data.draw(st.booleans()) and len(twins) < 4:
            twins.append(current.fork())
        change(current, shapes, fresh, data)
    # Every fork is looked at last, so that a leak from one into another shows.
    for twin in twins:
        twin.agree_on(shapes)


@settings(max_examples=60, deadline=None)
@given(st.data(), worlds.clusters(), st.lists(worlds.shapes, min_size=1, max_size=3))
def test_counting_existing_pods_at_once_equals_placing_them_singly(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape]
) -> None:
    residents = {record.name: data.draw(st.lists(st.sampled_from(shapes), max_size=4)) for record in records}
    counted = Simulation.of(records, {name: [pod(s) for s in on] for name, on in residents.items()})
    nodes = [ReferenceNode.of(record) for record in records]
    for each in nodes:
        each.pods += residents[each.name]
    Twin(counted, nodes).agree_on(shapes)


@settings(max_examples=60, deadline=None)
@given(st.data(), worlds.clusters(), worlds.shapes)
def test_the_order_of_nodes_changes_no_verdict(
    data: st.DataObject, records: list[NodeRecord], one: PodShape
) -> None:
    shuffled = data.draw(st.permutations(records))
    straight, mixed = Simulation.of(records, {}), Simulation.of(shuffled, {})
    for record in records:
        here, there = straight.index(record.name), mixed.index(record.name)
        assert straight.misfit(one, here) == mixed.misfit(one, there)
        assert straight.room(one)[here] == mixed.room(one)[there]


@pytest.mark.parametrize(
    ("phase", "left"),
    [
        (PodPhase.RUNNING, 3000),
        (PodPhase.PENDING, 3000),
        (PodPhase.UNKNOWN, 3000),
        (PodPhase.SUCCEEDED, 4000),
        (PodPhase.FAILED, 4000),
    ],
)
def test_only_finished_pods_do_not_count(phase: PodPhase, left: int) -> None:
    simulation = Simulation.of([node("a")], {"a": [pod(shape({"cpu": 1000}), phase)]})
    assert simulation.free("cpu").tolist() == [left]


def test_pods_on_nodes_that_are_not_there_are_left_out() -> None:
    simulation = Simulation.of([node("a")], {"gone": [pod(shape({"cpu": 1000}))]})
    assert simulation.free("cpu").tolist() == [4000]


def test_a_shape_that_is_not_modelled_fits_nowhere_but_counts_where_it_is() -> None:
    device = shape({"cpu": 3000}, unmodelled=(Unmodelled.RESOURCE_CLAIMS,))
    simulation = Simulation.of([node("a")], {})
    assert simulation.place(device, 1).placed == 0
    simulation.place_on(device, 0)
    assert simulation.free("cpu").tolist() == [1000]


def test_a_withdrawn_node_takes_no_pods_and_keeps_its_own() -> None:
    simulation = Simulation.of([node("a"), node("b")], {"a": [pod(shape({"cpu": 1000}))]})
    simulation.withdraw(0)
    assert simulation.place(shape({"cpu": 1}), 2).indices.tolist() == [1]
    assert simulation.free("cpu").tolist() == [3000, 3998]
    assert simulation.withdrawn.tolist() == [True, False]


def test_a_host_port_is_taken_once_per_node() -> None:
    web = shape(host_ports=(HostPort("TCP", "0.0.0.0", 80),))
    simulation = Simulation.of([node("a"), node("b"), node("c")], {"b": [pod(web)]})
    assert simulation.place(web, 5).indices.tolist() == [0, 2]


def test_a_host_port_is_free_when_the_last_pod_that_has_it_leaves() -> None:
    web = shape(host_ports=(HostPort("TCP", "0.0.0.0", 80),))
    simulation = Simulation.of([node("a")], {"a": [pod(web), pod(web)]})
    simulation.remove(web, 0)
    assert simulation.feasible(web).tolist() == [False]
    simulation.remove(web, 0)
    assert simulation.feasible(web).tolist() == [True]


def test_a_request_for_nothing_passes_on_an_overcommitted_node() -> None:
    simulation = Simulation.of([node("a", {"cpu": 1000, "pods": 10})], {"a": [pod(shape({"cpu": 5000}))]})
    assert simulation.feasible(shape()).tolist() == [True]
    assert simulation.room(shape()).tolist() == [9]
    assert simulation.feasible(shape({"cpu": 1})).tolist() == [False]


def test_absurd_amounts_saturate_instead_of_wrapping_around() -> None:
    absurd = shape({"memory": 2**63 - 1})
    endless = {"memory": 2**63 - 1, "pods": 10_000}
    simulation = Simulation.of([node("a", endless)], {"a": [pod(absurd)] * 1000})
    assert simulation.free("memory")[0] < -(2**60)
    assert not simulation.feasible(shape({"memory": 1})).any()
    assert not simulation.feasible(absurd).any()
    simulation.remove(absurd, 0, 1000)
    assert simulation.free("memory").tolist() == [LARGEST_AMOUNT - 1]


def test_an_unknown_node_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Simulation.of([node("a")], {}).index("b")
