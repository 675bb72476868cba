"""Nodes idle, nodes are given back: taints, drains, rollbacks, and everything that keeps a node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from devcluster.api import ApiError
from tests.e2e.world import HARD_TAINT, SOFT_TAINT, TERMINATE, Manifest, World, pod_spec, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

QUICK = {"unneededTime": "2s", "delayAfterAdd": "0s", "delayAfterFailure": "0s"}


def taints(node: Manifest) -> set[str]:
    return {taint["key"] for taint in node["spec"].get("taints", [])}


async def bare_pod(world: World, **extra: Any) -> str:
    """A pod of no controller; its name."""
    metadata = {
        "name": unique("bare"),
        "namespace": extra.pop("namespace", "default"),
        **extra.pop("metadata", {}),
    }
    await world.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": pod_spec(cpu="100m", memory="64Mi", **extra),
        }
    )
    return str(metadata["name"])


async def one_node(world: World, **policy: Any) -> tuple[str, str]:
    """A pool whose one group has one node that nobody uses."""
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK | policy))
    return group, pool


async def test_an_idle_node_is_soft_tainted_hard_tainted_drained_and_terminated(world: World) -> None:
    group = await world.group(desired=2)
    await world.nodes_settle(group, 2)
    app = await world.deployment(2, cpu="200m", nodeSelector={"group": group})
    await world.running(app, 2)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    seen: set[str] = set()

    async def watch_taints() -> None:
        listed = await world.api.get("/api/v1/nodes")
        since = listed["metadata"]["resourceVersion"]
        async for event in world.api.watch("/api/v1/nodes", since=since, labelSelector=f"group={group}"):
            seen.update(taints(event["object"]))

    watching = asyncio.create_task(watch_taints())
    async with world.operator():
        await world.nodes_settle(group, 1)
        await world.running(app, 2)
        await world.events(pool, "ScaledDownNode")
    watching.cancel()
    assert {SOFT_TAINT, HARD_TAINT} <= seen
    assert world.mutations(group) == [TERMINATE]
    assert world.cloud.desired(group) == 1
    (left,) = await world.nodes(group)
    # The other one is needed now: its soft taint is off again.
    assert HARD_TAINT not in taints(left)


async def test_the_minimum_is_kept(world: World) -> None:
    group = await world.group(desired=2, min_size=1)
    await world.nodes_settle(group, 2)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    async with world.operator():
        await world.nodes_settle(group, 1)

        async def said() -> bool:
            scale_down = (await world.node_pool(pool))["status"]["scaleDown"]
            return any("minimum size" in c.get("blockedBy", "") for c in scale_down.get("candidates", []))

        await world.until(said, "the minimum to be named")
    assert world.cloud.desired(group) == 1


async def test_a_pod_that_lands_after_the_taint_undoes_the_removal(world: World) -> None:
    group, pool = await one_node(world)
    async with world.operator("--delay-after-taint=3s"):
        (node,) = await world.nodes(group)

        async def tainted() -> bool:
            return HARD_TAINT in taints((await world.nodes(group))[0])

        await world.until(tainted, "the hard taint")
        late = await bare_pod(world, nodeName=node["metadata"]["name"])
        await world.events(node["metadata"]["name"], "ScaleDownFailed")

        async def clean() -> bool:
            fresh = (await world.nodes(group))[0]
            return HARD_TAINT not in taints(fresh) and not fresh["spec"].get("unschedulable")

        await world.until(clean, "the node to be as before")
        (event,) = (await world.events(pool, "ScaleDownFailed"))[:1]
        assert late in event["message"]
    assert world.mutations(group) == []


async def test_a_human_cordon_survives_a_rollback(world: World) -> None:
    group, pool = await one_node(world)
    (node,) = await world.nodes(group)
    path = f"/api/v1/nodes/{node['metadata']['name']}"
    await world.api.patch(path, {"spec": {"unschedulable": True}})
    async with world.operator("--delay-after-taint=3s"):

        async def tainted() -> bool:
            return HARD_TAINT in taints(await world.api.get(path))

        await world.until(tainted, "the hard taint")
        await bare_pod(world, nodeName=node["metadata"]["name"])
        await world.events(pool, "ScaleDownFailed")

        async def undone() -> bool:
            return HARD_TAINT not in taints(await world.api.get(path))

        await world.until(undone, "the hard taint to be gone")
    assert (await world.api.get(path))["spec"]["unschedulable"] is True


async def blocked_by(world: World, pool: str, words: str) -> Manifest:
    """Wait until the pool's only node is a candidate held by something whose description has these words."""

    async def said() -> Manifest | None:
        status = (await world.node_pool(pool)).get("status", {})
        for candidate in status.get("scaleDown", {}).get("candidates", []):
            if words in candidate.get("blockedBy", ""):
                return dict(candidate)
        return None

    return await world.until(said, f"a candidate blocked by {words!r}")  # type: ignore[arg-type,return-value]


RULES = {
    "NotReplicated": {},
    "NotSafeToEvictAnnotation": {
        "metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}
    },
    "DoNotDisruptAnnotation": {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}},
    "LocalStorageRequested": {"volumes": [{"name": "scratch", "emptyDir": {}}]},
    "UnmovableKubeSystemPod": {"namespace": "kube-system"},
}
OWNED = (
    "NotSafeToEvictAnnotation",
    "DoNotDisruptAnnotation",
    "LocalStorageRequested",
    "UnmovableKubeSystemPod",
)


@pytest.mark.parametrize("rule", RULES)
async def test_every_drain_rule_keeps_the_node_and_is_named(world: World, rule: str) -> None:
    group, pool = await one_node(world)
    # Another node of no pool: the pod would have a place to go.
    spare = await world.group(desired=1)
    await world.nodes_settle(spare, 1)
    (node,) = await world.nodes(group)
    extra = dict(RULES[rule])
    namespace = str(extra.pop("namespace", "default"))
    name = unique("held")
    spec = pod_spec(
        cpu="100m", memory="64Mi", nodeName=node["metadata"]["name"], volumes=extra.get("volumes", [])
    )
    labels = {"app": name}
    metadata = {"name": name, "namespace": namespace}
    template = {"metadata": {"labels": labels, **extra.get("metadata", {})}, "spec": spec}
    if rule in OWNED:
        body = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        await world.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": body})
    else:
        await world.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    async with world.operator():
        candidate = await blocked_by(world, pool, rule)
        assert name in candidate["blockedBy"]
    assert world.mutations(group) == []


async def test_a_disruption_budget_keeps_the_node_and_is_named(world: World) -> None:
    group, pool = await one_node(world)
    spare = await world.group(desired=1, labels={"spare-of": group})
    await world.nodes_settle(spare, 1)
    app = await world.deployment(1, cpu="100m", nodeSelector={"group": group})
    await world.running(app, 1)
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
    metadata = {"name": app, "namespace": "default"}
    await world.apply(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget}
    )

    async def counted() -> bool:
        pdb = await world.api.get(f"/apis/policy/v1/namespaces/default/poddisruptionbudgets/{app}")
        return bool(pdb.get("status", {}).get("expectedPods") == 1)

    await world.until(counted, "the disruption controller")
    async with world.operator():
        await blocked_by(world, pool, "NotEnoughPdb")
    assert world.mutations(group) == []
    pod = (await world.pods(app))[0]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "default"},
    }
    with pytest.raises(ApiError):
        await world.api.post(f"/api/v1/namespaces/default/pods/{pod}/eviction", eviction)
