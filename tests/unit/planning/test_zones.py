"""Rules over zones: pods of one spread, affinity or anti-affinity are bought for in all zones at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.cluster.groups import FailureClass, NodeGroup, Template
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import Backoff, GroupMemory, Snapshot
from springtide.planning.plan import GroupRefusal, PendingOutcome, Plan
from springtide.planning.planner import plan
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from tests.unit.planning.world import LONG_AGO, NOW, group, node, pod, policy, pool, snapshot, template
from tests.unit.scheduling.arrangement import Place, stranded
from tests.unit.scheduling.companies import app, apps, near, spread

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


def zonal(zone: str, *, cpu: int = 4000, region: str = "r", **labels: str) -> Template:
    return template(cpu=cpu, labels={ZONE: zone, REGION: region, **labels})


def in_zone(zone: str, name: str = "", **fields: Any) -> NodeGroup:
    made_of = fields.pop("made_of", zonal(zone))
    return group(name or f"g-{zone}", made_of=made_of, max_size=fields.pop("max_size", 50), **fields)


def waiting(count: int, of: PodShape) -> list[PodRecord]:
    return [pod(of, unschedulable_since=NOW - timedelta(seconds=1)) for _ in range(count)]


def bought(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


def served(made: Plan) -> dict[str, int]:
    """Group -> pods bought for."""
    return {purchase.group: len(purchase.pods) for purchase in made.purchases}


def left(made: Plan) -> int:
    return sum(len(v.pods) for v in made.pending if v.outcome is PendingOutcome.NO_GROUP)


def why(made: Plan) -> str:
    return next(v.detail for v in made.pending if v.outcome is PendingOutcome.NO_GROUP)


SPREAD = app("web", 1000, spreads=(spread("web", key=ZONE),))
ABC = [in_zone(zone) for zone in "abc"]


def test_one_pass_buys_evenly_in_every_zone() -> None:
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(60, SPREAD)))
    assert bought(made) == {"g-a": 5, "g-b": 5, "g-c": 5}
    assert served(made) == {"g-a": 20, "g-b": 20, "g-c": 20}


def test_remainders_of_many_spreads_rotate() -> None:
    pods = [
        each
        for name in ("s", "t", "u")
        for each in waiting(4, app(name, 1000, spreads=(spread(name, key=ZONE),)))
    ]
    assert bought(plan(snapshot(pool("general", *ABC), waiting=pods))) == {"g-a": 1, "g-b": 1, "g-c": 1}


def test_pools_of_one_zone_each_serve_one_spread_together() -> None:
    made = plan(snapshot(*(pool(f"p-{each.id}", each) for each in ABC), waiting=waiting(12, SPREAD)))
    assert bought(made) == {"g-a": 1, "g-b": 1, "g-c": 1}


def test_zones_with_less_go_first() -> None:
    nodes = [node(f"n-{zone}", labels={ZONE: zone, HOSTNAME_LABEL: f"n-{zone}"}) for zone in "abc"]
    there = {
        "n-a": [pod(SPREAD) for _ in range(4)],
        "n-b": [pod(app("x", 4000))],
        "n-c": [pod(app("x", 4000))],
    }
    groups = [in_zone(zone, nodes=[f"n-{zone}"]) for zone in "abc"]
    made = plan(snapshot(pool("general", *groups), nodes=nodes, pods=there, waiting=waiting(8, SPREAD)))
    assert served(made) == {"g-b": 4, "g-c": 4}


def test_a_zone_that_cannot_grow_keeps_the_others_down_and_is_named() -> None:
    full = [node("n-c", labels={ZONE: "c", HOSTNAME_LABEL: "n-c"})]
    backoff = Backoff(
        until=NOW + timedelta(minutes=5),
        reason=FailureClass.OUT_OF_CAPACITY,
        failures=1,
        last_failure=LONG_AGO,
    )
    groups = [in_zone("a"), in_zone("b"), in_zone("c", nodes=["n-c"])]
    memory = {each.id: GroupMemory(ever_matched=True) for each in groups}
    memory["g-c"] = replace(memory["g-c"], backoff=backoff)
    made = plan(
        snapshot(
            pool("general", *groups, memory=memory),
            nodes=full,
            pods={"n-c": [pod(app("x", 4000))]},
            waiting=waiting(9, SPREAD),
        )
    )
    assert served(made) == {"g-a": 1, "g-b": 1}
    assert left(made) == 7
    assert "zone c cannot grow: group g-c: InBackoff until 12:05:00" in why(made)


@pytest.mark.parametrize(
    ("key", "why_not"),
    [
        (ZONE, "no pod that its affinity asks for is anywhere"),
        (HOSTNAME_LABEL, "no new node will have the pods that its affinity asks for, or room beside them"),
    ],
)
def test_pods_to_be_near_others_that_are_not_there_are_told_so(key: str, why_not: str) -> None:
    lonely = app("web", 1000, affinity=(near("absent", key=key),))
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(2, lonely)))
    (verdict,) = made.pending
    assert made.purchases == ()
    assert {(told.refusal, told.detail) for told in verdict.groups} == {(GroupRefusal.POD_RULES, why_not)}


def test_a_zone_that_does_not_exist_yet_and_could_take_little_is_left_out() -> None:
    groups = [in_zone("a"), in_zone("b"), in_zone("c", made_of=zonal("c", cpu=1000), max_size=1)]
    made = plan(snapshot(pool("general", *groups), waiting=waiting(16, SPREAD)))
    assert served(made) == {"g-a": 8, "g-b": 8}


def test_a_bound_that_zones_share_is_shared() -> None:
    made = plan(snapshot(pool("general", *ABC, max_size=4), waiting=waiting(60, SPREAD)))
    counts = [served(made).get(f"g-{zone}", 0) for zone in "abc"]
    assert sum(bought(made).values()) <= 4
    assert max(counts) - min(counts) <= 1
    assert sum(counts) >= 12


def test_spreads_over_zone_and_node_at_once() -> None:
    both = app("web", 1000, spreads=(spread("web", key=ZONE), spread("web")))
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(12, both)))
    assert served(made) == {"g-a": 4, "g-b": 4, "g-c": 4}
    assert bought(made) == {"g-a": 1, "g-b": 1, "g-c": 1}


def test_spreads_over_zone_and_region_at_once() -> None:
    both = app("web", 1000, spreads=(spread("web", key=ZONE, max_skew=2), spread("web", key=REGION)))
    groups = [
        in_zone("a", made_of=zonal("a", region="east")),
        in_zone("b", made_of=zonal("b", region="west")),
        in_zone("c", made_of=zonal("c", region="west")),
    ]
    made = plan(snapshot(pool("general", *groups), waiting=waiting(8, both)))
    assert served(made) == {"g-a": 4, "g-b": 2, "g-c": 2}


def test_at_least_so_many_zones() -> None:
    picky = app("web", 1000, spreads=(spread("web", key=ZONE, min_domains=4),))
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(9, picky)))
    assert served(made) == {"g-a": 1, "g-b": 1, "g-c": 1}
    assert "3 domains of minDomains 4" in why(made)


GATHERED = app("db", 1000, affinity=(near("db", key=ZONE),))


def test_pods_that_want_each_other_near_go_to_one_zone_that_holds_them_all() -> None:
    groups = [in_zone("a", max_size=2), in_zone("b", max_size=5)]
    made = plan(snapshot(pool("general", *groups), waiting=waiting(12, GATHERED)))
    assert served(made) == {"g-b": 12}


def test_they_go_where_the_others_are() -> None:
    nodes = [node("n-c", labels={ZONE: "c", HOSTNAME_LABEL: "n-c"})]
    there = {"n-c": [pod(GATHERED), pod(app("x", 3000))]}
    groups = [in_zone("a"), in_zone("b"), in_zone("c", nodes=["n-c"])]
    made = plan(snapshot(pool("general", *groups), nodes=nodes, pods=there, waiting=waiting(6, GATHERED)))
    assert served(made) == {"g-c": 6}


def test_the_zone_of_the_better_offer_is_chosen() -> None:
    groups = [in_zone("a", made_of=zonal("a", cpu=64000)), in_zone("b")]
    made = plan(
        snapshot(
            pool("general", *groups),
            waiting=waiting(4, GATHERED),
            policies=[policy(expanders=["least-waste"])],
        )
    )
    assert served(made) == {"g-b": 4}


def test_pods_come_near_pods_that_pend_with_them() -> None:
    follower = app("web", 1000, affinity=(near("db", key=ZONE),))
    plain = app("db", 4000)
    made = plan(snapshot(pool("general", *ABC), waiting=[*waiting(3, follower), *waiting(1, plain)]))
    assert sum(served(made).values()) == 4
    assert len(made.purchases) == 1


def test_nothing_is_bought_for_pods_that_want_near_what_is_nowhere() -> None:
    follower = app("web", 1000, affinity=(near("db", key=ZONE),))
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(3, follower)))
    assert not made.purchases
    assert left(made) == 3


def test_pods_that_repel_each_other_get_a_zone_each() -> None:
    lonely = app("web", 1000, anti=(near("web", key=ZONE),))
    made = plan(snapshot(pool("general", *ABC), waiting=waiting(5, lonely)))
    assert served(made) == {"g-a": 1, "g-b": 1, "g-c": 1}
    assert left(made) == 2


def test_pods_that_repel_others_share_no_zone_with_them() -> None:
    tyrant, victim = app("t", 1000, anti=(near("v", key=ZONE),)), app("v", 1000)
    made = plan(snapshot(pool("general", *ABC[:2]), waiting=[*waiting(3, tyrant), *waiting(3, victim)]))
    zones = {
        purchase.group: {each.shape.labels["app"] for each in purchase.pods} for purchase in made.purchases
    }
    assert sorted(map(sorted, zones.values())) == [["t"], ["v"]]
    assert sum(served(made).values()) == 6


def test_of_a_group_over_several_zones_the_cloud_picks_the_zone() -> None:
    wide = replace(group("wide"), zones=("a", "b"))
    made = plan(snapshot(pool("general", wide), waiting=waiting(6, SPREAD)))
    assert not made.purchases
    assert why(made) == "the cloud picks the zone: group wide spans a, b; use one group for each zone"


def test_plain_pods_fill_up_and_keep_zones_even() -> None:
    pods = [*waiting(6, SPREAD), *waiting(30, app("plain", 1000))]
    made = plan(snapshot(pool("general", *ABC), waiting=pods))
    assert bought(made) == {"g-a": 3, "g-b": 3, "g-c": 3}


# --- the second opinion ------------------------------------------------------------------------------------------


def arrangement(made: Plan, world: Snapshot) -> list[Place]:
    """The cluster and the bought nodes, each with the pods that it was bought for."""
    groups = {each.id: each for pool_ in world.pools for each in pool_.groups}
    running = world.picture.pods_by_node
    places = [
        Place(each.labels, each.allocatable, [p.shape for p in running.get(each.name, ())])
        for each in world.picture.nodes
    ]
    for purchase in made.purchases:
        made_of = groups[purchase.group].template
        assert made_of is not None
        pods = iter(purchase.pods)
        for number, count in enumerate(purchase.fills):
            labels = {**made_of.labels, HOSTNAME_LABEL: f"{purchase.group}-{number}"}
            planned = [each.shape for each in islice(pods, count)]
            places.append(Place(labels, made_of.allocatable, planned=planned))
    return places


@st.composite
def worlds(draw: st.DrawFn, *keys: str) -> Snapshot:
    """A group for each zone, some with a full node; pods with rules over these keys."""
    zones = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    groups: list[NodeGroup] = []
    nodes = []
    running: dict[str, Sequence[PodRecord]] = {}
    for zone in zones:
        names = [f"n-{zone}"] if draw(st.booleans()) else []
        most, made_of = draw(st.integers(0, 6)), zonal(zone, cpu=10)
        groups.append(in_zone(zone, nodes=names, max_size=most, made_of=made_of))
        for name in names:
            labels = {ZONE: zone, HOSTNAME_LABEL: name}
            nodes.append(node(name, labels=labels, allocatable={"cpu": 10, "memory": 10, "pods": 110}))
            running[name] = [pod(each) for each in (app("x", 10), *draw(st.lists(idle_apps, max_size=2)))]
    shapes = draw(st.lists(apps(*keys, sane=len(keys) > 1), min_size=1, max_size=4))
    if len(keys) > 1:
        # Of one app with different rules each may have to come first: then no order will do.
        shapes = list({each.labels["app"]: each for each in shapes}.values())
    # Two that want each other near, each by another key, wait for each other forever, in the scheduler, too.
    # And who is wanted by others in a zone is bought for first, not knowing of the nodes that those will bring.
    followers = [each for each in shapes if each.pod_affinity]
    over_nodes = any(each.topology_key == HOSTNAME_LABEL for shape in shapes for each in shape.spread)
    shapes = [each for each in shapes if each not in followers[not over_nodes :]] or [app("a")]
    pods = [each for shape in shapes for each in waiting(draw(st.integers(1, 9)), shape)]
    max_size = draw(st.one_of(st.none(), st.integers(1, 8)))
    return snapshot(pool("general", *groups, max_size=max_size), nodes=nodes, pods=running, waiting=pods)


idle_apps = st.builds(app, st.sampled_from(("a", "b", "c")), st.just(0))


@pytest.mark.parametrize("keys", [(ZONE,), (ZONE, HOSTNAME_LABEL)], ids=["zones", "zones and nodes"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whoever_is_bought_for_can_be_bound_where_it_was_planned(
    keys: tuple[str, ...], data: st.DataObject
) -> None:
    world = data.draw(worlds(*keys))
    made = plan(world)
    assert stranded(arrangement(made, world)) == []
    times = Counter(each.uid for purchase in made.purchases for each in purchase.pods)
    assert not [uid for uid, count in times.items() if count > 1]
    assert all(0 not in purchase.fills for purchase in made.purchases)
