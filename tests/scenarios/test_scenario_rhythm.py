"""How many passes there are, and what an idle cluster costs."""

from __future__ import annotations

import pytest

from tests.scenarios.world import World, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)


async def test_a_burst_of_500_pods_makes_one_plan() -> None:
    world = await World().started()
    before = sum(world.passes.values())
    world.deploy("web", 500, cpu="10m", memory="16Mi")
    await world.until(lambda: world.raises, within=5)
    await world.after(1)
    buying = {each.at for each in world.raises}
    assert len(buying) == 1
    # The one for the pods, and at most a scan or what the purchase itself brought.
    assert sum(world.passes.values()) - before <= 3


async def test_an_idle_cluster_is_only_scanned() -> None:
    world = await World(
        pools={"general": {"groups": [{"name": "a", "capacity": {"cpu": "4"}}], "minSize": 2}}
    ).started()
    await world.after(minutes(15))
    before, writes = dict(world.passes), len(world.status_writes)
    await world.after(minutes(10))
    after = world.passes
    assert {cause for cause in after if after[cause] != before.get(cause, 0)} == {"scan"}
    assert after["scan"] - before["scan"] == pytest.approx(60, abs=6)
    # The pool and the policy, once a minute.
    assert len(world.status_writes) - writes <= 2 * 10 + 2


async def test_a_status_write_of_our_own_wakes_nothing() -> None:
    world = await World().started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    await world.after(20)
    assert not [cause for cause in world.passes if cause == "NodePool changed" and world.passes[cause] > 1]
