"""Atomic groups have no node or all of theirs: bought whole, given back whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from springtide.api.settings import Expander, ScaleDownSettings, ScaleUpSettings
from springtide.cluster.groups import NodeGroup
from springtide.cluster.snapshot import PoolView, RemovalInFlight
from springtide.planning.plan import BlockReason, GroupRefusal, PendingOutcome, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    LONG_AGO,
    NOW,
    ago,
    group,
    node,
    pending,
    pod,
    policy,
    pool,
    running,
    shape,
    snapshot,
    template,
)

ATOMIC = ScaleUpSettings(atomic=True)


def slice_of(name: str = "tpu", *, size: int = 4, **fields: Any) -> NodeGroup:
    return group(name, max_size=size, **fields)


def atomic(*groups: NodeGroup, name: str = "slices", **fields: Any) -> PoolView:
    return pool(name, *groups, **({"up": ATOMIC} | fields))


def bought(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


# --- buying ----------------------------------------------------------------------------------------------------


def test_one_pod_buys_the_whole_group() -> None:
    made = plan(snapshot(atomic(slice_of()), waiting=pending(1)))
    assert bought(made) == {"tpu": 4}
    assert made.purchases[0].hourly_cost == pytest.approx(0.8)
    assert len(made.purchases[0].pods) == 1


def test_the_next_pods_use_what_was_bought_before_another_group_is() -> None:
    slices = atomic(slice_of("a"), slice_of("b"))
    assert bought(plan(snapshot(slices, waiting=pending(16)))) in ({"a": 4}, {"b": 4})
    assert bought(plan(snapshot(slices, waiting=pending(17)))) == {"a": 4, "b": 4}


def test_a_group_that_lost_nodes_is_completed() -> None:
    names = ["n1", "n2"]
    slices = atomic(slice_of(nodes=names))
    full = {name: running(4) for name in names}
    made = plan(snapshot(slices, nodes=[node(n) for n in names], pods=full, waiting=pending(1)))
    assert bought(made) == {"tpu": 2}


@pytest.mark.parametrize(
    ("view", "limits", "detail"),
    [
        pytest.param(
            atomic(slice_of(), max_size=3),
            {},
            "max 3 of pool slices leaves 3 of the 4 nodes that it must get",
            id="the pool's maximum",
        ),
        pytest.param(
            atomic(slice_of(), up=replace(ATOMIC, max_nodes_per_pass=2)),
            {},
            "2 nodes in one pass; the rest follows in the next leaves 2 of the 4 nodes that it must get",
            id="the most of one pass",
        ),
        pytest.param(
            atomic(slice_of()),
            {"limits": {"max": {"cpu": "12"}}},
            "limit cpu 12 of policy default leaves 3 of the 4 nodes that it must get",
            id="the policy's limit",
        ),
    ],
)
def test_a_bound_that_does_not_leave_room_for_all_leaves_none(
    view: PoolView, limits: dict[str, Any], detail: str
) -> None:
    made = plan(snapshot(view, waiting=pending(1), policies=[policy(**limits)]))
    assert made.purchases == ()
    (verdict,) = [each for each in made.pending if each.outcome is PendingOutcome.NO_GROUP]
    assert verdict.groups[0].refusal in (GroupRefusal.MAX_REACHED, GroupRefusal.LIMIT)
    assert verdict.groups[0].detail == detail


def test_all_its_nodes_are_ranked_not_only_those_that_pods_need() -> None:
    cheap = atomic(slice_of(size=8, made_of=template(price=0.1)))
    plain = pool("plain", group("plain", made_of=template(price=0.3)))
    by_price = policy(expanders=(Expander.PRICE,))
    assert bought(plan(snapshot(cheap, plain, waiting=pending(4), policies=[by_price]))) == {"plain": 1}
    assert bought(plan(snapshot(cheap, plain, waiting=pending(32), policies=[by_price]))) == {"tpu": 8}


def test_groups_of_an_atomic_pool_are_not_balanced() -> None:
    pools = [atomic(slice_of(name), name=name) for name in "ab"]
    made = plan(snapshot(*pools, waiting=pending(8), policies=[policy(balance_similar_pools=True)]))
    assert list(bought(made).values()) == [4]


@pytest.mark.parametrize(
    "view",
    [atomic(slice_of("a", min_size=1), slice_of("b")), atomic(slice_of("a"), slice_of("b"), min_size=2)],
    ids=["of the group", "of the pool"],
)
def test_a_minimum_brings_whole_groups(view: PoolView) -> None:
    assert bought(plan(snapshot(view))) == {"a": 4}


# --- giving back -----------------------------------------------------------------------------------------------

NAMES = ["n1", "n2", "n3", "n4"]
NOW_IF_IDLE = ScaleDownSettings(unneeded_time=timedelta(0), delay_after_add=timedelta(0))


def idle(*, pods: dict[str, Any] | None = None, view: PoolView | None = None, **fields: Any) -> Plan:
    slices = view or atomic(slice_of(nodes=NAMES), down=NOW_IF_IDLE)
    return plan(snapshot(slices, nodes=[node(name) for name in NAMES], pods=pods or {}, **fields))


def gone(made: Plan) -> set[str]:
    return {removal.node for removal in made.removals}


def test_all_idle_all_go() -> None:
    assert gone(idle()) == set(NAMES)


def test_one_that_stays_keeps_all() -> None:
    made = idle(pods={"n3": [pod(shape(3000))]})
    assert gone(made) == set()
    kept = made.nodes["n1"]
    assert (kept.block, kept.detail) == (BlockReason.ATOMIC, "3 of the 4 nodes of atomic group tpu can go")
    assert made.nodes["n3"].block is BlockReason.NOT_UNDERUTILIZED


def test_so_does_one_that_has_not_been_unneeded_long_enough() -> None:
    down = replace(NOW_IF_IDLE, unneeded_time=timedelta(minutes=10))
    view = atomic(slice_of(nodes=NAMES), down=down)
    since = dict.fromkeys(NAMES, LONG_AGO)
    assert gone(idle(view=view, unneeded_since=since)) == set(NAMES)
    assert gone(idle(view=view, unneeded_since=since | {"n2": ago(minutes=1)})) == set()


def test_and_one_that_is_still_to_come() -> None:
    view = atomic(slice_of(nodes=NAMES, size=5, target=5), down=NOW_IF_IDLE)
    assert gone(idle(view=view)) == set()


def test_a_group_may_exceed_the_parallelism_since_it_must_go_at_once() -> None:
    down = replace(NOW_IF_IDLE, max_parallel=2)
    assert gone(idle(view=atomic(slice_of(nodes=NAMES), down=down))) == set(NAMES)
    assert len(gone(idle(view=pool("plain", slice_of(nodes=NAMES), down=down)))) == 2


def test_but_not_two_groups() -> None:
    down = replace(NOW_IF_IDLE, max_parallel=2)
    view = atomic(slice_of("a", nodes=NAMES[:2]), slice_of("b", nodes=NAMES[2:]), down=down)
    assert gone(idle(view=view)) in ({"n1", "n2"}, {"n3", "n4"})


def test_what_an_earlier_plan_began_is_finished() -> None:
    begun = RemovalInFlight(node="n1", pool="slices", group="tpu", phase="Draining", since=NOW)
    assert gone(idle(removals=[begun])) == set(NAMES) - {"n1"}


def test_pods_must_fit_outside_of_the_group() -> None:
    view = atomic(slice_of(nodes=NAMES), down=NOW_IF_IDLE)
    other = pool("other", group("other", nodes=["o1"]))
    nodes = [node(name) for name in (*NAMES, "o1")]
    lone = {"n1": [pod(shape(1000))], "o1": running(3, shape(1000, 5 * GIB))}
    assert gone(plan(snapshot(view, other, nodes=nodes, pods=lone))) == set(NAMES)
    full = lone | {"o1": running(4)}
    assert gone(plan(snapshot(view, other, nodes=nodes, pods=full))) == set()
