"""Where the reaction benchmarks play: a real control plane, the devcluster's AWS, the operator as its own process."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from devcluster.api import Api, has_condition, wait_for
from devcluster.cloud import BridgeOptions, Cloud, CloudOptions, GroupSpec, Timings
from devcluster.controlplane import ControlPlane
from devcluster.operator_process import OperatorProcess, install, operator_kubeconfig, operator_process

REPOSITORY = Path(__file__).parents[1]
OWN = "/apis/springtide.dev/v1alpha1"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a workload needs."""

    api: Api
    cloud: Cloud
    operator: OperatorProcess

    async def cpu_seconds(self) -> float:
        """CPU time the operator has used so far."""
        url = f"http://127.0.0.1:{self.operator.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "process_cpu_seconds_total":
                    return sample.value
        raise LookupError("process_cpu_seconds_total")

    def purchases(self) -> list[Any]:
        """The SetDesiredCapacity calls of the operator that the cloud accepted, in order."""
        return [
            call
            for call in self.cloud.calls.of("SetDesiredCapacity", outcome="ok")
            if call.access_key != OWNER
        ]


OWNER = "devcluster-owner"


@asynccontextmanager
async def stage(
    *groups: GroupSpec, bridge: BridgeOptions | None = None, template: Mapping[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """Instantly booting nodes; a NodePool for each group; default policy without scale-down.

    `bridge`: how instances become Nodes; `template`: every NodePool's spec.template.
    """
    options = CloudOptions(timings=Timings(boot_s=0.0, launch_s=0.0), bridge=bridge or BridgeOptions())
    with tempfile.TemporaryDirectory(prefix="springtide-bench-") as folder:
        async with Cloud(options) as cloud, ControlPlane() as plane, plane.api() as api:
            await cloud.connect(api)
            await install(api, REPOSITORY)
            for group in groups:
                await cloud.create_group(group)
            await _configure(api, [group.name for group in groups], template=template or {})
            kubeconfig = await operator_kubeconfig(
                api, server=plane.server, ca_path=plane.ca_path, folder=Path(folder)
            )
            async with operator_process(
                kubeconfig=kubeconfig, log=Path(folder) / "operator.log", environment=cloud.environment()
            ) as operator:
                await _until_ready(api, groups)
                yield Stage(api, cloud, operator)


async def _until_ready(api: Api, groups: Sequence[GroupSpec]) -> None:
    """The operator runs for a while already: it has read the cloud and accepted the pools."""

    async def ready() -> bool:
        pools = [await api.get(f"{OWN}/nodepools/{group.name}") for group in groups]
        return all(has_condition(pool, "Ready") for pool in pools)

    await wait_for(ready, timeout=60, what="the NodePools to be ready")


async def _configure(api: Api, groups: list[str], *, template: Mapping[str, Any]) -> None:
    def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        version = "springtide.dev/v1alpha1"
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}

    await api.post(
        f"{OWN}/autoscalerpolicies",
        manifest(
            "AutoscalerPolicy",
            "default",
            {"scaleDown": {"enabled": False}, "expanders": ["most-pods", "least-nodes"]},
        ),
    )
    for group in groups:
        provider = {"aws": {"region": "us-east-1", "autoScalingGroups": [group]}}
        spec = {"provider": provider, "template": dict(template)}
        await api.post(f"{OWN}/nodepools", manifest("NodePool", group, spec))


def pod_spec(*, cpu: str, memory: str) -> dict[str, Any]:
    container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {"terminationGracePeriodSeconds": 0, "containers": [container]}
