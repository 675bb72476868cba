"""What is wrong and no schema can see: a condition or an event names it and the way out, and everything else goes on.

The manifests that the API server refuses are in tests/bad_manifests.py; how the command fails to start is in
test_bad_start.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from devcluster.cloud.failures import Denied, InvalidCredentials, Throttled
from devcluster.ports import LOOPBACK, free_ports
from tests.e2e.test_scale_down import QUICK
from tests.e2e.world import OWN, OWNER_KEY, SET, TERMINATE, Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

Make = Callable[[World, str], Awaitable[str]]
"""Makes a NodePool under a policy; its name."""

IMPATIENT = {"backoff": {"initial": "1s", "max": "2s"}}


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """Something wrong with a NodePool that only the cluster or the cloud can tell."""

    id: str
    make: Make
    reason: str
    field: str
    """What to look at: a field of the manifest, or a group."""
    remedy: str
    condition: str = "Ready"


def over(*names: str, found: dict[str, Any] | None = None, **spec: Any) -> Make:
    """A pool over a group made for it (or none, with `found` None), and these further names."""

    async def make(world: World, policy: str) -> str:
        groups = [] if found is None else [await world.group(**found)]
        return await world.pool(*groups, *names, policy=policy, **spec)

    return make


def discovering(**tags: str) -> Make:
    async def make(world: World, policy: str) -> str:
        return await world.pool(policy=policy, tags={key.replace("__", "/"): tags[key] for key in tags})

    return make


async def claiming_what_is_taken(world: World, policy: str) -> str:
    group = await world.group()
    older = await world.pool(group, policy=policy)
    await until_older(world, older)
    return await world.pool(group, policy=policy)


async def until_older(world: World, pool: str) -> None:
    """Until a second has passed since the pool was made: creation times are whole seconds."""
    made = (await world.node_pool(pool))["metadata"]["creationTimestamp"]

    async def later() -> bool:
        probe = await world.api.post(
            "/api/v1/namespaces/default/configmaps",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "clock-"}},
        )
        await world.api.delete(f"/api/v1/namespaces/default/configmaps/{probe['metadata']['name']}")
        return str(probe["metadata"]["creationTimestamp"]) > str(made)

    await world.until(later, "the next second")


async def scaled_by_a_policy_of_its_own(world: World, policy: str) -> str:
    group = await world.group()
    async with world.cloud.client("autoscaling", access_key=OWNER_KEY) as client:
        await client.put_scaling_policy(
            AutoScalingGroupName=group,
            PolicyName="cpu-target",
            PolicyType="SimpleScaling",
            AdjustmentType="ChangeInCapacity",
            ScalingAdjustment=1,
        )
    return await world.pool(group, policy=policy)


async def that_may_not_launch(world: World, policy: str) -> str:
    group = await world.group()
    async with world.cloud.client("autoscaling", access_key=OWNER_KEY) as client:
        await client.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    return await world.pool(group, policy=policy)


async def without_a_policy(world: World, _: str) -> str:
    return await world.pool(await world.group(), policy="nowhere")


LEFT_ALONE = (
    Wrong(
        id="a policy that does not exist",
        make=without_a_policy,
        reason="PolicyNotFound",
        field="spec.policyRef.name",
        remedy="create it, or name one that exists",
    ),
    Wrong(
        id="a group that does not exist",
        make=over("ghost"),
        reason="GroupNotFound",
        field="spec.provider.aws.autoScalingGroups[0]",
        remedy="in us-east-1; correct the name or the region, or remove it from the list",
    ),
    Wrong(
        id="maxSize above the group's own maximum",
        make=over(found={"max_size": 3}, maxSize=5),
        reason="BoundsContradict",
        field="spec.maxSize is 5",
        remedy="lower maxSize to 3, or raise the groups' maximum",
    ),
    Wrong(
        id="minSize above the group's own maximum",
        make=over(found={"max_size": 3}, minSize=4),
        reason="BoundsContradict",
        field="spec.minSize is 4",
        remedy="lower minSize to 3, or raise the groups' maximum",
    ),
    Wrong(
        id="maxSize below the group's own minimum",
        make=over(found={"min_size": 2}, maxSize=1),
        reason="BoundsContradict",
        field="spec.maxSize is 1",
        remedy="raise maxSize to 2, or lower the groups' minimum",
    ),
    Wrong(
        id="tags that do not name this cluster",
        make=discovering(team="search"),
        reason="DiscoveryNotOwned",
        field="spec.provider.aws.discovery.tags",
        remedy='add k8s.io/cluster-autoscaler/e2e: ""',
    ),
    Wrong(
        id="tags that no group has",
        make=discovering(k8s__cluster="e2e", team="nobody"),
        reason="GroupNotFound",
        field="spec.provider.aws.discovery.tags",
        remedy="tag the groups, or correct the tags",
    ),
    Wrong(
        id="an override that contradicts the policy",
        make=over(found={}, scaleUp={"backoff": {"initial": "45m"}}),
        reason="InvalidSpec",
        field="spec.scaleUp.backoff",
        remedy="shorten initial or lengthen max",
    ),
    Wrong(
        id="more allocatable than the machine has",
        make=over(found={}, template={"allocatable": {"cpu": 64}}),
        reason="InvalidSpec",
        field="spec.template.allocatable",
        remedy="lower it, or raise the resource in spec.template.capacity",
    ),
    Wrong(
        id="a group of an older NodePool",
        make=claiming_what_is_taken,
        reason="GroupClaimed",
        field="spec.provider",
        remedy="take it off one of the two NodePools",
    ),
)

IN_PART = (
    Wrong(
        id="one of two groups does not exist",
        make=over("ghost", found={}),
        condition="Degraded",
        reason="GroupNotFound",
        field="spec.provider.aws.autoScalingGroups[1]",
        remedy="correct the name or the region, or remove it from the list",
    ),
    Wrong(
        id="AWS balances the group's zones",
        make=over(found={"zones": ("us-east-1a", "us-east-1b")}),
        condition="Degraded",
        reason="AZRebalanceActive",
        field="AZRebalance",
        remedy="suspend that process",
    ),
    Wrong(
        id="the group has a scaling policy",
        make=scaled_by_a_policy_of_its_own,
        condition="Degraded",
        reason="GroupHasScalingPolicy",
        field="scaling policy cpu-target",
        remedy="delete or disable that policy",
    ),
    Wrong(
        id="the group may not launch",
        make=that_may_not_launch,
        condition="Degraded",
        reason="GroupUnusable",
        field="process Launch suspended",
        remedy="resume it",
    ),
    Wrong(
        id="a tag that describes no taint",
        make=over(found={"taints": {"dedicated": "gpu:Never"}}),
        condition="Degraded",
        reason="TemplateUnknown",
        field="dedicated=gpu:Never",
        remedy="write value:Effect",
    ),
    Wrong(
        id="a type of machine that nobody knows",
        make=over(found={"instance_type": "z9.colossal"}),
        condition="Degraded",
        reason="TemplateUnknown",
        field="spec.template.capacity",
        remedy="give at least cpu and memory there",
    ),
)


async def wrong_pools(world: World, table: tuple[Wrong, ...], policy: str) -> dict[str, Wrong]:
    return {await wrong.make(world, policy): wrong for wrong in table}


async def told(world: World, pool: str, wrong: Wrong) -> Manifest:
    condition = await world.condition(
        pool,
        wrong.condition,
        "False" if wrong.condition == "Ready" else "True",
        reason=wrong.reason,
        timeout=30,
    )
    assert wrong.field in condition["message"], wrong.id
    assert wrong.remedy in condition["message"], wrong.id
    return condition


@contextlib.asynccontextmanager
async def a_good_pool_grows(world: World, policy: str, *flags: str) -> AsyncIterator[str]:
    """Run the operator; a good pool must serve its pods although others are in trouble. Yields the pool."""
    group = await world.group()
    pool = await world.pool(group, policy=policy)
    async with world.operator(*flags) as operator:
        app = await world.deployment(2, nodeSelector={"group": group})
        await world.running(app, 2)
        await world.condition(pool, "Ready", "True", reason="Accepted")
        yield pool
    assert world.raises(group) == [1]
    assert "Traceback" not in operator.lines()


async def test_a_wrong_pool_is_left_alone_and_the_others_go_on(world: World) -> None:
    policy = await world.policy()
    pools = await wrong_pools(world, LEFT_ALONE, policy)
    groups = list(world.groups)
    async with a_good_pool_grows(world, policy):
        for pool, wrong in pools.items():
            await told(world, pool, wrong)
            (event,) = await world.events(pool, wrong.reason)
            assert event["type"] == "Warning"
            assert wrong.remedy in event["message"]
        # They would fit, and are asked for by name: still nothing is bought there.
        for group in groups:
            await world.deployment(1, nodeSelector={"group": group})
        status = (await world.api.get(f"{OWN}/autoscalerpolicies/{policy}"))["status"]
        assert status["pools"]["total"] > status["pools"]["ready"]
    assert {group: world.mutations(group) for group in groups if world.mutations(group)} == {}


async def test_what_is_wrong_in_part_is_named_and_the_rest_of_the_pool_works(world: World) -> None:
    policy = await world.policy()
    pools = await wrong_pools(world, IN_PART, policy)
    half, group = next(iter(pools)), world.groups[0]
    async with a_good_pool_grows(world, policy):
        for pool, wrong in pools.items():
            await told(world, pool, wrong)
            await world.condition(pool, "Ready", "True", reason="Accepted")
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
    assert world.raises(group) == [1]
    assert [one["id"] for one in (await world.node_pool(half))["status"]["groups"]] == [group]


async def test_what_was_wrong_is_forgotten_when_it_is_mended(world: World) -> None:
    policy, group = await world.policy(), await world.group(max_size=3)
    pool = await world.pool(group, policy=policy, maxSize=5)
    async with world.operator():
        await world.condition(pool, "Ready", "False", reason="BoundsContradict")
        await world.api.patch(f"{OWN}/nodepools/{pool}", {"spec": {"maxSize": 3}})
        condition = await world.condition(pool, "Ready", "True", reason="Accepted")
        assert condition["observedGeneration"] == 2
        await world.events(pool, "Accepted")


async def test_the_group_of_a_deleted_pool_goes_to_the_next_that_claims_it(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    older = await world.pool(group, policy=policy)
    await until_older(world, older)
    newer = await world.pool(group, policy=policy)
    async with world.operator():
        await world.condition(older, "Ready", "True", reason="Accepted")
        condition = await world.condition(newer, "Ready", "False", reason="GroupClaimed")
        assert f"'{older}'" in condition["message"]
        await world.api.delete(f"{OWN}/nodepools/{older}")
        await world.condition(newer, "Ready", "True", reason="Accepted")
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        await world.events(newer, "ScaledUpGroup")


async def test_a_pool_made_anew_under_its_old_name_works_like_a_new_one(world: World) -> None:
    policy, group = await world.policy(), await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=policy, mode="Paused")
    async with world.operator():
        await world.condition(pool, "Ready", "True", reason="Paused")
        spec = (await world.node_pool(pool))["spec"] | {"mode": "Active"}
        await world.api.delete(f"{OWN}/nodepools/{pool}")

        async def gone() -> bool:
            return await world.api.find(f"{OWN}/nodepools/{pool}") is None

        await world.until(gone, "the NodePool to be gone")
        await world.create("NodePool", pool, spec)
        await world.condition(pool, "Ready", "True", reason="Accepted")
        app = await world.deployment(2, cpu="3", nodeSelector={"group": group})
        await world.running(app, 2)
    assert world.raises(group) == [2]


async def test_without_the_clusters_name_nothing_is_discovered(world: World) -> None:
    tags = {"k8s.io/cluster-autoscaler/e2e": "", "test": unique("tag")}
    group = await world.group(tags=tags)
    policy = await world.policy()
    pool = await world.pool(policy=policy, tags=tags)
    async with a_good_pool_grows(world, policy, "--cluster-name="):
        condition = await world.condition(pool, "Ready", "False", reason="DiscoveryNotOwned")
        assert "start it with --cluster-name" in condition["message"]
    assert world.mutations(group) == []


# --- the cloud says no ----------------------------------------------------------------------------------------------


async def test_credentials_that_are_not_accepted_stop_their_provider_only(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    pool = await world.pool(group, policy=policy)
    simulated = unique("pool")
    own = {"groups": [{"name": "only", "minSize": 1, "capacity": {"cpu": 4, "memory": "16Gi"}}]}
    spec = {"policyRef": {"name": policy}, "provider": {"simulated": own}}
    await world.create("NodePool", simulated, spec)
    world.pools.append(simulated)
    world.cloud.failures.add(InvalidCredentials())
    async with world.operator() as operator:
        app = await world.deployment(1, nodeSelector={"group": group})
        for kind in ("Ready", "ProviderReachable"):
            condition = await world.condition(pool, kind, "False", reason="CredentialsDenied")
            assert "autoscaling:DescribeAutoScalingGroups" in condition["message"]
            assert "renew them" in condition["message"]
        await world.condition(simulated, "Ready", "True", reason="Accepted")
        assert (await world.node_pool(simulated))["status"]["size"]["target"] == 1
        world.cloud.failures.clear()
        await world.condition(pool, "Ready", "True", reason="Accepted", timeout=60)
        await world.running(app, 1)
        assert "Traceback" not in operator.lines()


async def test_a_purchase_that_is_not_allowed_names_the_permission_and_is_tried_again(world: World) -> None:
    policy, group = await world.policy(scaleUp=IMPATIENT), await world.group()
    pool = await world.pool(group, policy=policy)
    world.cloud.failures.add(Denied(action=SET))
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"group": group})
        (event, *_) = await world.events(pool, "FailedToScaleUpGroup")
        assert "allow the IAM action autoscaling:SetDesiredCapacity" in event["message"]
        condition = await world.condition(pool, "Degraded", "True", reason="GroupsBackingOff")
        assert "allow the IAM action autoscaling:SetDesiredCapacity" in condition["message"]
        world.cloud.failures.clear()
        await world.running(app, 1)
        await world.condition(pool, "Degraded", "False", reason="AsExpected")


async def test_a_removal_that_is_not_allowed_names_the_permission_and_is_tried_again(world: World) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    world.cloud.failures.add(Denied(action=TERMINATE))
    async with world.operator():
        (event, *_) = await world.events(pool, "ScaleDownFailed")
        assert "allow the IAM action autoscaling:TerminateInstanceInAutoScalingGroup" in event["message"]
        assert len(await world.nodes(group)) == 1
        world.cloud.failures.clear()
        await world.nodes_settle(group, 0, timeout=90)


async def test_scaling_policies_that_may_not_be_read_are_named_and_the_pool_goes_on(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    world.cloud.failures.add(Denied(action="DescribePolicies"))
    async with world.operator():
        condition = await world.condition(pool, "Degraded", "True", reason="ProviderError")
        assert "allow the IAM action autoscaling:DescribePolicies" in condition["message"]
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)


async def test_a_launch_template_that_may_not_be_read_is_made_up_for_by_the_pools_own(world: World) -> None:
    group = await world.group()
    capacity = {"cpu": 4, "memory": "16Gi"}
    pool = await world.pool(group, policy=await world.policy(), template={"capacity": capacity})
    world.cloud.failures.add(Denied(action="DescribeLaunchTemplateVersions"))
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        await world.condition(pool, "Degraded", "False", reason="AsExpected")


async def test_without_launch_template_and_tags_the_permission_is_named(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    world.cloud.failures.add(Denied(action="DescribeLaunchTemplateVersions"))
    async with world.operator():
        condition = await world.condition(pool, "Degraded", "True", reason="TemplateUnknown")
        assert "allow the IAM action ec2:DescribeLaunchTemplateVersions" in condition["message"]
        assert "spec.template.capacity" in condition["message"]
        app = await world.deployment(1, nodeSelector={"group": group})
        (pod,) = await world.until(lambda: world.pods(app), "the pod")
        (event,) = await world.events(pod["metadata"]["name"], "NotTriggerScaleUp")
        assert "set spec.template" in event["message"]
    assert world.raises(group) == []


async def test_a_cloud_that_asks_to_slow_down_is_waited_for(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    async with world.operator():
        await world.condition(pool, "ProviderReachable", "True")
        world.cloud.failures.add(Throttled())
        condition = await world.condition(
            pool, "ProviderReachable", "False", reason="ProviderThrottled", timeout=60
        )
        assert "tried again by itself" in condition["message"]
        # What is known is not forgotten.
        assert (await world.node_pool(pool))["status"]["groups"][0]["id"] == group
        world.cloud.failures.clear()
        await world.condition(pool, "ProviderReachable", "True", timeout=90)


async def test_a_cloud_that_is_not_there_is_found_when_it_comes(world: World) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    [port] = free_ports(1)
    async with world.operator(environment={"AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}"}):
        app = await world.deployment(1, nodeSelector={"group": group})
        for kind in ("Ready", "ProviderReachable"):
            condition = await world.condition(pool, kind, "False", reason="ProviderError", timeout=40)
            assert "cannot connect" in condition["message"]
            assert "check the region, the network and AWS_ENDPOINT_URL" in condition["message"]
        async with forwarding(port, to=world.cloud.endpoint_url):
            await world.condition(pool, "ProviderReachable", "True", timeout=90)
            await world.running(app, 1)


@contextlib.asynccontextmanager
async def forwarding(port: int, *, to: str) -> AsyncIterator[None]:
    """Pass what comes to a loopback port on to the host and port of a URL."""
    there = urlsplit(to)
    connections: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        for one in (pump(reader, far_writer), pump(far_reader, writer)):
            connections.add(asyncio.create_task(one))

    server = await asyncio.start_server(connected, LOOPBACK, port)
    try:
        yield
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


# --- pods that no group can hold ----------------------------------------------------------------------------------

SPREAD = {
    "maxSkew": 1,
    "topologyKey": "example.com/rack",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"spread": "yes"}},
}
NEAR = {
    "podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "absent"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}
WIDGET = {"name": "main", "image": "pause", "resources": {"limits": {"example.com/widget": "2"}}}

UNHELPED: dict[str, tuple[dict[str, Any], str]] = {
    "too large": ({"cpu": "64"}, "needs 64 cpu, a fresh node has 4 free"),
    "too much memory": ({"memory": "64Gi"}, "needs 64Gi memory, a fresh node has 16Gi free"),
    "a resource that no node has": (
        {"containers": [WIDGET]},
        "needs 2 example.com/widget, a fresh node has 0 free",
    ),
    "a label that no node has": (
        {"nodeSelector": {"accelerator": "a100"}},
        "node selector or affinity does not match (accelerator=a100)",
    ),
    "a zone without a group": (
        {"nodeSelector": {"topology.kubernetes.io/zone": "us-east-1f"}},
        "node selector or affinity does not match (topology.kubernetes.io/zone=us-east-1f)",
    ),
    "a spread over what no node has": (
        {"labels": {"spread": "yes"}, "topologySpreadConstraints": [SPREAD]},
        "rules between pods leave them no place there: no group adds nodes with the label example.com/rack",
    ),
    "affinity to a pod that is not there": (
        {"affinity": NEAR},
        "rules between pods leave them no place there: no new node will have the pods that its affinity asks for",
    ),
}


async def test_a_pod_that_no_group_can_hold_is_told_why_for_each_group(world: World) -> None:
    policy, group = await world.policy(), await world.group()
    tainted = await world.group(taints={"dedicated": "db:NoSchedule"})
    pool = await world.pool(group, policy=policy)
    closed = await world.pool(tainted, policy=policy)
    async with world.operator():
        await world.condition(pool, "Ready", "True")
        await world.condition(closed, "Ready", "True")
        apps = {name: await world.deployment(1, **pod) for name, (pod, _) in UNHELPED.items()}
        for name, (_, why) in UNHELPED.items():
            message = await not_triggered(world, apps[name])
            assert message.startswith("pod didn't trigger scale-up: 1 group: "), name
            assert f"{why}" in message, name
            assert f"[{pool}/{group}]" in message, name
            assert "taint dedicated=db:NoSchedule is not tolerated" in message, name
            assert f"[{closed}/{tainted}]" in message, name
    assert world.mutations(group) == world.mutations(tainted) == []


async def not_triggered(world: World, app: str) -> str:
    """The one message the app's pod got."""

    async def pod_is_there() -> list[Manifest]:
        return await world.pods(app)

    (pod,) = await world.until(pod_is_there, f"the pod of {app}")
    (event,) = await world.events(pod["metadata"]["name"], "NotTriggerScaleUp")
    return str(event["message"])
