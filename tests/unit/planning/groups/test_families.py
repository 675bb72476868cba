"""Similar pools share purchases; what keeps two apart is said."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.api.policy import SimilaritySettings
from springtide.api.settings import ScaleUpSettings
from springtide.cluster.groups import NodeGroup, Template
from springtide.cluster.records import DaemonSetRecord
from springtide.cluster.snapshot import PolicyView, PoolView
from springtide.planning.groups.similarity import Rules, Sample, difference
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    DAEMON_SET,
    GIB,
    group,
    node,
    pending,
    policy,
    pool,
    running,
    shape,
    snapshot,
    template,
)

ZONE = "topology.kubernetes.io/zone"


def zonal(zone: str, **made_of: Any) -> NodeGroup:
    labels = {ZONE: zone, "tier": "web"} | made_of.pop("labels", {})
    return group(f"asg-{zone}", made_of=template(labels=labels, **made_of))


def balancing(**spec: Any) -> PolicyView:
    return policy(balance_similar_pools=True, **spec)


def bought(made: Plan) -> dict[str, int]:
    return {purchase.pool: purchase.count for purchase in made.purchases}


def apart(made: Plan, one: str = "a", other: str = "b") -> str:
    return next(each.difference for each in made.pools[one].similar_pools if each.pool == other)


# --- purchases -------------------------------------------------------------------------------------------------


def test_pools_that_differ_by_zone_alone_even_out() -> None:
    pools = [pool(zone, zonal(zone)) for zone in "abc"]
    made = plan(snapshot(*pools, waiting=pending(24), policies=[balancing()]))
    assert bought(made) == {"a": 2, "b": 2, "c": 2}
    assert sorted(len(purchase.pods) for purchase in made.purchases) == [8, 8, 8]


def test_not_unless_the_policy_says_so() -> None:
    pools = [pool(zone, zonal(zone)) for zone in "abc"]
    assert len(bought(plan(snapshot(*pools, waiting=pending(24))))) == 1


def test_the_smallest_catches_up_and_bounds_of_pools_hold() -> None:
    a = pool("a", replace(zonal("a"), target=3), max_size=4)
    b = pool("b", zonal("b"), max_size=2)
    c = pool("c", zonal("c"), up=ScaleUpSettings(max_nodes_per_pass=1))
    made = plan(snapshot(a, b, c, waiting=pending(40), policies=[balancing()]))
    assert bought(made) == {"a": 1, "b": 2, "c": 1}


def test_two_groups_of_one_pool_stay_within_the_pools_bound_when_they_share_with_another() -> None:
    a = pool("a", zonal("a"), zonal("b"), max_size=1)
    made = plan(snapshot(a, pool("c", zonal("c")), waiting=pending(12), policies=[balancing()]))
    assert bought(made) == {"a": 1, "c": 2}


def test_pods_are_counted_for_the_smallest_of_similar_nodes() -> None:
    """Packed for the larger ones, one pod too many would be promised to each of the others."""
    large = template(cpu=4000, memory=16 * GIB, labels={ZONE: "a"})
    small = replace(large, labels={ZONE: "b"}, allocatable={**large.allocatable, "cpu": 3900})
    pools = [pool("a", group("asg-a", made_of=large)), pool("b", group("asg-b", made_of=small))]
    made = plan(snapshot(*pools, waiting=pending(8, shape(1000)), policies=[balancing()]))
    assert sum(bought(made).values()) == 3


def test_a_pool_that_is_closed_to_some_pods_keeps_to_itself() -> None:
    strict = pool("a", zonal("a"), up=ScaleUpSettings(expendable_pods_priority_cutoff=5))
    pods = [*pending(8), *pending(8, shape(priority=7))]
    made = plan(snapshot(strict, pool("b", zonal("b")), waiting=pods, policies=[balancing()]))
    assert sum(bought(made).values()) == 4
    assert bought(made)["b"] >= 2


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=2),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 40),
)
def test_whatever_the_bounds_none_is_exceeded_and_no_room_is_left_while_pods_wait(
    sizes: list[tuple[list[tuple[int, int]], int]], pods: int
) -> None:
    """Pools of groups with (full nodes, room for more), and the pool's own maximum; four pods fill a node."""
    pools = []
    names: list[str] = []
    for number, (groups, most) in enumerate(sizes):
        members = []
        for each, (there, room) in enumerate(groups):
            own = [f"n{number}-{each}-{node_}" for node_ in range(there)]
            names += own
            made_of = zonal("z").template
            members.append(group(f"g{number}-{each}", nodes=own, max_size=there + room, made_of=made_of))
        pools.append(pool(f"p{number}", *members, max_size=most))
    made = plan(
        snapshot(
            *pools,
            nodes=[node(name) for name in names],
            pods={name: running(4) for name in names},
            waiting=pending(pods),
            policies=[balancing()],
        )
    )
    rooms = [
        max(0, min(most - sum(there for there, _ in groups), sum(room for _, room in groups)))
        for groups, most in sizes
    ]
    assert all(purchase.to_target <= purchase.max_size for purchase in made.purchases)
    assert all(bought_by_pool(made)[f"p{number}"] <= room for number, room in enumerate(rooms))
    assert bought_by_pool(made).total() == min(-(-pods // 4), sum(rooms))


def bought_by_pool(made: Plan) -> Counter[str]:
    counted: Counter[str] = Counter()
    for purchase in made.purchases:
        counted[purchase.pool] += purchase.count
    return counted


# --- what keeps pools apart ------------------------------------------------------------------------------------


def compared(one: PoolView, other: PoolView, **spec: Any) -> str:
    made = plan(snapshot(one, other, waiting=pending(16), policies=[balancing(**spec)]))
    text = apart(made)
    assert text == apart(made, "b", "a") or "≠" in text
    # What is said is what is done.
    assert (len(bought(made)) == 2) == (text == "")
    return text


def reserved(cpu: int) -> Template:
    full = template(labels={ZONE: "a", "tier": "web"})
    return replace(full, allocatable={**full.allocatable, "cpu": cpu})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (zonal("b"), ""),
        (zonal("b", labels={"tier": "db"}), "label tier: web ≠ db"),
        (zonal("b", labels={"extra": "yes"}), "label extra: absent ≠ yes"),
        (zonal("b", cpu=8000), "capacity cpu: 4 ≠ 8"),
        (zonal("b", memory=17 * GIB), "capacity memory differs by 5.88 % > 1.5 %"),
        (zonal("b", extended={"nvidia.com/gpu": 1}), "capacity: only one of them has nvidia.com/gpu"),
        (group("asg-b", made_of=reserved(3700)), "allocatable cpu differs by 7.5 % > 5 %"),
        (group("asg-b", made_of=reserved(3800)), ""),
        (group("asg-b", made_of=None), "it is unknown what its nodes look like"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_difference_is_said(other: NodeGroup, said: str) -> None:
    assert compared(pool("a", zonal("a")), pool("b", other)) == said


def test_what_daemon_pods_leave_free_is_compared() -> None:
    picky = shape(500, GIB, namespace="kube-system", selector={"disk": "ssd"})
    agent = DaemonSetRecord(workload=DAEMON_SET, shape=picky)
    pools = [pool("a", zonal("a", labels={"disk": "hdd"})), pool("b", zonal("b", labels={"disk": "ssd"}))]
    similarity = SimilaritySettings(ignored_labels=("disk",))
    spec = balancing(similarity=similarity)
    made = plan(snapshot(*pools, waiting=pending(1), policies=[spec], daemon_sets=[agent]))
    assert apart(made) == "free cpu differs by 12.5 % > 5 %"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SimilaritySettings(), "label tier: web ≠ db"),
        (SimilaritySettings(ignored_labels=("tier",)), ""),
        (SimilaritySettings(balancing_labels=("arch",)), "label arch is absent"),
    ],
)
def test_the_policy_says_which_labels_count(settings: SimilaritySettings, said: str) -> None:
    other = pool("b", zonal("b", labels={"tier": "db"}))
    assert compared(pool("a", zonal("a")), other, similarity=settings) == said


def test_with_balancing_labels_nothing_else_counts() -> None:
    one = Sample({"team": "x"}, {"cpu": 4}, {"cpu": 4})
    other = Sample({"team": "x", "tier": "db"}, {"cpu": 64}, {"cpu": 1})
    assert difference(one, other, Rules(only_labels=("team",))) is None


def test_clouds_have_labels_of_their_own_that_do_not_count() -> None:
    pools = [
        pool(zone, zonal(zone, labels={"eks.amazonaws.com/nodegroup": zone}), provider="aws") for zone in "ab"
    ]
    assert compared(*pools) == ""
    assert compared(*(replace(each, provider="gce") for each in pools)) == (
        "label eks.amazonaws.com/nodegroup: a ≠ b"
    )


def test_pools_of_different_providers_share_nothing() -> None:
    one, other = pool("a", zonal("a"), provider="aws"), pool("b", zonal("b"), provider="gce")
    assert compared(one, other) == "provider: aws ≠ gce"


def test_nothing_is_compared_that_nobody_balances() -> None:
    made = plan(snapshot(pool("a", zonal("a")), pool("b", zonal("b"))))
    assert made.pools["a"].similar_pools == ()
