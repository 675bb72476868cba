"""Disasters after which an autoscaler has been known to delete a cluster: here no running machine is harmed, nothing is
bought without end, and a condition says what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from springtide.cluster.groups import InstanceState, Template
from springtide.providers.simulated.cloud import SimulatedGroup
from springtide.providers.simulated.failures import NeverRegisters, SlowBoot
from tests.scenarios.api_server import Manifest
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, SOFT, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK = {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "20s", "delayAfterFailure": "30s"}}


async def grown(pods: int = 12, *, policy: Mapping[str, Any] = QUICK, **pool: Any) -> World:
    """Three nodes full of pods, and nothing under way."""
    world = await World(
        pools={"general": {"groups": [group()], **pool}}, policies={"default": policy}
    ).started()
    world.deploy("web", pods)
    await world.until(lambda: len(world.running("web")) == pods, within=120)
    await world.after(minutes(2))
    return world


def edit_nodes(world: World, edit: Any) -> None:
    """Change the manifest of every Node: `edit` takes a deep copy and changes it in place."""
    for manifest in list(world.server.objects["Node"].values()):
        changed = copy.deepcopy(manifest)
        edit(changed)
        world.server.put("Node", changed)


def without_provider_id(node: Manifest) -> None:
    node["spec"]["providerID"] = ""


def says(world: World, kind: str, *, status: str, reason: str, naming: str, pool: str = "general") -> bool:
    """Whether the pool has this condition, and its message names what matters."""
    condition = world.condition(kind, pool=pool)
    found = (condition.get("status"), condition.get("reason")) == (status, reason)
    return found and naming in condition["message"]


# --- Node objects ------------------------------------------------------------------------------------------------


async def test_all_node_objects_deleted() -> None:
    world = await grown()
    for node in world.nodes:
        world.control_plane.delete_node(node.name)
    await world.until(
        lambda: says(
            world, "Ready", status="False", reason="NodesUnmatched", naming="3 instances of group a"
        ),
        within=30,
    )
    await world.until(lambda: len(world.running("web")) == 12, within=minutes(10))
    await world.until(
        lambda: says(
            world, "Degraded", status="True", reason="UnregisteredInstances", naming="3 instances of group a"
        ),
        within=minutes(20),
    )
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.targets == {"general/a": 6}, "the pods' need, once"


async def test_all_node_objects_deleted_while_nodes_are_spare() -> None:
    world = await grown()
    world.undeploy("web")
    for node in world.nodes:
        world.control_plane.delete_node(node.name)
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.targets == {"general/a": 3}
    assert says(world, "Ready", status="False", reason="NodesUnmatched", naming="3 instances of group a")


async def test_provider_ids_missing_everywhere() -> None:
    world = await grown()
    edit_nodes(world, without_provider_id)
    world.undeploy("web")
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.targets == {"general/a": 3}
    assert says(world, "Ready", status="False", reason="NoProviderIDs", naming="group a")
    assert not world.marked()


async def test_new_nodes_without_provider_ids_are_not_taken_for_instances_that_never_registered() -> None:
    world = await grown()
    register = world.cloud.on_instance_running

    def register_without(instance: Any) -> None:
        register(instance)
        node = world.server.get("Node", instance.id)
        assert node is not None
        world.server.put("Node", {**node, "spec": {**node["spec"], "providerID": ""}})

    world.cloud.on_instance_running = register_without
    world.deploy("web", 16)
    await world.until(lambda: len(world.running("web")) == 16, within=minutes(2))
    await world.after(minutes(60))
    assert world.terminations == []
    assert len(world.running("web")) == 16
    assert sum(world.targets.values()) == 4
    assert says(world, "Ready", status="False", reason="NoProviderIDs", naming="group a")


# --- whose machines ----------------------------------------------------------------------------------------------


async def wrong_group(**pool: Any) -> World:
    """A NodePool has just been pointed at a group whose five instances are nodes of another cluster."""
    world = World(pools={}, policies={"default": QUICK})
    await world.started()
    world.cloud.set_failure(NeverRegisters(group="a"))
    template = Template(capacity={}, allocatable={}, labels={})
    theirs = SimulatedGroup(
        pool="general", name="a", zone="zone-a", min_size=0, max_size=50, template=template, target=5
    )
    world.cloud.add(theirs)
    await world.after(60)
    assert all(each.state is InstanceState.RUNNING for each in world.cloud.instances)
    world.add_pool("general", groups=[group(maxSize=50)], **pool)
    await world.after(10)
    return world


async def test_a_wrong_group_adopted() -> None:
    world = await wrong_group()
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.targets == {"general/a": 5}
    assert says(world, "Ready", status="False", reason="NodesUnmatched", naming="5 instances of group a")


async def test_a_wrong_group_adopted_is_not_grown_without_end() -> None:
    world = await wrong_group()
    world.deploy("web", 4)
    await world.after(minutes(240))
    assert world.terminations == []
    assert world.targets["general/a"] <= 6, "what the pods need, asked for once"
    assert world.condition()["status"] == "False"
    assert "group a" in world.condition()["message"]


async def test_a_group_shared_with_another_cluster() -> None:
    """Two clusters' NodePools name the same group: each sees only some of its instances as Nodes."""
    world = await grown()
    theirs = world.cloud.set_failure(NeverRegisters(group="a"))
    world.cloud.set_target(world.group(), 6)
    await world.after(minutes(17))  # so long they might have been meant for us
    world.cloud.clear_failure(theirs)
    others = [instance.id for instance in world.cloud.instances if not instance.registers]
    assert len(others) == 3
    world.deploy("web", 16)
    await world.until(lambda: len(world.running("web")) == 16, within=minutes(5))
    world.deploy("web", 12)
    await world.after(minutes(60))
    assert len(world.running("web")) == 12
    assert not set(world.terminated) & set(others)
    assert world.group().target == world.group().alive == 6
    assert says(
        world, "Degraded", status="True", reason="UnregisteredInstances", naming="3 instances of group a"
    )


# --- what others left behind -------------------------------------------------------------------------------------


def tainted_by_cluster_autoscaler(node: Manifest) -> None:
    since = str(int((now() - timedelta(days=3)).timestamp()))
    node["spec"]["taints"] = [
        {"key": HARD, "value": since, "effect": "NoSchedule"},
        {"key": SOFT, "value": since, "effect": "PreferNoSchedule"},
    ]


@pytest.mark.parametrize("policy", ["Ignore", "CleanUp", "TakeOver"])
async def test_taints_of_a_dead_cluster_autoscaler_on_every_node(policy: str) -> None:
    world = await grown(policy={"scaleDown": {**QUICK["scaleDown"], "foreignTaints": policy}})
    edit_nodes(world, tainted_by_cluster_autoscaler)
    await world.until(
        lambda: says(world, "Degraded", status="True", reason="ForeignTaints", naming="general-a-1"),
        within=60,
    )
    await world.after(minutes(60))
    assert world.terminations == []
    assert len(world.running("web")) == 12
    assert sum(world.targets.values()) == 3
    assert bool(world.marked(HARD)) is (policy == "Ignore")


# --- a past that comes back --------------------------------------------------------------------------------------


async def an_eventful_hour(world: World) -> None:
    """After a backup was made: nodes go, others come, and nothing is under way in the end."""
    world.bare_pod("precious", cpu="0", nodeSelector={"kubernetes.io/hostname": "general-a-3"})
    world.deploy("web", 4)
    await world.until(lambda: len(world.nodes) < 3, within=minutes(10))
    world.deploy("web", 24)
    await world.until(lambda: len(world.running("web")) == 24, within=minutes(5))
    await world.after(minutes(50))


@pytest.mark.parametrize(
    "restarted", [False, True], ids=["the operator lives on", "and the operator restarts"]
)
async def test_the_api_server_restored_from_an_old_backup(restarted: bool) -> None:
    world = await grown(8)
    world.deploy("web", 12)
    await world.until(lambda: len(world.raises) == 2, within=10)
    await world.after(5)
    backup = world.server.backup()  # while the third node boots, and its purchase stands in the status
    await world.until(lambda: len(world.running("web")) == 12, within=60)
    await an_eventful_hour(world)
    terminated = set(world.terminated)
    running = {each.id for each in world.cloud.instances if each.state is InstanceState.RUNNING}
    if restarted:
        await world.kill_operator()
    world.server.restore(backup)
    world.control_plane.find_machines_that_are_off()
    if restarted:
        world.start_operator()
    bought = world.group().target
    await world.after(minutes(15))
    lost = running - {node.name for node in world.nodes}
    assert not (set(world.terminated) - terminated) & lost, "machines whose Nodes the backup does not know"
    await world.until(lambda: not world.pending, within=minutes(30))
    assert world.group().target <= bought + 3
    assert says(world, "Degraded", status="True", reason="UnregisteredInstances", naming="of group a")


async def test_two_hours_of_absence() -> None:
    world = await grown(policy={"scaleDown": {"unneededTime": "10m", "delayAfterAdd": "0s"}})
    world.deploy("web", 8)
    world.deploy("more", 4, cpu="3")
    world.cloud.set_failure(SlowBoot(seconds=minutes(10)))
    await world.until(lambda: len(world.raises) > 1, within=10)
    bought = sum(world.targets.values())
    await world.kill_operator()
    await world.after(minutes(120))
    world.undeploy("more")
    world.start_operator()
    await world.after(minutes(9))
    assert world.terminations == []
    assert sum(world.targets.values()) == bought


async def test_a_node_pool_made_anew() -> None:
    world = await grown()
    world.cloud.set_failure(SlowBoot(seconds=minutes(5)))
    world.deploy("web", 16)
    await world.until(lambda: sum(world.targets.values()) == 4, within=10)
    world.delete_pool()
    await world.until(lambda: world.server.get("NodePool", "general") is None, within=30)
    await world.after(30)
    world.add_pool("general", groups=[group()])
    await world.until(lambda: len(world.running("web")) == 16, within=minutes(10))
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.targets == {"general/a": 4}


# --- clocks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "found wrong at a restart"])
async def test_a_clock_wrong_by_an_hour(hours: int, restarted: bool) -> None:
    world = await grown(policy={"scaleDown": {"unneededTime": "10m", "delayAfterAdd": "0s"}})
    world.cloud.set_failure(SlowBoot(seconds=minutes(4)))
    world.deploy("web", 8)
    world.deploy("more", 2, cpu="3")
    await world.until(lambda: len(world.raises) > 1, within=20)
    await world.after(minutes(1))
    bought = sum(world.targets.values())
    if restarted:
        await world.kill_operator()
    world.clock_error = timedelta(hours=hours)
    if restarted:
        world.start_operator()
    await world.until(lambda: len(world.running("more")) == 2, within=minutes(10))
    assert world.terminations == []
    # Nodes whose age is told by another clock may pass for late while they start: bought once more, never again.
    assert sum(world.targets.values()) <= bought + (2 if hours > 0 else 0)
    world.deploy("web", 4)
    await world.until(lambda: world.terminated, within=minutes(90))
    assert len(world.running()) == 6
