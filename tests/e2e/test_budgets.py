"""Budgets of a policy and volumes of a drained node, on the real control plane."""

from __future__ import annotations

import time

import pytest

from devcluster.api import ApiError
from tests.e2e.world import TERMINATE, Manifest, World, pod_spec, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

POLICIES = "/apis/springtide.dev/v1alpha1/autoscalerpolicies"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
HOLD = "example.com/attached"
QUICK = {"unneededTime": "2s", "delayAfterAdd": "0s", "delayAfterFailure": "0s"}


async def test_a_budget_denies_and_says_so_and_lifted_lets_the_node_go(world: World) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    # Always open: a window of an hour begins with every minute.
    closed = {
        "name": "freeze",
        "nodes": 0,
        "schedule": "* * * * *",
        "duration": "1h",
        "timeZone": "Asia/Tokyo",
    }
    policy = await world.policy(scaleDown=QUICK, budgets=[closed])
    pool = await world.pool(group, policy=policy)
    async with world.operator():

        async def held() -> Manifest | None:
            status = (await world.node_pool(pool)).get("status", {})
            candidates = status.get("scaleDown", {}).get("candidates", [])
            return next((each for each in candidates if "budget freeze" in each.get("blockedBy", "")), None)

        candidate = await world.until(held, "the budget to be named")
        assert candidate is not None
        assert "allows no removal until" in candidate["blockedBy"]

        async def shown() -> Manifest | None:
            return next(iter((await world.policy_status(policy)).get("budgets", [])), None)

        budget = await world.until(shown, "the budget in the policy's status")
        assert budget is not None
        assert (budget["name"], budget["open"], budget["allowed"], budget["inUse"]) == ("freeze", True, 0, 0)
        assert world.mutations(group) == []
        await world.api.patch(f"{POLICIES}/{policy}", {"spec": {"budgets": []}})
        await world.nodes_settle(group, 0)
    assert world.mutations(group) == [TERMINATE]


async def test_a_schedule_that_only_we_can_judge_is_refused_by_name(world: World) -> None:
    """The API server sees that there are five fields; that no day has 25 hours is said in the condition."""
    wrong = {"name": "nights", "nodes": 0, "schedule": "0 25 * * *", "duration": "1h"}
    policy = await world.policy(scaleDown=QUICK, budgets=[wrong])
    async with world.operator():

        async def said() -> str:
            conditions = (await world.policy_status(policy)).get("conditions", [])
            return next((each["message"] for each in conditions if each["status"] == "False"), "")

        message = await world.until(said, "the condition")
    assert "spec.budgets[0].schedule: '0 25 * * *' is no cron schedule (hour)" in message


async def app_with_a_volume(world: World, group: str) -> tuple[str, str]:
    """A Deployment of one pod with a volume, on nodes labelled for the group; its name, and that of the volume."""
    name = unique("disk")
    size = {"storage": "1Gi"}
    await world.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "claimRef": {"namespace": "default", "name": name},
                "csi": {"driver": "disk.example.com", "volumeHandle": name},
            },
        }
    )
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name}
    await world.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "default"},
            "spec": claim | {"resources": {"requests": size}},
        }
    )
    mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    spec = pod_spec(cpu="100m", memory="64Mi", nodeSelector={"place": group}, volumes=mounted)
    spec["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    labels = {"app": name}
    await world.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )
    await world.running(name, 1)
    return name, name


async def test_a_drained_node_waits_for_its_volumes(world: World) -> None:
    group = unique("asg")
    await world.group(name=group, desired=1, labels={"place": group})
    await world.nodes_settle(group, 1)
    app, volume = await app_with_a_volume(world, group)
    (node,) = await world.nodes(group)
    # As a driver's attacher holds it until the disk is really off; the attach-detach controller may have made its own.
    attachment = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": unique("attachment"), "finalizers": [HOLD]},
        "spec": {
            "attacher": "disk.example.com",
            "nodeName": node["metadata"]["name"],
            "source": {"persistentVolumeName": volume},
        },
    }
    await world.apply(attachment)
    path = f"{ATTACHMENTS}/{attachment['metadata']['name']}"  # type: ignore[index]
    spare = await world.group(desired=1, labels={"place": group})
    await world.nodes_settle(spare, 1)
    await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    try:
        async with world.operator():

            async def moved() -> bool:
                pods = [pod for pod in await world.pods(app) if "deletionTimestamp" not in pod["metadata"]]
                return bool(pods) and pods[0]["spec"].get("nodeName") not in (None, node["metadata"]["name"])

            await world.until(moved, "the pod to move")
            await world.api.delete(path)
            seen = len(world.cloud.calls)

            async def looked_on() -> bool:
                return len(world.cloud.calls) >= seen + 5

            await world.until(looked_on, "the operator to read the cloud a few times")
            released_at = time.monotonic()
            await release(world, path)
            await world.nodes_settle(group, 0)
    finally:
        await release(world, path)
    (terminated,) = world.cloud.calls.of(TERMINATE)
    assert terminated.monotonic > released_at


async def release(world: World, path: str) -> None:
    """Let an attachment go, if it is still there."""
    try:
        await world.api.patch(path, {"metadata": {"finalizers": None}})
    except ApiError as error:
        if error.status != 404:
            raise
