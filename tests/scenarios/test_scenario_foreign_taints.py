"""A Cluster Autoscaler that died, or was replaced, and left its hard taints behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import ForeignTaintLifted, RemovalStarted
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, World, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)


async def two_nodes(policy: str | None = None, *, mode: str = "Active", pods: int = 8) -> World:
    """Two nodes with four pods each, watched by an operator that would remove unneeded nodes after a minute."""
    scale_down: dict[str, Any] = {"unneededTime": "1m", "delayAfterAdd": "0s"}
    if policy is not None:
        scale_down["foreignTaints"] = policy
    world = await World(policies={"default": {"scaleDown": scale_down}}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.edit_pool(mode=mode)
    if pods < 8:
        world.edit_policy(scaleDown={**scale_down, "enabled": False})
        world.deploy("web", pods)
        await world.after(10)
    return world


def left_behind(
    world: World, node: str, *, old: timedelta = timedelta(hours=1), cordon: bool = False
) -> None:
    """What a Cluster Autoscaler that died so long ago left on the node."""
    manifest = world.server.get("Node", node)
    assert manifest is not None
    value = str(int((now() - old).timestamp()))
    taints = [*manifest["spec"].get("taints", ()), {"key": HARD, "value": value, "effect": "NoSchedule"}]
    world.server.put(
        "Node", {**manifest, "spec": {**manifest["spec"], "taints": taints, "unschedulable": cordon}}
    )


async def test_an_old_taint_is_taken_off_and_the_node_serves_again() -> None:
    world = await two_nodes()
    node = world.nodes[0].name
    left_behind(world, node)
    await world.until(lambda: not world.marked(HARD), within=30)
    assert world.of(ForeignTaintLifted)
    assert "ForeignTaintLifted" in world.event_reasons()
    assert world.terminations == []
    assert world.evictions == []


async def test_a_cordon_stays_whoever_set_it() -> None:
    world = await two_nodes()
    node = world.nodes[0].name
    left_behind(world, node, cordon=True)
    await world.until(lambda: not world.marked(HARD), within=30)
    await world.after(60)
    assert world.marked("cordon") == [node]
    assert any("kubectl uncordon" in event["message"] for event in world.events)


async def test_a_taint_that_is_young_may_be_of_a_removal_under_way() -> None:
    world = await two_nodes()
    left_behind(world, world.nodes[0].name, old=timedelta(minutes=20))
    await world.after(minutes(5))
    assert world.marked(HARD)
    degraded = world.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "ForeignTaints")
    assert "30 minutes" in degraded["message"]
    await world.until(lambda: not world.marked(HARD), within=minutes(6))


async def test_while_cluster_autoscaler_lives_its_taints_are_its_own() -> None:
    world = await two_nodes()
    left_behind(world, world.nodes[0].name)
    for _ in range(12):
        world.cluster_autoscaler_lives()
        await world.after(5)
    assert world.marked(HARD)
    assert not world.of(ForeignTaintLifted)


@pytest.mark.parametrize(
    ("policy", "mode", "told"),
    [
        pytest.param("Ignore", "Active", "foreignTaints: Ignore", id="by policy"),
        pytest.param("CleanUp", "DryRun", "in mode DryRun", id="in DryRun"),
        pytest.param("TakeOver", "Paused", "in mode Paused", id="while paused"),
    ],
)
async def test_where_nothing_is_done_it_is_told_all_the_same(policy: str, mode: str, told: str) -> None:
    world = await two_nodes(policy, mode=mode)
    for node in world.nodes:
        left_behind(world, node.name)
    await world.after(minutes(3))
    assert len(world.marked(HARD)) == 2
    degraded = world.condition("Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "ForeignTaints")
    assert degraded["message"].startswith("2 nodes carry hard taints of a Cluster Autoscaler that is gone")
    assert told in degraded["message"]
    assert world.terminations == []


async def test_taints_on_every_node_neither_buy_nor_remove_anything() -> None:
    world = await two_nodes("Ignore")
    for node in world.nodes:
        left_behind(world, node.name)
    await world.after(minutes(30))
    assert world.targets == {"general/a": 2}
    assert world.terminations == []
    assert len(world.running("web")) == 8


async def test_taking_over_removes_an_unneeded_node_by_our_own_rules() -> None:
    world = await two_nodes("TakeOver", pods=4)
    node = next(n.name for n in world.nodes)
    for each in world.nodes:
        if len(world.residents(each.name)) <= len(world.residents(node)):
            node = each.name
    left_behind(world, node)
    begun = now()
    world.edit_policy(scaleDown={"unneededTime": "1m", "delayAfterAdd": "0s", "foreignTaints": "TakeOver"})
    await world.until(lambda: world.of(RemovalStarted), within=minutes(3))
    # Watched anew: whatever the dead one knew of the node is not believed.
    assert now() - begun >= timedelta(minutes=1)
    await world.until(lambda: len(world.nodes) == 1, within=minutes(4))
    assert world.terminated == [node]
    assert len(world.running("web")) == 4
    assert not world.marked(HARD)


async def test_taking_over_gives_a_needed_node_back() -> None:
    world = await two_nodes("TakeOver")
    left_behind(world, world.nodes[0].name)
    await world.until(lambda: not world.marked(HARD), within=30)
    await world.after(minutes(3))
    assert world.terminations == []


async def test_a_taint_that_somebody_set_by_hand_stays() -> None:
    world = await two_nodes()
    node = world.server.get("Node", world.nodes[0].name)
    assert node is not None
    taints = [*node["spec"].get("taints", ()), {"key": HARD, "value": "maintenance", "effect": "NoSchedule"}]
    world.server.put("Node", {**node, "spec": {**node["spec"], "taints": taints}})
    await world.after(minutes(40))
    assert world.marked(HARD)
    assert "set by somebody else" in world.condition("Degraded")["message"]
