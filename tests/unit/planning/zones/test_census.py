"""The census: what pods that are there mean for rules between pods."""

from __future__ import annotations

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.planning.zones.census import PodCensus
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.packing.rules import Floor
from springtide.scheduling.relations.questions import affinity_question
from springtide.scheduling.simulation import Simulation
from tests.unit.scheduling.build import node, pod
from tests.unit.scheduling.companies import app, near, spread

ZONE = "zone"
WEB = app("web", spreads=(spread("web", key=ZONE), spread("web")))
TYRANT = app("tyrant", anti=(near("web", key=ZONE),))


def at(name: str, **labels: str) -> NodeRecord:
    return node(name, labels={HOSTNAME_LABEL: name, **labels})


def census_of(nodes: list[NodeRecord], pods: dict[str, list[PodRecord]]) -> PodCensus:
    return PodCensus(Simulation.of(nodes, pods))


CENSUS = census_of(
    [at("a1", zone="a"), at("a2", zone="a"), at("b1", zone="b"), at("nowhere")],
    {"a1": [pod(WEB), pod(WEB)], "a2": [pod(WEB)], "b1": [pod(TYRANT)]},
)


def test_domains_of_a_spread_are_those_of_eligible_nodes() -> None:
    assert CENSUS.spread(WEB, WEB.spread[0]) == {"a": 3, "b": 0}


def test_the_floor_is_the_emptiest_eligible_node() -> None:
    assert CENSUS.floor(WEB.spread[1], WEB) == Floor(least=0, domains=3)
    only_a = app("web", spreads=WEB.spread)
    only_a = type(only_a)(**{**vars(only_a), "node_selector": {ZONE: "a"}})
    assert CENSUS.floor(only_a.spread[1], only_a) == Floor(least=1, domains=2)


def test_of_no_nodes_there_is_no_floor() -> None:
    assert census_of([], {}).floor(WEB.spread[1], WEB) == Floor()


def test_company_is_counted_where_it_is() -> None:
    question = affinity_question(app("x", affinity=(near("web", key=ZONE),)))
    assert question is not None
    assert CENSUS.near(question, ZONE) == {"a": 3}
    assert CENSUS.has_any(question)


def test_running_pods_keep_others_out_of_their_domains() -> None:
    assert CENSUS.repelling(WEB) == {ZONE: frozenset({"b"})}
    assert CENSUS.repelling(TYRANT) == {}
