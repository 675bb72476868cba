"""Each filter's rules as a table, and what its noes say to users."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.cluster.records import NodeRecord
from springtide.cluster.shape import HostPort, NodeSelectorTerm, PodShape, Toleration, Unmodelled
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.nodes.labels import parse_integer
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin
from tests.unit.scheduling.build import node, pod, shape, taint, term


def misfit(one: PodShape, on: NodeRecord, *residents: PodShape) -> Misfit | None:
    return Simulation.of([on], {on.name: [pod(each) for each in residents]}).misfit(one, 0)


def test_filters_stand_in_the_schedulers_order() -> None:
    before, after = FILTERS[:4], FILTERS[4:]
    assert [each.plugin for each in before] == [
        Plugin.VOLUME_RESTRICTIONS,
        Plugin.VOLUME_BINDING,
        Plugin.VOLUME_ZONE,
        Plugin.NODE_AFFINITY,
    ]
    assert [each.plugin for each in after] == list(Plugin)


@pytest.mark.parametrize(
    ("taints", "toleration", "subject"),
    [
        ("a=b:NoSchedule", None, "a=b:NoSchedule"),
        ("a:NoExecute", None, "a:NoExecute"),
        ("a=b:PreferNoSchedule", None, None),
        ("a=b:NoSchedule", Toleration(key="a", value="b"), None),
        ("a=b:NoSchedule", Toleration(key="a", value="c"), "a=b:NoSchedule"),
        ("a=b:NoSchedule", Toleration(key="a", operator="Exists"), None),
        ("a=b:NoSchedule", Toleration(key="a", operator="Exists", effect="NoExecute"), "a=b:NoSchedule"),
        ("a=b:NoSchedule", Toleration(key="A", operator="Exists"), "a=b:NoSchedule"),
        ("a=b:NoSchedule", Toleration(operator="Exists"), None),
        ("a=5:NoSchedule", Toleration(key="a", operator="Gt", value="3"), "a=5:NoSchedule"),
        ("a:NoSchedule b:NoSchedule", Toleration(key="a", operator="Exists"), "b:NoSchedule"),
    ],
)
def test_taints(taints: str, toleration: Toleration | None, subject: str | None) -> None:
    tainted = node("n", taints=tuple(taint(text) for text in taints.split()))
    found = misfit(shape(tolerations=(toleration,) if toleration else ()), tainted)
    assert found == (Misfit(Plugin.TAINT_TOLERATION, subject=subject) if subject else None)


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        (None, False),
        (Toleration(key="node.kubernetes.io/unschedulable", operator="Exists"), True),
        (Toleration(key="node.kubernetes.io/unschedulable", operator="Exists", effect="NoSchedule"), True),
        (Toleration(key="node.kubernetes.io/unschedulable", operator="Exists", effect="NoExecute"), False),
        (Toleration(operator="Exists"), True),
    ],
)
def test_cordoned_nodes(toleration: Toleration | None, fits: bool) -> None:
    found = misfit(shape(tolerations=(toleration,) if toleration else ()), node("n", unschedulable=True))
    assert found == (None if fits else Misfit(Plugin.NODE_UNSCHEDULABLE))


NO_TERMS: tuple[NodeSelectorTerm, ...] = ()
LABELS = {"zone": "a", "gen": "007", "odd": "1.5", "empty": ""}


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        (NO_TERMS, False),
        ((term(),), False),
        ((term(), term("zone Exists")), True),
        ((term("zone In a,b"),), True),
        ((term("zone In b"),), False),
        ((term("zone In b"), term("gen Exists")), True),
        ((term("zone In a", "gen DoesNotExist"),), False),
        ((term("rack NotIn a"),), True),
        ((term("zone NotIn a"),), False),
        ((term("rack DoesNotExist"),), True),
        ((term("empty Exists"),), True),
        ((term("gen Gt 6"),), True),
        ((term("gen Gt 7"),), False),
        ((term("gen Lt 8"),), True),
        ((term("odd Gt 0"),), False),
        ((term("odd Lt 9"),), False),
        ((term("rack Lt 9"),), False),
        ((term("gen Gt x"),), False),
        ((term(fields=("metadata.name In n",)),), True),
        ((term(fields=("metadata.name In m",)),), False),
        ((term(fields=("metadata.name NotIn n",)),), False),
        ((term(fields=("metadata.name NotIn m",)),), True),
        ((term("zone In b", fields=("metadata.name In n",)),), False),
        ((term(fields=("metadata.name In m",)), term("zone In a")), True),
        ((term(fields=("metadata.uid In n",)),), False),
    ],
)
def test_node_affinity(terms: tuple[NodeSelectorTerm, ...], fits: bool) -> None:
    found = misfit(shape(node_affinity=terms), node("n", labels=LABELS))
    assert (found is None) == fits
    assert found is None or found.plugin is Plugin.NODE_AFFINITY


def test_terms_that_all_name_nodes_speak_before_every_other_filter() -> None:
    by_field = shape(node_affinity=(term(fields=("metadata.name In m",)),))
    by_label = shape(node_affinity=(term("kubernetes.io/hostname In m"),))
    cordoned = node("n", unschedulable=True)
    assert misfit(by_field, cordoned) == Misfit(Plugin.NODE_AFFINITY, subject="metadata.name in (m)")
    assert misfit(by_label, cordoned) == Misfit(Plugin.NODE_UNSCHEDULABLE)


@pytest.mark.parametrize(
    ("constraint", "subject"),
    [
        ({"node_selector": {"disk": "ssd", "arch": "arm64"}}, "arch=arm64"),
        ({"node_affinity": (term("zone In b,c", "disk Exists"),)}, "zone in (b, c), disk"),
        ({"node_affinity": (term("zone NotIn a"), term("gen Gt 9"))}, "zone notin (a) or gen > 9"),
        ({"node_affinity": (term("zone DoesNotExist"),)}, "!zone"),
        ({"node_affinity": (term(),)}, "(an empty term)"),
        ({"node_affinity": ()}, "(no term)"),
    ],
)
def test_what_is_said_of_node_affinity(constraint: dict[str, Any], subject: str) -> None:
    assert misfit(shape(**constraint), node("n", labels=LABELS)) == Misfit(
        Plugin.NODE_AFFINITY, subject=subject
    )


def test_a_hundred_terms_are_said_in_few_words() -> None:
    terms = tuple(term(f"zone In {'x' * 60}") for _ in range(100))
    found = misfit(shape(node_affinity=terms), node("n"))
    assert found is not None
    assert len(found.subject) == 200


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("007", 7),
        ("+7", 7),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("1.5", None),
        ("v7", None),
        ("", None),
        (" 7", None),
        ("1_000", None),
        ("٧", None),
        ("9" * 5000, None),
        ("0" * 62 + "7", 7),
    ],
)
def test_integers_are_read_as_the_scheduler_reads_them(text: str, number: int | None) -> None:
    assert parse_integer(text) == number


@pytest.mark.parametrize(
    ("wanted", "taken", "subject"),
    [
        (("TCP", "", 80), ("TCP", "0.0.0.0", 80), "80/TCP"),
        (("TCP", "10.0.0.1", 80), ("TCP", "0.0.0.0", 80), "10.0.0.1:80/TCP"),
        (("TCP", "0.0.0.0", 80), ("TCP", "10.0.0.1", 80), "80/TCP"),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.1", 80), "10.0.0.1:80/TCP"),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.2", 80), None),
        (("TCP", "::", 80), ("TCP", "10.0.0.1", 80), None),
        (("TCP", "::", 80), ("TCP", "::1", 80), None),
        (("TCP", "::", 80), ("TCP", "0.0.0.0", 80), "[::]:80/TCP"),
        (("UDP", "", 80), ("TCP", "", 80), None),
        (("TCP", "", 81), ("TCP", "", 80), None),
    ],
)
def test_host_ports(wanted: tuple[str, str, int], taken: tuple[str, str, int], subject: str | None) -> None:
    found = misfit(shape(host_ports=(HostPort(*wanted),)), node("n"), shape(host_ports=(HostPort(*taken),)))
    assert found == (Misfit(Plugin.NODE_PORTS, subject=subject) if subject else None)


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ({"cpu": 4000}, None),
        ({"cpu": 4001}, Misfit(Plugin.NODE_RESOURCES_FIT, "cpu", 4001, 4000)),
        ({"memory": 11, "cpu": 4001}, Misfit(Plugin.NODE_RESOURCES_FIT, "cpu", 4001, 4000)),
        ({"z.io/x": 1, "a.io/x": 1}, Misfit(Plugin.NODE_RESOURCES_FIT, "a.io/x", 1, 0)),
        ({"hugepages-2Mi": 1}, Misfit(Plugin.NODE_RESOURCES_FIT, "hugepages-2Mi", 1, 0)),
    ],
)
def test_resources(requests: dict[str, int], expected: Misfit | None) -> None:
    assert misfit(shape(requests), node("n", {"cpu": 4000, "memory": 10, "pods": 1})) == expected


@pytest.mark.parametrize(("allowed", "free"), [({"pods": 1}, 0), ({}, -1)])
def test_the_number_of_pods_is_always_limited(allowed: dict[str, int], free: int) -> None:
    found = misfit(shape(), node("n", allowed), shape())
    assert found == Misfit(Plugin.NODE_RESOURCES_FIT, "pods", 1, free)


def test_a_pod_that_names_its_node_goes_nowhere_else() -> None:
    assert misfit(shape(required_node_name="n"), node("n")) is None
    assert misfit(shape(required_node_name="m"), node("n")) == Misfit(Plugin.NODE_NAME, subject="m")


def test_what_is_not_modelled_is_named_last() -> None:
    claims = (Unmodelled.RESOURCE_CLAIMS,)
    assert misfit(shape(unmodelled=claims), node("n")) == Misfit(Plugin.NOT_MODELLED, "DynamicResources")
    assert misfit(shape({"cpu": 9999}, unmodelled=claims), node("n")) == Misfit(
        Plugin.NODE_RESOURCES_FIT, "cpu", 9999, 4000
    )


def test_the_summary_counts_nodes_per_reason_and_tells_the_largest_free_amount() -> None:
    nodes = [
        node("cordoned", unschedulable=True),
        node("tainted-1", taints=(taint("team=a:NoSchedule"),)),
        node("tainted-2", taints=(taint("soft:PreferNoSchedule"), taint("team=a:NoSchedule"))),
        node("small", {"cpu": 1000, "pods": 9}),
        node("smaller", {"cpu": 500, "pods": 9}),
        node("smallest", {"cpu": 250, "pods": 9}),
        node("fits"),
        node("withdrawn", {"cpu": 1, "pods": 9}),
    ]
    simulation = Simulation.of(nodes, {})
    simulation.withdraw(7)
    assert list(simulation.misfits(shape({"cpu": 2000})).items()) == [
        (Misfit(Plugin.NODE_RESOURCES_FIT, "cpu", 2000, 1000), 3),
        (Misfit(Plugin.TAINT_TOLERATION, "team=a:NoSchedule"), 2),
        (Misfit(Plugin.NODE_UNSCHEDULABLE), 1),
    ]
