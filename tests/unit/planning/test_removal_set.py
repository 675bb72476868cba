"""Which nodes can go together: pods with constraints, budgets shared, and what holds for every set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from springtide.api.settings import ScaleDownSettings
from springtide.cluster.records import DisruptionBudget, NodeRecord, PodPhase, PodRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import HostPort, PodAffinityTerm, PodShape, SpreadConstraint, Toleration
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import BlockReason, Plan
from springtide.planning.planner import plan
from tests.unit.planning.replay import broken_promises, must_move
from tests.unit.planning.world import (
    DAEMON_SET,
    GIB,
    ago,
    group,
    node,
    pod,
    pool,
    resources,
    shape,
    snapshot,
)

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
AT_ONCE = ScaleDownSettings(max_parallel=1000, max_parallel_drain=1000)
_made: dict[tuple[Any, ...], PodShape] = {}


def app(name: str) -> LabelSelector:
    return LabelSelector((LabelRequirement("app", SelectorOperator.IN, (name,)),))


def constrained(name: str = "web", cpu: int = 500, **fields: Any) -> PodShape:
    """A shape labelled app=<name> with constraints. Equal arguments give the same shape."""
    key = (name, cpu, tuple(sorted(fields.items())))
    if key not in _made:
        plain = shape(cpu, GIB // 4, labels={"app": name})
        _made[key] = replace(plain, number=10_000 + len(_made), **fields) if fields else plain
    return _made[key]


def spread(key: str, *, skew: int = 1, of: str = "web", **fields: Any) -> tuple[SpreadConstraint, ...]:
    return (SpreadConstraint(key, skew, app(of), **fields),)


def near(key: str, of: str) -> tuple[PodAffinityTerm, ...]:
    return (PodAffinityTerm(key, app(of), ("default",)),)


def zoned(name: str, zone: str = "a", **fields: Any) -> NodeRecord:
    return node(name, labels={HOST: name, ZONE: zone}, **fields)


def running(*shapes: PodShape, **fields: Any) -> list[PodRecord]:
    return [pod(of, **({"phase": PodPhase.RUNNING} | fields)) for of in shapes]


def world(
    nodes: list[NodeRecord],
    pods: Mapping[str, list[PodRecord]],
    *,
    down: ScaleDownSettings = AT_ONCE,
    min_size: int | None = None,
    **fields: Any,
) -> Snapshot:
    """One pool with a group per zone; every node has been unneeded for an hour if it is."""
    by_zone: dict[str, list[str]] = {}
    for each in nodes:
        by_zone.setdefault(each.labels.get(ZONE, ""), []).append(each.name)
    groups = [group(f"asg-{zone}", nodes=names, max_size=100) for zone, names in sorted(by_zone.items())]
    unneeded = {"unneeded_since": {each.name: ago(hours=1) for each in nodes}}
    return snapshot(
        pool("p", *groups, down=down, min_size=min_size), nodes=nodes, pods=pods, **(unneeded | fields)
    )


def removed(made: Plan) -> list[str]:
    return sorted(removal.node for removal in made.removals)


BUSY = shape(2500)
"""Over the threshold on a node of 4 cpu, with room for 1.5."""

# --- constraints of pods that move -----------------------------------------------------------------------------

WEB = constrained()
ONE_PER_HOST = constrained(pod_anti_affinity=near(HOST, "web"))
SPREAD_OVER_HOSTS = constrained(spread=spread(HOST))
SPREAD_HONORING_TAINTS = constrained(spread=spread(HOST, honors_taints=True))
SPREAD_OVER_ZONES = constrained(spread=spread(ZONE))
TWO_ZONES_AT_LEAST = constrained(spread=spread(ZONE, min_domains=2))
WITH_CACHE = constrained(pod_affinity=near(HOST, "cache"))
CACHE = constrained("cache")
TOLERANT = constrained(spread=spread(HOST, honors_taints=True), tolerations=(Toleration(operator="Exists"),))
ON_PORT = constrained(host_ports=(HostPort("TCP", "0.0.0.0", 80),))


@pytest.mark.parametrize(
    ("leaving", "staying", "goes", "detail"),
    [
        pytest.param(ONE_PER_HOST, [BUSY], True, "", id="anti-affinity, and nobody there"),
        pytest.param(
            ONE_PER_HOST,
            [BUSY, WEB],
            False,
            "InterPodAffinity: must not be near app=web by kubernetes.io/hostname",
            id="anti-affinity to a pod there",
        ),
        pytest.param(
            WEB,
            [BUSY, constrained("db", pod_anti_affinity=near(HOST, "web"))],
            False,
            "InterPodAffinity: a pod there must not be near app=web by kubernetes.io/hostname",
            id="anti-affinity of a pod there",
        ),
        pytest.param(WITH_CACHE, [BUSY, CACHE], True, "", id="affinity, and the peer is there"),
        pytest.param(
            WITH_CACHE,
            [BUSY],
            False,
            "InterPodAffinity: must be near app=cache by kubernetes.io/hostname",
            id="affinity without a peer",
        ),
        pytest.param(
            SPREAD_OVER_HOSTS,
            [BUSY, WEB],
            False,
            "PodTopologySpread: kubernetes.io/hostname=b has 1 of app=web, the fewest are 0, maxSkew 1",
            id="a host without pods counts in the spread until it is gone",
        ),
        pytest.param(SPREAD_HONORING_TAINTS, [BUSY, WEB], True, "", id="unless the spread honours its taint"),
        pytest.param(
            TOLERANT,
            [BUSY, WEB],
            False,
            "PodTopologySpread: kubernetes.io/hostname=b has 1 of app=web, the fewest are 0, maxSkew 1",
            id="which it does not for a pod that tolerates it",
        ),
        pytest.param(SPREAD_OVER_HOSTS, [BUSY], True, "", id="spread, and none there yet"),
        pytest.param(ON_PORT, [BUSY], True, "", id="a free host port"),
        pytest.param(ON_PORT, [BUSY, ON_PORT], False, "NodePorts: 80/TCP", id="a taken host port"),
    ],
)
def test_a_pod_with_constraints_moves_if_it_may(
    leaving: PodShape, staying: list[PodShape], goes: bool, detail: str
) -> None:
    made = plan(world([zoned("a"), zoned("b")], {"a": running(leaving), "b": running(*staying)}))
    assert ("a" in removed(made)) is goes
    if not goes:
        verdict = made.nodes["a"]
        assert verdict.block is BlockReason.NO_PLACE_TO_MOVE_PODS
        assert verdict.detail == f"{detail}, while the removed nodes are still there"


def test_a_zone_that_loses_its_last_node_is_no_domain_any_more() -> None:
    """While the node is there its zone keeps the least at 0: only one more may go to the other zone, which has 0."""
    nodes = [zoned("a", "a"), zoned("b", "b")]
    first = plan(world(nodes, {"a": running(SPREAD_OVER_ZONES), "b": running(BUSY)}))
    assert removed(first) == ["a"]
    second = plan(world(nodes, {"a": running(SPREAD_OVER_ZONES), "b": running(BUSY, SPREAD_OVER_ZONES)}))
    assert removed(second) == []


def test_what_holds_only_while_the_nodes_are_there_does_not_do() -> None:
    nodes = [zoned("a", "a"), zoned("b", "b")]
    pods = {"a": running(TWO_ZONES_AT_LEAST), "b": running(BUSY)}
    made = plan(world(nodes, {**pods, "b": [*pods["b"], *running(WEB)]}))
    assert removed(made) == []
    assert "PodTopologySpread" in made.nodes["a"].detail


def test_a_pod_must_be_near_one_on_a_daemon_of_the_leaving_zone() -> None:
    """The agent that it must share its zone with goes with the last node of the zone."""
    agent = constrained("agent", 100)
    picky = constrained("picky", pod_affinity=near(ZONE, "agent"))
    nodes = [zoned("a", "a"), zoned("b", "b"), zoned("c", "a")]
    pods = {
        "a": [*running(picky), *running(agent, owner=DAEMON_SET)],
        "b": running(BUSY),
        "c": running(BUSY, owner=None),
    }
    made = plan(world(nodes, pods))
    assert removed(made) == []
    assert made.nodes["a"].detail == (
        "InterPodAffinity: must be near app=agent by topology.kubernetes.io/zone, once the removed nodes are gone"
    )


def test_pods_that_must_be_near_each_other_move_together() -> None:
    pods = {"a": running(WITH_CACHE, CACHE), "b": running(BUSY)}
    made = plan(world([zoned("a"), zoned("b")], pods))
    assert removed(made) == ["a"]
    assert set(made.removals[0].destinations.values()) == {"b"}


def test_a_node_that_can_only_go_with_another_stays_with_it() -> None:
    """The cache moves from a to c, and the pod that needs it follows from b. But if a stays it has no place there."""
    nodes = [zoned("a", allocatable=resources() | {"pods": 1}), zoned("b"), zoned("c")]
    pods = {"a": running(CACHE), "b": running(WITH_CACHE), "c": running(BUSY)}
    since = {"a": ago(hours=1), "b": ago(hours=1), "c": ago(hours=1)}
    assert removed(plan(world(nodes, pods, unneeded_since=since))) == ["a", "b"]
    made = plan(world(nodes, pods, unneeded_since=since | {"a": ago(minutes=1)}))
    assert removed(made) == []
    assert made.nodes["b"].unneeded_since == since["b"]
    assert made.nodes["b"].detail == "its pods have places only if other unneeded nodes go, too"


# --- the set ---------------------------------------------------------------------------------------------------


def test_six_tenths_of_equal_nodes_go_at_once() -> None:
    """200 nodes with 40 pods each that hold 100: 120 can go, which is the optimum."""
    res = {"cpu": 10_000, "memory": 10_000, "pods": 100}
    nodes = [node(f"n{i:03}", allocatable=res, capacity=res) for i in range(200)]
    small = shape(100, 100)
    made = plan(world(nodes, {each.name: running(*[small] * 40) for each in nodes}))
    assert len(made.removals) == 120
    assert broken_promises_in_sizes(made, 100) == []


def broken_promises_in_sizes(made: Plan, most: int) -> list[str]:
    received = Counter(target for removal in made.removals for target in removal.destinations.values())
    return [name for name, count in received.items() if count + 40 > most]


def test_what_is_left_of_a_burst_ends_on_as_few_nodes_as_can_be() -> None:
    """300 pods on 33 nodes that hold 31 each: ten nodes are enough."""
    res = {"cpu": 15_500, "memory": 64 * GIB, "pods": 110}
    nodes = [node(f"n{i:02}", allocatable=res, capacity=res) for i in range(33)]
    left = {each.name: running(*[shape(500)] * (4 + (i * 7) % 11)) for i, each in enumerate(nodes)}
    surplus = sum(map(len, left.values())) - 300
    left["n00"] = left["n00"][max(0, surplus) :] if surplus <= len(left["n00"]) else left["n00"]
    pods = sum(map(len, left.values()))
    made = plan(world(nodes, left))
    assert len(nodes) - len(made.removals) == -(-pods // 31)


def test_nodes_that_may_not_go_for_the_minimum_take_no_room_from_those_that_may() -> None:
    """Two of group a could go, but only one may; the room that is left serves the node of group b."""
    nodes = [zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"), zoned("c1", "c")]
    pods = {
        "a1": running(shape(700)),
        "a2": running(shape(700)),
        "b1": running(shape(800)),
        "c1": running(BUSY),
    }
    made_pool = pool(
        "p",
        group("asg-a", nodes=["a1", "a2"], min_size=1),
        group("asg-b", nodes=["b1"]),
        group("asg-c", nodes=["c1"]),
        down=AT_ONCE,
    )
    made = plan(
        snapshot(
            made_pool, nodes=nodes, pods=pods, unneeded_since={each.name: ago(hours=1) for each in nodes}
        )
    )
    assert removed(made) == ["a1", "b1"]


def test_the_set_stays_the_same_while_nothing_changes() -> None:
    nodes = [zoned(f"n{i}", "abc"[i % 3]) for i in range(9)]
    pods = {each.name: running(*[shape(300 + 100 * (i % 4))] * 2) for i, each in enumerate(nodes)}
    first = plan(world(nodes, pods, unneeded_since={}))
    marks = {name: verdict.unneeded_since for name, verdict in first.nodes.items() if verdict.unneeded_since}
    again = plan(world(nodes, pods, unneeded_since=marks))
    assert {name for name, verdict in again.nodes.items() if verdict.unneeded_since} == set(marks)
    assert 0 < len(marks) < 9


# --- budgets ---------------------------------------------------------------------------------------------------


def budget(name: str, allowed: int, of: str = "web") -> DisruptionBudget:
    return DisruptionBudget("default", name, app(of), disruptions_allowed=allowed)


def test_a_pod_under_two_budgets_cannot_be_evicted() -> None:
    pods = {"a": running(WEB), "b": running(BUSY)}
    made = plan(world([zoned("a"), zoned("b")], pods, budgets=[budget("two", 5), budget("one", 5)]))
    assert removed(made) == []
    assert made.nodes["a"].detail == "several PodDisruptionBudgets cover it (one, two): it cannot be evicted"


def test_a_pod_on_its_way_out_asks_for_no_budget() -> None:
    nodes = [zoned("a"), zoned("b"), zoned("c")]
    going = running(WEB, deletion_timestamp=ago(seconds=1))
    made = plan(world(nodes, {"a": going, "b": running(WEB), "c": running(BUSY)}, budgets=[budget("one", 1)]))
    assert removed(made) == ["a", "b"]


# --- whatever the world looks like -----------------------------------------------------------------------------

SHAPES = (
    shape(250, GIB // 4),
    shape(900, GIB),
    shape(1600, GIB // 2),
    WEB,
    CACHE,
    ONE_PER_HOST,
    SPREAD_OVER_HOSTS,
    SPREAD_HONORING_TAINTS,
    SPREAD_OVER_ZONES,
    TWO_ZONES_AT_LEAST,
    WITH_CACHE,
    TOLERANT,
    ON_PORT,
    constrained("cache", spread=spread(ZONE, skew=2, of="cache")),
    constrained("cache", pod_affinity=near(ZONE, "web")),
    constrained("web", pod_affinity=near(ZONE, "web")),
    constrained("db", pod_anti_affinity=near(ZONE, "cache")),
    shape(500, GIB, priority=-20),
)


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    zones = draw(st.lists(st.sampled_from("abc"), min_size=2, max_size=7))
    some = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4, unique=True))
    nodes = [
        zoned(f"n{i}", zone, allocatable=resources(draw(st.sampled_from([2000, 4000]))))
        for i, zone in enumerate(zones)
    ]
    pods = {
        each.name: running(*draw(st.lists(st.sampled_from(some), max_size=4)))
        + (running(constrained("cache", 100), owner=DAEMON_SET) if draw(st.booleans()) else [])
        for each in nodes
    }
    most = draw(st.sampled_from([1, 2, 1000]))
    budgets = [budget("web", draw(st.integers(0, 3)))] if draw(st.booleans()) else []
    since = {each.name: ago(hours=draw(st.sampled_from([1, 1, 0.01]))) for each in nodes}
    return world(
        nodes,
        pods,
        down=ScaleDownSettings(max_parallel=most, max_parallel_drain=most),
        budgets=budgets,
        unneeded_since=since,
        min_size=draw(st.sampled_from([None, None, 2])),
    )


many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(worlds())
def test_every_moved_pod_fits_in_both_views_when_the_removals_are_carried_out_one_by_one(
    made: Snapshot,
) -> None:
    assert broken_promises(made, plan(made)) == []


@many
@given(worlds())
def test_nodes_that_are_drained_together_fit_the_budgets(made: Snapshot) -> None:
    planned = plan(made)
    for each in made.picture.disruption_budgets:
        assert each.selector is not None
        evicted = [
            sum(each.selector.matches(pod.labels) for pod in removal.pods_to_evict)
            for removal in planned.removals
        ]
        touching = [count for count in evicted if count]
        assert not touching or each.disruptions_allowed >= (sum(touching) if len(touching) > 1 else 1)


@many
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_decides_nothing(made: Snapshot, random: Any) -> None:
    pods = list(made.picture.pods_by_node.items())
    random.shuffle(pods)
    shuffled = {name: tuple(random.sample(there, len(there))) for name, there in pods}
    (owner,) = made.pools
    groups = random.sample(owner.groups, len(owner.groups))
    other = replace(
        made,
        picture=replace(made.picture, pods_by_node=shuffled),
        pools=(replace(owner, groups=tuple(groups)),),
    )
    one, two = plan(made), plan(other)
    assert one.nodes == two.nodes
    assert [(r.node, r.destinations) for r in one.removals] == [
        (r.node, r.destinations) for r in two.removals
    ]


@many
@given(worlds())
def test_a_lone_pod_that_is_said_to_have_no_place_has_none(made: Snapshot) -> None:
    """Of nodes that have nothing but one pod that only needs room."""
    planned = plan(made)
    stays = [each for each in made.picture.nodes if each.name not in removed(planned)]
    free = {
        each.name: {
            name: amount
            - sum(pod.shape.requests.get(name, 0) for pod in counting(made.picture.pods_by_node[each.name]))
            for name, amount in each.allocatable.items()
            if name != "pods"
        }
        for each in stays
    }
    by_uid = {pod.uid: pod for removal in planned.removals for pod in must_move(removal)}
    unneeded = {name for name, verdict in planned.nodes.items() if verdict.unneeded_since}
    if unneeded - set(removed(planned)):
        return  # their moves took room, too
    for removal in planned.removals:
        for uid, target in removal.destinations.items():
            for name, amount in by_uid[uid].shape.requests.items():
                free[target][name] -= amount
    for verdict in planned.nodes.values():
        alone = [each for each in counting(made.picture.pods_by_node[verdict.node]) if not each.is_daemon]
        stuck = verdict.block is BlockReason.NO_PLACE_TO_MOVE_PODS and verdict.pod
        if not stuck or len(alone) != 1 or alone[0].shape not in SHAPES[:3]:
            continue
        wanted = alone[0].shape.requests
        others = (room for name, room in free.items() if name != verdict.node)
        assert not any(all(room[name] >= amount for name, amount in wanted.items()) for room in others)


def counting(pods: tuple[PodRecord, ...]) -> list[PodRecord]:
    return [each for each in pods if each.shape.priority >= -10]
