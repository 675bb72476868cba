"""Pods pend, nodes are bought: on the real control plane, against the devcluster's AWS."""

from __future__ import annotations

import pytest

from devcluster.cloud.failures import NeverRegisters, NoCapacity, SlowBoot
from tests.e2e.world import TERMINATE, Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ENABLED = "k8s.io/cluster-autoscaler/enabled"
OURS = "k8s.io/cluster-autoscaler/e2e"


async def test_a_group_found_by_its_tags_grows_from_zero(world: World) -> None:
    tags = {ENABLED: "", OURS: "", "test": unique("tag")}
    group = await world.group(tags=tags)
    pool = await world.pool(policy=await world.policy(), tags=tags)
    async with world.operator():
        app = await world.deployment(3, nodeSelector={"group": group})
        await world.running(app, 3)
        await world.events(pool, "ScaledUpGroup")
        await world.condition(pool, "Ready", "True", reason="Accepted")
    assert world.raises(group) == [1]
    status = (await world.node_pool(pool))["status"]
    assert status["size"]["target"] == 1
    assert status["groups"][0]["id"] == group


async def test_a_burst_of_a_thousand_pods_over_three_pools(world: World) -> None:
    policy = await world.policy()
    apps = []
    groups = [await world.group(instance_type="m5.4xlarge", max_size=20) for _ in range(3)]
    for group in groups:
        await world.pool(group, policy=policy)
    async with world.operator():
        for group, replicas in zip(groups, (334, 333, 333), strict=True):
            apps.append(await world.deployment(replicas, nodeSelector={"group": group}))
        for app, replicas in zip(apps, (334, 333, 333), strict=True):
            await world.running(app, replicas, timeout=60)
    for group in groups:
        # 32 pods of 500m fit 16 vCPU: 11 nodes hold 333 and 334. A burst that drags on is bought for in portions; what
        # they leave free is used by the next, but for the last pods that the scheduler put elsewhere meanwhile.
        assert 11 <= len(await world.nodes(group)) <= 12
        assert world.raises(group) == sorted(world.raises(group))


async def test_taints_and_affinity_pick_the_right_pool(world: World) -> None:
    policy = await world.policy()
    plain = await world.group()
    tainted = await world.group(taints={"dedicated": "gpu:NoSchedule"})
    far = await world.group(zones=("us-east-1b",))
    for group in (plain, tainted, far):
        await world.pool(group, policy=policy)
    toleration = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    in_zone_b = {
        "key": "topology.kubernetes.io/zone",
        "operator": "In",
        "values": ["us-east-1b"],
    }
    either = {"key": "group", "operator": "In", "values": [plain, tainted]}
    async with world.operator():
        on_plain = await world.deployment(1, affinity=node_affinity(either))
        await world.running(on_plain, 1)
        assert world.raises(plain) == [1]
        on_tainted = await world.deployment(1, nodeSelector={"group": tainted}, tolerations=[toleration])
        in_b = await world.deployment(1, affinity=node_affinity(in_zone_b))
        await world.running(on_tainted, 1)
        await world.running(in_b, 1)
    assert (world.raises(plain), world.raises(tainted), world.raises(far)) == ([1], [1], [1])


def node_affinity(*requirements: Manifest) -> Manifest:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(requirements)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


async def test_at_the_maximum_condition_and_event_say_so(world: World) -> None:
    group = await world.group(max_size=1)
    pool = await world.pool(group, policy=await world.policy())
    async with world.operator():
        app = await world.deployment(2, cpu="3", nodeSelector={"group": group})
        await world.running(app, 1)
        condition = await world.condition(pool, "AtMax", "True")
        assert "1" in condition["message"]
        pending = next(p for p in await world.pods(app) if p["status"]["phase"] == "Pending")
        event = (await world.events(pending["metadata"]["name"], "NotTriggerScaleUp"))[-1]
        assert "max" in event["message"]
        assert group in event["message"]
    assert world.raises(group) == [1]


async def test_without_capacity_in_one_group_another_is_bought_in_the_pass_that_sees_it(world: World) -> None:
    small = await world.group(instance_type="m5.large", labels={"test": "fallback"})
    large = await world.group(instance_type="m5.4xlarge", labels={"test": "fallback"})
    policy = await world.policy()
    pool = await world.pool(small, policy=policy)
    other = await world.pool(large, policy=policy)
    world.cloud.failures.add(NoCapacity(group=small))
    async with world.operator():
        app = await world.deployment(1, cpu="1500m", nodeSelector={"test": "fallback"})
        await world.running(app, 1)
        degraded = await world.condition(pool, "Degraded", "True", reason="GroupsBackingOff")
        assert "capacity" in degraded["message"]
        backoff = (await world.node_pool(pool))["status"]["groups"][0]["backoff"]
        assert backoff["reason"] == "OutOfCapacity"
        await world.events(pool, "ScaleUpFailed")
    # The least wasteful group was tried once; what could not be had was given up.
    assert world.raises(small) == [1, 0]
    assert world.raises(large) == [1]
    bought = (await world.node_pool(other))["status"]["lastDecision"]
    gave_up = (await world.node_pool(pool))["status"]["lastDecision"]
    assert bought["planID"] == gave_up["planID"]


async def test_an_instance_that_never_registers_is_given_back(world: World) -> None:
    group = await world.group()
    policy = await world.policy(scaleUp={"maxNodeProvisionTime": "4s"})
    pool = await world.pool(group, policy=policy)
    async with world.operator():
        # One good node first: nothing is removed as unregistered in a group that never had a Node.
        first = await world.deployment(1, cpu="3", nodeSelector={"group": group})
        await world.running(first, 1)
        world.cloud.failures.add(NeverRegisters(group=group))
        await world.deployment(1, cpu="3", nodeSelector={"group": group})

        async def bought() -> bool:
            return world.raises(group) == [1, 2]

        await world.until(bought, "the second purchase")

        async def given_back() -> bool:
            return world.cloud.desired(group) == 1 and len(world.cloud.instances(group)) == 1

        await world.until(given_back, "the instance to be given back", timeout=40)
        await world.events(pool, "DeleteUnregistered")
    assert len(await world.nodes(group)) == 1
    assert world.mutations(group).count(TERMINATE) == 1


async def test_no_more_is_bought_for_pods_that_wait_for_a_booting_node(world: World) -> None:
    group = await world.group()
    await world.pool(group, policy=await world.policy())
    world.cloud.failures.add(SlowBoot(seconds=4.0, group=group))
    async with world.operator():
        app = await world.deployment(3, nodeSelector={"group": group})
        await world.running(app, 3)
    assert world.raises(group) == [1]
