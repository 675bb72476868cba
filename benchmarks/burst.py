"""burst-1k: a Deployment of 1,000 pods on an empty cluster, until all run; and the same with the nodes already there."""

from __future__ import annotations

import time

from benchmarks.result import Result
from benchmarks.stage import Stage, pod_spec, stage
from devcluster.api import wait_for
from devcluster.cloud import GroupSpec

PODS = 1000
PATH = "/apis/apps/v1/namespaces/default/deployments"


async def burst(pods: int = PODS) -> Result:
    """500m and 1 GiB each; groups of 4 vCPU, 16 GiB and of 16 vCPU, 64 GiB, at most 100 nodes each."""
    zones = ("us-east-1a",)
    small = GroupSpec(name="small", instance_type="m5.xlarge", zones=zones, max_size=100)
    large = GroupSpec(name="large", instance_type="m5.4xlarge", zones=zones, max_size=100)
    async with stage(small, large) as on:
        cpu = await on.cpu_seconds()
        wall = await _until_all_run(on, pods)
        cpu = await on.cpu_seconds() - cpu
        nodes, purchases = len(await on.api.items("/api/v1/nodes")), len(on.purchases())
        await _until_all_gone(on)
        floor = await _until_all_run(on, pods)
        return Result(
            name="burst-1k",
            n=pods,
            wall_s=wall,
            floor_s=floor,
            cpu_s=cpu,
            nodes=nodes,
            purchases=purchases,
        )


async def _until_all_run(on: Stage, pods: int) -> float:
    """Seconds from the Deployment's creation until its status counts all pods as ready."""
    began = time.perf_counter()
    labels = {"app": "burst"}
    created = await on.api.post(
        PATH,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "burst", "namespace": "default"},
            "spec": {
                "replicas": pods,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod_spec(cpu="500m", memory="1Gi")},
            },
        },
    )
    since = created["metadata"]["resourceVersion"]
    async for event in on.api.watch(PATH, since=since, fieldSelector="metadata.name=burst"):
        if event["object"].get("status", {}).get("readyReplicas") == pods:
            return time.perf_counter() - began
    raise LookupError("the watch ended before all pods ran")


async def _until_all_gone(on: Stage) -> None:
    await on.api.delete(f"{PATH}/burst", propagationPolicy="Background")

    async def none() -> bool:
        return not await on.api.items("/api/v1/namespaces/default/pods")

    await wait_for(none, timeout=120, what="the first burst's pods to be gone", poll=0.5)
