"""Arrays give the verdicts of the plain reference implementation, whatever was placed, removed, added or forked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.records import NodeRecord, PodPhase
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import HostPort, PodShape, SpreadConstraint, Unmodelled
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.nodes.resources import LARGEST_AMOUNT
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling import societies, worlds
from tests.unit.scheduling.build import node, pod, shape
from tests.unit.scheduling.reference import ReferenceNode
from tests.unit.scheduling.reference_rules import ReferenceCluster

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Twin:
    """A simulation, and the reference cluster that it must agree with."""

    simulation: Simulation
    cluster: ReferenceCluster

    @classmethod
    def of(cls, records: list[NodeRecord], residents: Residents | None = None) -> Twin:
        """`residents`: (shape, terminating) of the pods on each node, by its name."""
        nodes = [ReferenceNode.of(record) for record in records]
        pods = {
            name: [pod(s, deletion_timestamp=NOON if dying else None) for s, dying in on]
            for name, on in (residents or {}).items()
        }
        for each in nodes:
            here = (residents or {}).get(each.name, [])
            each.pods += [s for s, _ in here]
            each.terminating += [s for s, dying in here if dying]
        simulation = Simulation.of(records, pods, societies.NAMESPACES)
        return cls(simulation, ReferenceCluster(list(nodes), societies.NAMESPACES))

    def fork(self) -> Twin:
        return Twin(self.simulation.fork(), self.cluster.copy())

    def agree_on(self, shapes: list[PodShape]) -> None:
        simulation, cluster = self.simulation, self.cluster
        there = [index for index, node in enumerate(cluster.nodes) if node is not None]
        for each in shapes:
            assert simulation.feasible(each).tolist() == [cluster.takes(each, n) for n in cluster.nodes]
            assert simulation.room(each).tolist() == [cluster.room(each, i) for i in range(simulation.size)]
            for index in there:
                found, node = simulation.misfit(each, index), cluster.nodes[index]
                assert node is not None
                assert (found and found.plugin) == cluster.rejection(each, node)
            rejected = sum(not n.withdrawn and not cluster.takes(each, n) for n in cluster.there)
            assert sum(simulation.misfits(each).values()) == rejected
        for resource in ("pods", *worlds.RESOURCES):
            free = simulation.free(resource)
            assert [free[index] for index in there] == [n.free(resource) for n in cluster.there]


Residents = dict[str, list[tuple[PodShape, bool]]]

STEPS = ("place", "place", "place only", "place on", "remove", "add", "withdraw", "vanish")


def change(twin: Twin, shapes: list[PodShape], fresh: FreshNode, data: st.DataObject) -> None:
    """One random step, done to both."""
    one = data.draw(st.sampled_from(shapes))
    nodes = twin.cluster.nodes
    step = data.draw(st.sampled_from(STEPS))
    if step == "place":
        count = data.draw(st.integers(0, 9))
        placement = twin.simulation.place(one, count)
        singly = [i for i in (twin.cluster.place_one(one) for _ in range(count)) if i is not None]
        assert np.repeat(placement.indices, placement.counts).tolist() == sorted(singly)
        assert placement.placed == len(singly)
    elif step == "add":
        added = twin.simulation.add_nodes(fresh, data.draw(st.integers(0, 2)), prefix="fresh")
        nodes.extend(ReferenceNode.fresh(fresh, twin.simulation.name(index)) for index in added)
    elif nodes:
        change_one_node(twin, one, step, data)


def change_one_node(twin: Twin, one: PodShape, step: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(twin.cluster.nodes) - 1))
    chosen = twin.cluster.nodes[index]
    if chosen is None:
        return
    if step == "place only":
        only = np.arange(len(twin.cluster.nodes)) == index
        room = min(twin.cluster.room(one, index), 2)
        assert twin.simulation.place(one, 2, only=only).placed == room
        chosen.pods += [one] * room
    elif step == "place on":
        twin.simulation.place_on(one, index, 2)
        chosen.pods += [one, one]
    elif step == "withdraw":
        twin.simulation.withdraw(index)
        chosen.withdrawn = True
    elif step == "vanish":
        twin.simulation.vanish(index)
        twin.cluster.nodes[index] = None
    elif chosen.pods:
        leaving = data.draw(st.sampled_from(chosen.pods))
        dying = leaving in chosen.terminating
        twin.simulation.remove(leaving, index, terminating=dying)
        chosen.pods.remove(leaving)
        if dying:
            chosen.terminating.remove(leaving)


def run_story(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape], fresh: FreshNode
) -> None:
    twins = [Twin.of(records, some_residents(data, records, shapes))]
    for _ in range(data.draw(st.integers(0, 8))):
        current = data.draw(st.sampled_from(twins))
        if data.draw(st.booleans()) and len(twins) < 4:
            twins.append(current.fork())
        change(current, shapes, fresh, data)
    # Every fork is looked at last, so that a leak from one into another shows.
    for twin in twins:
        twin.agree_on(shapes)


def some_residents(data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape]) -> Residents:
    pods = st.lists(st.tuples(st.sampled_from(shapes), st.sampled_from((False, False, True))), max_size=3)
    return {record.name: data.draw(pods) for record in records}


@settings(max_examples=120, deadline=None)
@given(st.data(), worlds.clusters(), st.lists(worlds.shapes, min_size=1, max_size=3), worlds.fresh_nodes)
def test_arrays_agree_with_the_reference_through_any_sequence_of_changes(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape], fresh: FreshNode
) -> None:
    run_story(data, records, shapes, fresh)


@settings(max_examples=250, deadline=None)
@given(
    st.data(),
    societies.clusters(),
    st.lists(societies.shapes, min_size=1, max_size=4),
    societies.fresh_nodes,
)
def test_rules_between_pods_agree_with_the_reference_through_any_sequence_of_changes(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape], fresh: FreshNode
) -> None:
    run_story(data, records, shapes, fresh)


@settings(max_examples=60, deadline=None)
@given(st.data(), societies.clusters(), st.lists(societies.shapes, min_size=1, max_size=3))
def test_the_order_of_nodes_and_pods_changes_no_verdict(
    data: st.DataObject, records: list[NodeRecord], shapes: list[PodShape]
) -> None:
    residents = some_residents(data, records, shapes)
    straight = Twin.of(records, residents).simulation
    shuffled = data.draw(st.permutations(records))
    mixed = Twin.of(shuffled, {name: on[::-1] for name, on in residents.items()}).simulation
    for one in shapes:
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


def test_a_fork_that_knows_more_domains_leaves_the_others_as_they_were() -> None:
    """Columns share their book of values: a new value in one fork must not widen the sums of another."""
    app = LabelSelector((LabelRequirement("app", SelectorOperator.IN, ("web",)),))
    spread = (SpreadConstraint("zone", 1, app),)
    web = shape(labels={"app": "web"}, spread=spread)
    simulation = Simulation.of([node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"})], {})
    simulation.place(web, 1)
    fork = simulation.fork()
    fork.add_nodes(FreshNode(labels={"zone": "c"}, allocatable={"pods": 9}), 1, prefix="new")
    assert fork.feasible(web).tolist() == [False, True, True]
    simulation.vanish(0)
    assert simulation.feasible(web).tolist() == [False, True]
