"""lone: one pod that needs a new node, again and again: from PodScheduled=False to the SetDesiredCapacity call."""

from __future__ import annotations

import asyncio
import random
import time

from benchmarks.result import Result, percentile
from benchmarks.stage import Stage, pod_spec, stage
from devcluster.api import Api, wait_for
from devcluster.cloud import GroupSpec

COUNT = 100


async def lone(count: int = COUNT) -> Result:
    """Pods of 1500m on nodes of 2 vCPU: every pod needs its own node. Regular and random gaps between them."""
    group = GroupSpec(name="lone", instance_type="m5.large", zones=("us-east-1a",), max_size=count + 5)
    async with stage(group) as on:
        await _warm_up(on)
        began, cpu = time.perf_counter(), await on.cpu_seconds()
        rng = random.Random(1)
        waits = []
        for number in range(count):
            waits.append(await _one(on, number))
            await asyncio.sleep(0.3 if number % 2 else rng.uniform(0.0, 1.0))
        return Result(
            name="lone",
            n=count,
            p50_s=percentile(waits, 0.50),
            p95_s=percentile(waits, 0.95),
            max_s=max(waits),
            wall_s=time.perf_counter() - began,
            cpu_s=await on.cpu_seconds() - cpu,
            nodes=len(await on.api.items("/api/v1/nodes")),
            purchases=len(on.purchases()),
        )


async def _warm_up(on: Stage) -> None:
    """One pod that is not measured: connections are open, the cloud has been read."""
    await _one(on, -1)


async def _one(on: Stage, number: int) -> float:
    """Seconds from the watch's word that the pod cannot be scheduled to the call at the cloud."""
    before = len(on.purchases())
    name = f"lone-{number}" if number >= 0 else "warm-up"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": pod_spec(cpu="1500m", memory="1Gi"),
    }
    created = await on.api.post("/api/v1/namespaces/default/pods", manifest)
    refused_at = await _unschedulable(on.api, name, since=created["metadata"]["resourceVersion"])

    async def bought() -> bool:
        return len(on.purchases()) > before

    await wait_for(bought, timeout=60, what=f"a node for {name}")
    waited: float = on.purchases()[before].monotonic - refused_at

    async def runs() -> bool:
        pod = await on.api.get(f"/api/v1/namespaces/default/pods/{name}")
        return bool(pod["status"]["phase"] == "Running")

    await wait_for(runs, timeout=60, what=f"{name} to run")
    return waited


async def _unschedulable(api: Api, name: str, *, since: str) -> float:
    """When the watch first said PodScheduled=False (monotonic; the condition's own time has whole seconds only)."""
    path = "/api/v1/namespaces/default/pods"
    async for event in api.watch(path, since=since, fieldSelector=f"metadata.name={name}"):
        for condition in event["object"]["status"].get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return time.monotonic()
    raise LookupError(name)
