"""A process whose passes take too long: what can wait is cut, purchases never are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from springtide.planning.scale_up.searches import Searches
from tests.unit.planning.world import group, node, pending, pool, running, shape, snapshot


def world(*, waiting: int = 0) -> Snapshot:
    """Forty nodes, half used by a pod each, no two of which are alike."""
    names = [f"n{number:02}" for number in range(40)]
    return snapshot(
        pool("p", group(nodes=names, max_size=60)),
        nodes=[node(name) for name in names],
        pods={
            name: running(1, shape(2000, number * 2**20), node_name=name)
            for number, name in enumerate(names, start=1)
        },
        waiting=pending(waiting, shape(3900)),
    )


def left_for_later(made: Plan) -> int:
    return sum("not examined in this pass" in verdict.detail for verdict in made.nodes.values())


def test_each_level_compares_fewer_places_for_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("springtide.planning.scale_down.give_back.MAX_EXAMINED", 1024)
    seen = world()
    left = [left_for_later(plan(replace(seen, relief=relief))) for relief in range(4)]
    assert left[0] == 0
    assert left == sorted(set(left))


def test_pods_that_wait_get_the_same_nodes() -> None:
    seen = world(waiting=9)
    at_ease, pressed = plan(seen).purchases, plan(replace(seen, relief=3)).purchases
    assert at_ease == pressed
    assert at_ease


def test_the_search_for_cheaper_purchases_is_told() -> None:
    searches = Searches()
    plan(replace(world(), relief=2), searches=searches)
    assert searches.relief == 2
