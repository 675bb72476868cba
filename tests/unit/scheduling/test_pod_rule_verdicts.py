"""Verdicts of PodTopologySpread and InterPodAffinity: the rule that is broken, and the numbers behind it."""

from __future__ import annotations

import pytest

from springtide.cluster.records import NodeRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.nominated import feasible_beside_nominated, misfit_beside_nominated
from springtide.scheduling.objections import objections, rejections
from springtide.scheduling.relations.selector_text import selector_text
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin, PodRule
from tests.unit.scheduling.build import node, pod, shape

ZONE = "zone"


def requirement(key: str, *values: str, operator: str = "In") -> LabelRequirement:
    return LabelRequirement(key, SelectorOperator(operator), values)


WEB = LabelSelector((requirement("app", "web"),))
NEAR_WEB = (PodAffinityTerm(ZONE, WEB, ("default",)),)
PLAIN = shape(labels={"app": "web"})
SPREAD = shape(labels={"app": "web"}, spread=(SpreadConstraint(ZONE, 1, WEB),))
SHY = shape(pod_anti_affinity=NEAR_WEB)
CLINGY = shape(pod_affinity=NEAR_WEB)


def zones(names: str) -> list[NodeRecord]:
    """A node for each letter in the zone of that name; "-" has none."""
    return [node(f"n{i}", labels={} if zone == "-" else {ZONE: zone}) for i, zone in enumerate(names)]


def of(names: str, **pods: list[PodShape]) -> Simulation:
    return Simulation.of(zones(names), {name: [pod(each) for each in on] for name, on in pods.items()})


def between(plugin: Plugin, rule: PodRule, domain: str = "", matching: int = 0, **numbers: int) -> Misfit:
    return Misfit(
        plugin, "app=web", rule=rule, topology_key=ZONE, domain=domain, matching=matching, **numbers
    )


SPREADING, AFFINITY = Plugin.POD_TOPOLOGY_SPREAD, Plugin.INTER_POD_AFFINITY


@pytest.mark.parametrize(
    ("simulation", "one", "found"),
    [
        pytest.param(
            of("ab", n0=[PLAIN] * 3, n1=[PLAIN]),
            SPREAD,
            between(SPREADING, PodRule.SKEW, "a", 3, minimum=1, skew=3, max_skew=1),
            id="the skew would be too large",
        ),
        pytest.param(of("-a"), SPREAD, between(SPREADING, PodRule.NO_TOPOLOGY), id="no zone to spread over"),
        pytest.param(of("ab", n1=[PLAIN]), CLINGY, between(AFFINITY, PodRule.AFFINITY, "a"), id="friends elsewhere"),
        pytest.param(of("-a", n1=[PLAIN]), CLINGY, between(AFFINITY, PodRule.NO_TOPOLOGY), id="no zone to share"),
        pytest.param(
            of("aa", n1=[PLAIN] * 2), SHY, between(AFFINITY, PodRule.ANTI_AFFINITY, "a", 2), id="shy of two"
        ),
        pytest.param(of("aa", n1=[SHY]), PLAIN, between(AFFINITY, PodRule.REPELLED, "a", 1), id="kept away by one"),
        pytest.param(of("--", n1=[PLAIN]), SHY, None, id="nobody is near where there is no zone"),
        pytest.param(of("a"), shape(labels={"app": "web"}, pod_affinity=NEAR_WEB), None, id="the first of its kind"),
    ],
)  # fmt: skip
def test_the_verdict_on_the_first_node(simulation: Simulation, one: PodShape, found: Misfit | None) -> None:
    assert simulation.misfit(one, 0) == found


def test_the_summary_tells_the_domain_that_is_nearest_to_fitting() -> None:
    simulation = of("aabc", n0=[PLAIN] * 5, n2=[PLAIN] * 3, n3=[PLAIN])
    simulation.withdraw(3)
    assert simulation.misfits(SPREAD) == {
        between(SPREADING, PodRule.SKEW, "b", 3, minimum=1, skew=3, max_skew=1): 3
    }


def test_a_withdrawn_node_counts_and_one_that_has_vanished_does_not() -> None:
    simulation = of("ab", n0=[PLAIN])
    simulation.withdraw(1)
    assert simulation.feasible(SPREAD).tolist() == [False, False]
    assert simulation.without([1]).feasible(SPREAD).tolist() == [True, False]
    assert simulation.feasible(SPREAD).tolist() == [False, False]


def test_pods_of_a_node_that_has_vanished_are_nobodys_neighbours() -> None:
    simulation = of("aa", n1=[PLAIN, SHY])
    rest = simulation.without([1])
    assert (rest.misfit(SHY, 0), rest.misfit(PLAIN, 0)) == (None, None)
    rest.remove(PLAIN, 1)
    assert rest.misfit(SHY, 0) is None


@pytest.mark.parametrize(
    ("coming", "one", "fits"),
    [
        pytest.param(shape({"cpu": 3000}, priority=5), shape({"cpu": 2000}), [False, True], id="room is promised"),
        pytest.param(shape({"cpu": 3000}, priority=-5), shape({"cpu": 2000}), [True, True], id="to others later"),
        pytest.param(PLAIN, SHY, [False, True], id="a neighbour to come keeps out"),
        pytest.param(PLAIN, CLINGY, [False, False], id="and does not draw in, for it may not come"),
        pytest.param(SHY, PLAIN, [True, True], id="the scheduler has no ear for what only a nominated pod minds"),
    ],
)  # fmt: skip
def test_a_node_must_fit_with_its_nominated_pods_and_without(
    coming: PodShape, one: PodShape, fits: list[bool]
) -> None:
    simulation, nominated = of("ab"), {0: [coming]}
    assert feasible_beside_nominated(simulation, one, nominated).tolist() == fits
    assert [misfit_beside_nominated(simulation, one, i, nominated) is None for i in (0, 1)] == fits


def test_nominated_pods_elsewhere_do_not_count() -> None:
    simulation = of("ab", n0=[PLAIN])
    assert misfit_beside_nominated(simulation, SPREAD, 0, {1: [SPREAD]}) is not None


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, "no pod"),
        (LabelSelector(), "every pod"),
        (WEB, "app=web"),
        (LabelSelector((requirement("app", "a", "b"), requirement("old", operator="DoesNotExist"))), "app in (a, b), !old"),
        (LabelSelector((requirement("app", "a", operator="NotIn"), requirement("x", operator="Exists"))), "app!=a, x"),
        (LabelSelector((requirement("app", "a", "b", operator="NotIn"),)), "app notin (a, b)"),
    ],
)  # fmt: skip
def test_selectors_as_users_write_them(selector: LabelSelector | None, text: str) -> None:
    assert selector_text(selector) == text


def test_a_long_selector_is_cut_off() -> None:
    long = LabelSelector((requirement("app", *(f"v{i}" * 20 for i in range(50))),))
    assert len(selector_text(long)) == 200


def test_a_node_that_stands_alone_is_not_asked_where_other_pods_are() -> None:
    alone = of("a")
    clingy = shape({"cpu": 9000}, pod_affinity=NEAR_WEB)
    assert [misfit.plugin for misfit in objections(alone, clingy, 0)] == [Plugin.NODE_RESOURCES_FIT]
    assert rejections(alone, clingy).tolist() == [1]
