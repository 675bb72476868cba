"""Nodes that outlive their instance: in clusters without a node controller of the cloud."""

from __future__ import annotations

import pytest

from springtide.actuation.outcome import NodeDeleted, RemovalDone, RemovalRolledBack, RemovalStarted
from springtide.providers.simulated.cloud import SimulatedInstance
from tests.scenarios.world import HARD, World, minutes

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
