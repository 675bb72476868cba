"""A zone that fails: nothing is removed anywhere, and nothing is bought there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from springtide.cluster.degradation import DegradedMode
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import Snapshot
from springtide.planning.groups.outages import outages
from springtide.planning.groups.readiness import assess
from springtide.planning.plan import BlockReason
from springtide.planning.planner import plan
from tests.unit.planning.world import ago, group, node, pending, pool, shape, snapshot

ZONE = "topology.kubernetes.io/zone"


def nodes_of(
    zone: str, *, ready: int, unready: int = 0, young: int = 0, label: str = ZONE
) -> list[NodeRecord]:
    """`young`: nodes that never were ready."""
    labels = {label: zone} if zone else {}
    sick = {"ready": False, "ready_changed_at": ago(minutes=2)}
    made = [node(f"{zone}-r{number}", labels=labels) for number in range(ready)]
    made += [node(f"{zone}-u{number}", labels=labels, **sick) for number in range(unready)]
    return made + [
        node(
            f"{zone}-y{n}",
            labels=labels,
            ready=False,
            ready_changed_at=ago(minutes=1),
            created_at=ago(minutes=1),
        )
        for n in range(young)
    ]


def world(zones: Mapping[str, list[NodeRecord]], *, waiting: int = 0) -> Snapshot:
    """A group in each zone."""
    made = [
        replace(group(f"asg-{zone}", nodes=[each.name for each in nodes]), zones=(zone,))
        for zone, nodes in zones.items()
    ]
    pods = pending(waiting, shape(3000))
    return snapshot(
        pool("general", *made), nodes=[each for nodes in zones.values() for each in nodes], waiting=pods
    )


@pytest.mark.parametrize(
    ("zone", "fails"),
    [
        pytest.param(nodes_of("a", ready=0, unready=3), True, id="all three nodes"),
        pytest.param(nodes_of("a", ready=0, unready=2), False, id="two are their own fault"),
        pytest.param(nodes_of("a", ready=4, unready=5), True, id="55 of 100"),
        pytest.param(nodes_of("a", ready=46, unready=54), False, id="54 of 100"),
        pytest.param(nodes_of("a", ready=45, unready=55), True, id="55 of 100 exactly"),
        pytest.param(nodes_of("a", ready=1, young=5), False, id="nodes that never came up say nothing"),
        pytest.param(nodes_of("", ready=0, unready=5), False, id="nodes whose zone nobody knows"),
        pytest.param(
            nodes_of("a", ready=0, unready=3, label="failure-domain.beta.kubernetes.io/zone"),
            True,
            id="by the label of old releases",
        ),
    ],
)
def test_when_a_zone_counts_as_failed(zone: list[NodeRecord], fails: bool) -> None:
    nodes = [*zone, *nodes_of("b", ready=5)]
    assert bool(outages(nodes, assess(snapshot(nodes=nodes)))) is fails


def test_where_all_zones_fail_it_is_no_zones_fault() -> None:
    nodes = [*nodes_of("a", ready=0, unready=5), *nodes_of("b", ready=0, unready=5)]
    seen = snapshot(nodes=nodes)
    assert outages(nodes, assess(seen)) == {}
    assert not plan(seen).cluster_healthy


HALF = {"a": nodes_of("a", ready=0, unready=5), "b": nodes_of("b", ready=5)}


def test_half_of_the_nodes_at_once_and_pods_get_nodes_in_the_other_zone() -> None:
    made = plan(world(HALF, waiting=12))
    assert made.cluster_healthy
    assert {purchase.group for purchase in made.purchases} == {"asg-b"}


def test_then_nothing_is_removed_and_no_timer_runs() -> None:
    long_ago = {each.name: ago(hours=3) for nodes in HALF.values() for each in nodes}
    made = plan(replace(world(HALF), unneeded_since=long_ago))
    assert made.removals == ()
    assert {verdict.block for verdict in made.nodes.values()} == {BlockReason.FORBIDDEN}
    assert all(verdict.unneeded_since is None for verdict in made.nodes.values())


def test_without_the_outage_the_same_nodes_would_go() -> None:
    well = {"a": nodes_of("a", ready=5), "b": nodes_of("b", ready=5)}
    long_ago = {each.name: ago(hours=3) for nodes in well.values() for each in nodes}
    assert plan(replace(world(well), unneeded_since=long_ago)).removals


def test_the_plan_says_so() -> None:
    (told,) = plan(world(HALF)).degradations
    assert told.mode is DegradedMode.ZONE_OUTAGE
    assert told.message.startswith("5 of 5 nodes of zone a are unready")


def test_a_group_over_both_zones_may_still_be_bought_from() -> None:
    seen = world(HALF, waiting=12)
    (view,) = seen.pools
    both = tuple(replace(each, zones=("a", "b")) for each in view.groups)
    assert plan(replace(seen, pools=(replace(view, groups=both),))).purchases
