"""How many nodes go at the same time: over all pools of a policy, or of the pool that says so itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from springtide.api.settings import ScaleDownSettings, ScaleUpSettings
from springtide.cluster.snapshot import PoolView, RemovalInFlight
from springtide.planning.plan import BlockReason, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import NOW, group, node, policy, pool, running, shape, snapshot

LITTLE = shape(200)
DOWN = ScaleDownSettings(unneeded_time=timedelta(0))


def idle(name: str, size: int = 6, *, own: frozenset[str] = frozenset(), **fields: Any) -> PoolView:
    """A pool of nodes that nobody uses; `own`: settings that it has set itself."""
    down = replace(DOWN, **fields.pop("down"))
    nodes = [f"{name}{number}" for number in range(size)]
    view = pool(name, group(name, nodes=nodes, max_size=size), down=down, **fields)
    return replace(view, settings=replace(view.settings, own_scale_down=own))


def made(*views: PoolView, drained: bool = False, **fields: Any) -> Plan:
    names = [instance.id.removeprefix("i-") for view in views for instance in view.groups[0].instances]
    # A node of no pool with room for all: every pod fits elsewhere.
    large = node("large", capacity={"cpu": 99_000, "memory": 2**40, "pods": 500})
    large = replace(large, allocatable=large.capacity)
    pods = {name: running(1, LITTLE) for name in names} if drained else {}
    there = [*(node(name) for name in names), large]
    return plan(snapshot(*views, nodes=there, pods=pods, policies=[policy(), policy("other")], **fields))


def gone(of: Plan) -> dict[str, int]:
    return dict(sorted(Counter(removal.pool for removal in of.removals).items()))


MAX = {"max_parallel": 4}
DRAIN = {"max_parallel_drain": 3}


@pytest.mark.parametrize(
    ("views", "total"),
    [
        pytest.param([idle("a", down=MAX), idle("b", down=MAX)], 4, id="pools of one policy share"),
        pytest.param(
            [idle("a", down=MAX), idle("b", down=MAX, policy="other")], 8, id="those of two policies do not"
        ),
        pytest.param(
            [idle("a", down=MAX), idle("b", down={"max_parallel": 5}, own=frozenset({"max_parallel"}))],
            9,
            id="a pool that sets it itself counts alone",
        ),
    ],
)
def test_removals(views: list[PoolView], total: int) -> None:
    told = made(*views)
    assert sum(gone(told).values()) == total
    assert BlockReason.PARALLELISM in {verdict.block for verdict in told.nodes.values()}


@pytest.mark.parametrize(
    ("views", "total"),
    [
        pytest.param([idle("a", down=DRAIN), idle("b", down=DRAIN)], 3, id="pools of one policy share"),
        pytest.param(
            [idle("a", down=DRAIN), idle("b", down=DRAIN, own=frozenset({"max_parallel_drain"}))],
            6,
            id="a pool that sets it itself counts alone",
        ),
        pytest.param(
            [idle("a", down=DRAIN), idle("b", down=DRAIN, own=frozenset({"max_parallel"}))],
            3,
            id="each of the two settings for itself",
        ),
    ],
)
def test_drains(views: list[PoolView], total: int) -> None:
    assert sum(gone(made(*views, drained=True)).values()) == total


def test_the_verdict_says_whose_bound_it_is() -> None:
    shared = made(idle("a", down=MAX))
    alone = made(idle("a", down=MAX, own=frozenset({"max_parallel"})))
    assert {
        verdict.detail for verdict in shared.nodes.values() if verdict.block is BlockReason.PARALLELISM
    } == {"maxParallel 4 of policy default"}
    assert {
        verdict.detail for verdict in alone.nodes.values() if verdict.block is BlockReason.PARALLELISM
    } == {"maxParallel 4 of pool a"}


ATOMIC = ScaleUpSettings(atomic=True)


def test_an_atomic_group_exceeds_it_alone_and_others_wait() -> None:
    told = made(idle("a", down=MAX, up=ATOMIC), idle("b", down=MAX, up=ATOMIC))
    assert gone(told) in ({"a": 6}, {"b": 6})


def test_what_is_left_of_an_atomic_group_follows_those_that_are_on_their_way() -> None:
    begun = [
        RemovalInFlight(node=f"a{i}", pool="a", group="a", phase="Draining", since=NOW) for i in range(4)
    ]
    assert gone(made(idle("a", down=MAX, up=ATOMIC), removals=begun)) == {"a": 2}


def test_removals_of_another_pool_of_the_policy_count_when_they_are_under_way() -> None:
    begun = [
        RemovalInFlight(node=f"a{i}", pool="a", group="a", phase="Draining", since=NOW) for i in range(3)
    ]
    assert sum(gone(made(idle("a", down=MAX), idle("b", down=MAX), removals=begun)).values()) == 1
