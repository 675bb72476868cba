"""Nodes that outlive their instance: in clusters without a node controller of the cloud."""

from __future__ import annotations

import pytest

from springtide.actuation.outcome import NodeDeleted, RemovalDone, RemovalRolledBack, RemovalStarted
from springtide.api.conditions import Reason
from springtide.providers.simulated.cloud import SimulatedInstance
from tests.scenarios.world import HARD, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK = {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "0s"}}


async def without_node_controller() -> World:
    """Two nodes of which one becomes unneeded; nobody but us deletes Nodes."""
    world = await World(policies={"default": QUICK}).started()

    def off(instance: SimulatedInstance) -> None:
        world.control_plane.silence(instance.id)

    world.cloud.on_instance_gone = off
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.deploy("web", 4)
    await world.until(lambda: world.of(RemovalStarted), within=minutes(3))
    return world


async def test_the_node_of_a_removed_instance_is_deleted_once_the_cloud_says_that_it_is_off() -> None:
    world = await without_node_controller()
    await world.until(lambda: world.terminated, within=minutes(3))
    took = await world.until(lambda: len(world.nodes) == 1, within=minutes(5))
    assert took >= minutes(2)
    assert world.of(NodeDeleted)
    assert "DeletedNode" in world.event_reasons()
    assert len(world.running("web")) == 4
    await world.until(lambda: world.targets == {"general/a": 1}, within=10)


async def test_a_successor_sees_the_node_off() -> None:
    world = await without_node_controller()
    await world.until(lambda: world.terminated, within=minutes(3))
    await world.restart_operator(away=minutes(30))
    await world.until(lambda: len(world.nodes) == 1, within=minutes(5))
    assert len(world.terminated) == 1


async def test_an_instance_that_somebody_ends_during_our_drain_is_not_given_back() -> None:
    world = await without_node_controller()
    await world.until(lambda: world.marked(HARD), within=30)
    [node] = world.marked(HARD)
    instance = world.group().instances[node]
    world.control_plane.silent.add(node)  # Its pods never end.
    world.cloud.terminate(instance)
    await world.until(lambda: world.of(NodeDeleted), within=minutes(10))
    assert node not in [each.name for each in world.nodes]
    assert world.terminated == []
    assert not world.of(RemovalRolledBack)
    await world.until(lambda: world.of(RemovalDone), within=10)


@pytest.mark.parametrize("listing_seconds", [0.0, 2.0])
async def test_nobody_waits_for_the_return_of_a_node_that_was_deleted_by_hand(listing_seconds: float) -> None:
    """However long the cloud takes to say that its instance runs on."""
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.listing_seconds = listing_seconds
    await world.after(30)
    world.control_plane.delete_node(world.nodes[0].name)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert world.terminations == []


async def test_the_node_of_an_instance_that_went_before_its_zone_failed_is_seen_off_afterwards() -> None:
    """Withdrawing a removal that cannot be undone any more does not end it: it would hold its place for ever."""
    groups = [group("a", zone="zone-a", max=10), group("b", zone="zone-b", max=10)]
    world = await World(pools={"general": {"groups": groups}}, policies={"default": QUICK}).started()
    world.cloud.on_instance_gone = lambda instance: world.control_plane.silence(instance.id)
    world.deploy("web", 32)
    await world.until(lambda: len(world.running("web")) == 32, within=120)
    await world.after(minutes(3))
    world.edit_policy(scaleDown={**QUICK["scaleDown"], "maxParallel": 1})
    world.deploy("web", 8)
    await world.until(lambda: world.terminated, within=minutes(8))
    gone = world.terminated[0]
    struck = [node.name for node in world.nodes if node.name.startswith(gone[:-2]) and node.name != gone]
    for name in struck:
        world.control_plane.silence(name)
    await world.until(lambda: world.condition("Degraded").get("reason") == Reason.ZONE_OUTAGE, within=120)
    await world.after(minutes(1))
    for name in struck:
        world.control_plane.recover(name)
    await world.until(lambda: [each.node for each in world.of(RemovalDone)] == [gone], within=minutes(10))
    assert gone not in [node.name for node in world.nodes]
