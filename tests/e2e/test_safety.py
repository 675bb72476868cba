"""What must never go wrong: wrong pictures, other autoscalers, pools let go, modes that change nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.e2e.test_scale_down import QUICK, taints
from tests.e2e.world import HARD_TAINT, OWN, SOFT_TAINT, TERMINATE, World

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def passes(world: World, port: int) -> dict[str, float]:
    """Passes so far, by cause."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'springtide_passes_total\{cause="([^"]+)"\} (\S+)', text)
    writes = re.findall(r'springtide_status_writes_total\{resource="([^"]+)"\} (\S+)', text)
    return {cause: float(count) for cause, count in [*found, *writes]}


async def test_nodes_that_lost_their_provider_ids_are_not_taken_for_missing(world: World) -> None:
    group = await world.group(desired=2)
    nodes = await world.nodes_settle(group, 2)
    for node in nodes:
        # spec.providerID cannot be changed: such a Node is made anew by a kubelet without a cloud provider.
        name = node["metadata"]["name"]
        await world.api.delete(f"/api/v1/nodes/{name}")
        bare = {key: node["metadata"][key] for key in ("name", "labels", "annotations")}
        made = await world.api.post(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": bare, "spec": {}}
        )
        await world.api.patch(f"/api/v1/nodes/{made['metadata']['name']}/status", {"status": node["status"]})
    policy = await world.policy(scaleDown=QUICK, scaleUp={"maxNodeProvisionTime": "1s"})
    pool = await world.pool(group, policy=policy)
    async with world.operator():
        condition = await world.condition(pool, "Ready", "False", reason="NoProviderIDs")
        assert "providerID" in condition["message"]
        await asyncio.sleep(0)
        await _several_passes(world, pool)
    assert world.mutations(group) == []


async def test_a_group_whose_nodes_were_all_deleted_loses_no_instance(world: World) -> None:
    group = await world.group(desired=2)
    await world.nodes_settle(group, 2)
    policy = await world.policy(scaleDown=QUICK, scaleUp={"maxNodeProvisionTime": "1s"})
    pool = await world.pool(group, policy=policy)
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        for node in await world.nodes(group):
            await world.api.delete(f"/api/v1/nodes/{node['metadata']['name']}")
        condition = await world.condition(pool, "Ready", "False", reason="NodesUnmatched")
        assert group in condition["message"]
        await _several_passes(world, pool)
    assert TERMINATE not in world.mutations(group)
    assert len(world.cloud.instances(group)) == 2


async def _several_passes(world: World, pool: str) -> None:
    """Until the pool's status was looked at again (the shortest heartbeat any operator here has), over several scans."""
    async with aiohttp.ClientSession():
        loop = asyncio.get_running_loop()
        end = loop.time() + 4

        async def later() -> bool:
            return loop.time() >= end

        await world.until(later, "four scans")


async def test_a_paused_pool_and_a_dry_run_policy_change_nothing_but_report(world: World) -> None:
    paused_group, dry_group = await world.group(desired=1), await world.group(desired=1)
    for group in (paused_group, dry_group):
        await world.nodes_settle(group, 1)
    paused = await world.pool(paused_group, policy=await world.policy(scaleDown=QUICK), mode="Paused")
    dry = await world.pool(dry_group, policy=await world.policy(scaleDown=QUICK, mode="DryRun"))
    async with world.operator():
        await world.condition(paused, "Ready", "True", reason="Paused")
        await world.condition(dry, "Ready", "True", reason="DryRun")
        await world.deployment(1, cpu="3900m", memory="100Mi", nodeSelector={"group": paused_group})
        app = await world.deployment(2, cpu="3", nodeSelector={"group": dry_group})
        await world.running(app, 1)
        await world.events(dry, "DryRunScaleUp")
        status = (await world.node_pool(paused))["status"]
        assert status["nodes"]["ready"] == 1
    assert world.mutations(paused_group) == world.mutations(dry_group) == []
    for group in (paused_group, dry_group):
        assert not {HARD_TAINT, SOFT_TAINT} & taints((await world.nodes(group))[0])


async def test_an_edited_policy_takes_effect_without_a_restart(world: World) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    policy = await world.policy(scaleDown={"enabled": False})
    pool = await world.pool(group, policy=policy)
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        await world.api.patch(
            f"{OWN}/autoscalerpolicies/{policy}", {"spec": {"scaleDown": {"enabled": True} | QUICK}}
        )
        await world.nodes_settle(group, 0)
    assert world.cloud.desired(group) == 0


async def test_a_deleted_pool_lets_its_nodes_go(world: World) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK | {"unneededTime": "1h"}))
    async with world.operator():

        async def soft() -> bool:
            return SOFT_TAINT in taints((await world.nodes(group))[0])

        await world.until(soft, "the soft taint")
        await world.api.delete(f"{OWN}/nodepools/{pool}")

        async def gone() -> bool:
            return await world.api.find(f"{OWN}/nodepools/{pool}") is None

        await world.until(gone, "the NodePool to be gone")
        (node,) = await world.nodes(group)
        assert not {HARD_TAINT, SOFT_TAINT} & taints(node)
        assert "springtide.dev/unneeded-since" not in node["metadata"]["annotations"]
    assert world.mutations(group) == []


async def test_while_cluster_autoscaler_runs_nothing_is_bought_or_removed(world: World) -> None:
    idle, wanted = await world.group(desired=1), await world.group()
    await world.nodes_settle(idle, 1)
    policy = await world.policy(scaleDown=QUICK)
    pools = [await world.pool(group, policy=policy) for group in (idle, wanted)]
    spec = {
        "holderIdentity": "ca-0",
        "leaseDurationSeconds": 3600,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    metadata = {"name": "cluster-autoscaler", "namespace": "kube-system"}
    await world.apply(
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    )
    async with world.operator():
        await world.deployment(1, nodeSelector={"group": wanted})
        for pool in pools:
            condition = await world.condition(pool, "Ready", "False", reason="ClusterAutoscalerActive")
            assert "ca-0" in condition["message"]
        await _several_passes(world, pools[0])
        assert world.mutations(idle) == world.mutations(wanted) == []
        # Handed over: its Lease is gone, and so is the reason to hold back.
        await world.api.delete(
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/cluster-autoscaler"
        )
        await world.nodes_settle(wanted, 1)


async def test_an_idle_cluster_is_left_in_peace(world: World) -> None:
    group = await world.group(desired=1, min_size=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    async with world.operator() as operator:
        await world.condition(pool, "Ready", "True")
        await _several_passes(world, pool)
        before = await passes(world, operator.port)
        await _several_passes(world, pool)
        after = await passes(world, operator.port)
    grown = {cause for cause, count in after.items() if count > before.get(cause, 0)}
    assert grown == {"scan"}


async def test_the_operator_stops_within_three_seconds_and_the_next_one_goes_on(world: World) -> None:
    group = await world.group()
    await world.pool(group, policy=await world.policy())
    operator = await world.start_operator()
    app = await world.deployment(1, nodeSelector={"group": group})
    await world.running(app, 1)
    assert await operator.stop() < 3
    assert operator.process.returncode == 0
    assert "Traceback" not in operator.lines()
    async with world.operator():
        await world.scale(app, 2)
        await world.running(app, 2)
    assert world.raises(group) == [1]
