"""Nodes that outlive their instance, without a node controller of the cloud: deleted after a grace, or never."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import (
    NodeDeleted,
    RemovalDone,
    RemovalFailed,
    RemovalTerminating,
)
from springtide.actuation.settings import ActuationSettings
from springtide.providers.base import CredentialsError
from springtide.providers.simulated.failures import Call, CallFails
from tests.unit.actuation.world import World, clock

pytestmark = pytest.mark.looptime


async def without_node_controller(**settings: Any) -> World:
    world = await World(settings=ActuationSettings(**settings)).booted()
    world.cloud.on_instance_gone = lambda instance: None
    return world


def terminated_after(world: World) -> timedelta:
    [asked] = world.of(RemovalTerminating)
    [deleted] = world.of(NodeDeleted)
    return deleted.at - asked.at


async def test_a_node_that_outlives_its_instance_is_deleted_after_the_grace() -> None:
    world = await without_node_controller()
    await world.remove()
    assert world.of(RemovalDone)
    assert world.node() not in world.nodes.objects
    assert timedelta(minutes=2) <= terminated_after(world) <= timedelta(minutes=4)


async def test_a_node_controller_in_time_is_left_to_its_work() -> None:
    world = await World().booted()
    await world.remove()
    assert "delete" not in world.nodes.calls


@pytest.mark.parametrize(
    ("obstacle", "told"),
    [
        pytest.param("off", "node controller running", id="it is not our work by the settings"),
        pytest.param("going", "lifecycle hook", id="its instance is not off yet"),
        pytest.param("unreadable", "lifecycle hook", id="the cloud cannot be read"),
        pytest.param("ready", "says that it is Ready", id="a kubelet lives there"),
    ],
)
async def test_a_node_whose_instance_may_live_is_never_deleted(obstacle: str, told: str) -> None:
    world = await without_node_controller(node_deletion_grace=0.0 if obstacle == "off" else 120.0)
    match obstacle:
        case "going":
            world.cloud._termination_s = 10_000
        case "unreadable":
            error = CredentialsError("access denied")
            world.cloud.set_failure(CallFails(call=Call.LIFECYCLES, error=error))
        case "ready":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            world.nodes.edit(world.node(), {"status": ready})
    await world.remove()
    [failed] = world.of(RemovalFailed)
    assert told in failed.message
    assert failed.retry_at > clock()
    assert world.node() in world.nodes.objects
    assert "delete" not in world.nodes.calls


async def test_another_node_of_the_same_name_is_not_deleted() -> None:
    world = await without_node_controller()

    def made_anew() -> None:
        world.nodes.edit(world.node(), {"metadata": {"uid": "another"}})

    world.nodes.before["delete"] = made_anew
    await world.remove()
    assert world.of(RemovalDone)
    assert world.node() in world.nodes.objects


async def test_a_successor_deletes_the_node_that_its_predecessor_left() -> None:
    world = await without_node_controller()
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.phase() == "Terminating" and world.provider.terminations)
    await world.actuator.stop(grace=0)
    await asyncio.sleep(7200)
    world.new_actuator()
    world.resume()
    await world.quiet()
    assert world.of(NodeDeleted)
    assert world.provider.terminations == [world.node()]
