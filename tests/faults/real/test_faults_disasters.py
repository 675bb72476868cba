"""Pictures of the cluster that look like a reason to delete everything: no running instance is terminated, and the
condition says what is wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from devcluster.api import ApiError
from devcluster.cloud.failures import NeverRegisters
from tests.e2e.test_scale_down import QUICK, taints
from tests.e2e.world import HARD_TAINT, OWN, SOFT_TAINT, TERMINATE, Manifest, World, unique
from tests.faults.real.aws import ONE_A_NODE
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

IMPATIENT: dict[str, Any] = {
    "scaleDown": QUICK | {"unreadyTime": "2s"},
    "scaleUp": {"maxNodeProvisionTime": "2s", "backoff": {"initial": "2s", "max": "4s"}},
}
"""Every timer that could cost an instance ends within seconds."""

LONG_ENOUGH = 8.0
"""Seconds: each of those timers has ended several times over, and as many passes have looked at it."""


async def time_passes(seconds: float = LONG_ENOUGH) -> None:
    """That nothing happens can only be seen by waiting."""
    await asyncio.sleep(seconds)


async def spare_group(world: World, count: int, **fields: Any) -> tuple[str, list[Manifest]]:
    """A group with so many idle nodes, every one of which could go."""
    group = await world.group(desired=count, **fields)
    return group, await world.nodes_settle(group, count)


async def delete_nodes(world: World, nodes: Iterable[Manifest]) -> None:
    for node in nodes:
        await world.api.delete(f"/api/v1/nodes/{node['metadata']['name']}")


async def make_node(world: World, node: Manifest, *, provider_id: bool = True) -> None:
    """Put a Node object there as it was; a kubelet without a cloud provider writes no provider id."""
    metadata = {key: node["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
    kept = ("providerID", "taints", "unschedulable") if provider_id else ("taints", "unschedulable")
    spec = {key: node["spec"][key] for key in kept if key in node["spec"]}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
    await world.api.post("/api/v1/nodes", body)
    path = f"/api/v1/nodes/{metadata['name']}/status"
    await world.api.patch(path, {"status": {key: node["status"][key] for key in ("capacity", "allocatable")}})


def terminations(world: World, *groups: str) -> list[str]:
    """Mutations of these groups that cost instances."""
    return [action for group in groups for action in world.mutations(group) if action == TERMINATE]


async def test_all_node_objects_deleted(world: World, witness: Witness) -> None:
    group, nodes = await spare_group(world, 3)
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT | {"scaleDown": {"enabled": False}}))
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        await delete_nodes(world, nodes)
        await world.api.patch(f"{OWN}/nodepools/{pool}", {"spec": {"scaleDown": dict(QUICK, enabled=True)}})
        condition = await world.condition(pool, "Ready", "False", reason="NodesUnmatched")
        assert f"3 instances of group {group}" in condition["message"]
        assert "Node objects deleted" in condition["message"]
        await world.events(pool, "NodesUnmatched")
        await time_passes()
        # Pods that come now are served, once, by a node of their own.
        app = await world.deployment(1, nodeSelector={"group": group}, **ONE_A_NODE)
        await world.running(app, 1, timeout=60)
        await time_passes()
    assert terminations(world, group) == []
    assert world.cloud.desired(group) == len(witness.alive(group)) == 4


async def test_all_nodes_without_provider_ids(world: World, witness: Witness) -> None:
    group, nodes = await spare_group(world, 3)
    await delete_nodes(world, nodes)
    for node in nodes:
        await make_node(world, node, provider_id=False)
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT))
    async with world.operator():
        condition = await world.condition(pool, "Ready", "False", reason="NoProviderIDs")
        assert group in condition["message"]
        assert "spec.providerID" in condition["message"]
        await time_passes()
        assert all(not {HARD_TAINT, SOFT_TAINT} & taints(node) for node in await world.nodes(group))
    assert world.mutations(group) == []
    assert len(witness.alive(group)) == 3


async def test_a_wrong_group_adopted(world: World, witness: Witness) -> None:
    name = unique("theirs")
    theirs = world.cloud.failures.add(NeverRegisters(group=name))
    group = await world.group(name=name, desired=4)

    async def running() -> bool:
        return len(witness.alive(group)) == 4

    await world.until(running, "the other cluster's instances")
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT))
    async with world.operator():
        condition = await world.condition(pool, "Ready", "False", reason="NodesUnmatched")
        assert f"4 instances of group {group}" in condition["message"]
        assert "check that they can join this cluster" in condition["message"]
        app = await world.deployment(2, nodeSelector={"group": group}, **ONE_A_NODE)
        await world.refused(app, 2)
        await time_passes()
    world.cloud.failures.remove(theirs)
    assert terminations(world, group) == []
    # What was bought for the pods was bought once, and is theirs to explain.
    assert world.cloud.desired(group) <= 6


async def test_a_second_cluster_in_the_account(world: World, witness: Witness) -> None:
    team = unique("team")
    enabled = "k8s.io/cluster-autoscaler/enabled"
    ours, theirs = unique("ours"), unique("theirs")
    world.cloud.failures.add(NeverRegisters(group=theirs))
    await spare_group(
        world, 1, name=ours, tags={enabled: "true", "k8s.io/cluster-autoscaler/e2e": "owned", "team": team}
    )
    await world.group(
        name=theirs,
        desired=2,
        tags={enabled: "true", "k8s.io/cluster-autoscaler/other": "owned", "team": team},
    )
    policy = await world.policy(**IMPATIENT)
    everybodys = await world.pool(policy=policy, tags={enabled: "true", "team": team})
    async with world.operator():
        condition = await world.condition(everybodys, "Ready", "False", reason="DiscoveryNotOwned")
        assert "groups of other clusters would be taken" in condition["message"]
        await time_passes()
        assert world.mutations(ours) == world.mutations(theirs) == []
        tags = {"k8s.io/cluster-autoscaler/e2e": "", "team": team}
        pool = await world.pool(policy=policy, tags=tags)
        await world.condition(pool, "Ready", "True")
        await world.nodes_settle(ours, 0)
        await time_passes()
        status = (await world.node_pool(pool))["status"]
        assert [group["id"] for group in status["groups"]] == [ours]
    assert world.mutations(theirs) == []
    assert len(witness.alive(theirs)) == 2


async def taint_as_cluster_autoscaler(world: World, nodes: Iterable[Manifest]) -> None:
    """As one that was ended in the middle of removing them, three days ago."""
    since = str(int(time.time()) - 3 * 24 * 3600)
    marks = [
        {"key": HARD_TAINT, "value": since, "effect": "NoSchedule"},
        {"key": SOFT_TAINT, "value": since, "effect": "PreferNoSchedule"},
    ]
    for node in nodes:
        await world.api.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": marks}})


@pytest.mark.parametrize("choice", ["Ignore", "CleanUp", "TakeOver"])
async def test_stale_taints_of_a_cluster_autoscaler_on_every_node(
    world: World, witness: Witness, choice: str
) -> None:
    group, nodes = await spare_group(world, 3)
    app = await world.deployment(3, nodeSelector={"group": group}, **ONE_A_NODE)
    await world.running(app, 3)
    before = {pod["metadata"]["uid"] for pod in await world.pods(app)}
    await taint_as_cluster_autoscaler(world, nodes)
    scale_down = IMPATIENT["scaleDown"] | {"foreignTaints": choice}
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT | {"scaleDown": scale_down}))
    async with world.operator():
        told = [event["message"] for event in await world.events(pool, "ForeignTaints")]
        assert any("3 nodes carry hard taints of a Cluster Autoscaler that is gone" in text for text in told)
        await time_passes()
        left = [node for node in await world.nodes(group) if HARD_TAINT in taints(node)]
        assert len(left) == (3 if choice == "Ignore" else 0)
        await world.condition(pool, "Degraded", "True" if left else "False")
        assert {pod["metadata"]["uid"] for pod in await world.running(app, 3)} == before
    assert terminations(world, group) == []
    assert len(witness.alive(group)) == 3


# --- an old backup -------------------------------------------------------------------------------------------------


async def backup(world: World, group: str, pool: str) -> tuple[list[Manifest], Manifest]:
    """The group's Nodes and the pool's status as they are now."""
    return await world.nodes(group), (await world.node_pool(pool))["status"]


async def restore(world: World, group: str, pool: str, old: tuple[list[Manifest], Manifest]) -> None:
    """Put back what the backup holds: Nodes that are gone come again, Nodes that it does not know vanish."""
    nodes, status = old
    known = {node["metadata"]["name"] for node in nodes}
    present = await world.nodes(group)
    await delete_nodes(world, [node for node in present if node["metadata"]["name"] not in known])
    await delete_nodes(world, [node for node in present if node["metadata"]["name"] in known])
    for node in nodes:
        await make_node(world, node)
    await world.api.patch(f"{OWN}/nodepools/{pool}/status", {"status": status})


async def test_an_api_server_restored_from_an_old_backup(world: World, witness: Witness) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT))
    operator = await world.start_operator()
    app = await world.deployment(2, nodeSelector={"group": group}, **ONE_A_NODE)
    await world.running(app, 2, timeout=60)
    await world.condition(pool, "ScalingUp", "False")
    old = await backup(world, group, pool)
    # Nodes of then go, others come; nothing is under way at the end.
    await world.scale(app, 0)
    await world.nodes_settle(group, 0, timeout=60)
    await world.scale(app, 3)
    await world.running(app, 3, timeout=60)
    await world.condition(pool, "ScalingUp", "False")
    running = set(witness.alive(group))
    assert len(running) == 3
    await operator.stop()
    asked_before = len(terminations(world, group))

    await restore(world, group, pool, old)
    async with world.operator():

        async def said() -> str:
            conditions = (await world.node_pool(pool))["status"].get("conditions", [])
            wrong = [c for c in conditions if c["reason"] in ("NodesUnmatched", "UnregisteredInstances")]
            return str(wrong[0]["message"]) if wrong else ""

        message = await world.until(said, "the instances without Nodes to be named")
        assert f"3 instances of group {group}" in message
        await time_passes()
    assert len(terminations(world, group)) == asked_before
    assert running <= set(witness.alive(group))
    # The pods went with their Nodes, and need three places again: bought once.
    assert world.cloud.desired(group) <= 6


async def test_the_node_of_an_instance_that_is_gone_is_not_taken_for_a_running_one(
    world: World, witness: Witness
) -> None:
    """What a backup brings back looks alive: its Node says Ready. No instance stands behind it."""
    group, (first, second) = await spare_group(world, 2)
    pool = await world.pool(group, policy=await world.policy(**IMPATIENT | {"scaleDown": {"enabled": False}}))
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        gone = first["spec"]["providerID"].rpartition("/")[2]
        assert world.cloud.lose_instance(gone)
        await world.events(pool, "InstanceLost")
        nodes = await world.nodes_settle(group, 2)
        assert second["metadata"]["name"] in {node["metadata"]["name"] for node in nodes}
        await make_node(world, first)
        await time_passes(4)
        status = (await world.node_pool(pool))["status"]
        assert status["size"]["target"] == 2
        assert status["nodes"]["registered"] == 2
        await world.api.delete(f"/api/v1/nodes/{first['metadata']['name']}")
    assert world.mutations(group) == []
    with pytest.raises(ApiError):
        await world.api.get(f"/api/v1/nodes/{first['metadata']['name']}")
