"""The demo's stage: control plane, cloud, Auto Scaling groups, resource definitions, policy and pools, the operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import devcluster
from devcluster.api import Api, load_manifests, wait_for
from devcluster.cloud import Call, Cloud, CloudOptions, GroupSpec, Timings
from devcluster.components import ControlPlaneOptions
from devcluster.controlplane import ControlPlane
from devcluster.operator_process import install, operator_kubeconfig, operator_process
from springtide.cli.demo.picture import POOL_LABEL
from springtide.cli.demo.workload import GPU, NAMESPACE

REPOSITORY: Final = Path(devcluster.__file__).parents[1]

GENERAL_TYPE, GPU_TYPE = "m5.24xlarge", "g4dn.12xlarge"

TIMINGS: Final = Timings(boot_s=4.0, terminate_s=1.0)
"""A machine boots in four seconds, where EC2 needs about a minute."""

OPERATOR_FLAGS: Final = (
    "--cluster-name=demo",
    "--provider-refresh=1s",
    "--provider-busy-refresh=500ms",
    "--delay-after-taint=500ms",
)

ACCOUNT_TIMEOUT = 30.0


class NotACheckout(Exception):
    """The demo was started from somewhere that lacks the manifests it applies."""


def groups() -> tuple[GroupSpec, ...]:
    """What an administrator would have set up in AWS before: three zones for general work, one group with GPUs."""
    general = tuple(
        GroupSpec(
            name=f"demo-general-{letter}",
            instance_type=GENERAL_TYPE,
            zones=(f"us-east-1{letter}",),
            max_size=30,
            labels={POOL_LABEL: "general"},
        )
        for letter in "abc"
    )
    gpu = GroupSpec(
        name="demo-gpu-a",
        instance_type=GPU_TYPE,
        zones=("us-east-1a",),
        max_size=60,
        labels={POOL_LABEL: "gpu"},
        taints={GPU: "present:NoSchedule"},
    )
    return (*general, gpu)


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs but the operator."""

    control_plane: ControlPlane
    cloud: Cloud
    api: Api
    operator_kubeconfig: Path
    operator_log: Path
    crashed: asyncio.Future[Exception]
    """Done when a component ended although nobody stopped it; its message has the last log lines."""

    @property
    def kubectl(self) -> str:
        """What to type in another terminal."""
        return f"kubectl --kubeconfig {self.control_plane.kubeconfig} get nodepools"

    def purchases(self) -> list[Call]:
        """The calls that made a group larger, as the cloud received them."""
        return self.cloud.calls.of("SetDesiredCapacity", outcome="ok")

    async def run_operator(self, say: Callable[[str], None]) -> None:
        """Run the operator as a process of its own until cancelled. Raises OperatorEnded."""
        async with operator_process(
            kubeconfig=self.operator_kubeconfig,
            log=self.operator_log,
            flags=OPERATOR_FLAGS,
            environment=self.cloud.environment(),
        ) as operator:
            say("the operator is up and watches, a process of its own with the rights of its ServiceAccount")
            await operator.process.wait()
            operator.check()

    async def watch_components(self) -> None:
        """Raise when a component crashes."""
        raise await self.crashed


@asynccontextmanager
async def open_stage(logs: Path, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Set everything up, in parallel where it can be; at the end nothing of it is left but the logs.

    Raises NotACheckout, ProcessCrashed, BuildFailed, NoToolchain, TimeoutError.
    """
    for folder in ("crds", "deploy/kubernetes", "examples/demo"):
        if not (REPOSITORY / folder).is_dir():
            raise NotACheckout(
                f"{REPOSITORY / folder} is missing: the demo runs in a clone of the repository"
            )
    crashed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def note(crash: Exception) -> None:
        if not crashed.done():
            crashed.set_result(crash)

    async with AsyncExitStack() as stack:
        cloud = Cloud(CloudOptions(timings=TIMINGS, groups=groups(), logs=logs), on_crash=note)
        control_plane = ControlPlane(ControlPlaneOptions(logs=logs), say=say, on_crash=note)
        await _enter_together(stack, cloud, control_plane)
        api = await stack.enter_async_context(control_plane.api())
        say("etcd, API server, controllers, scheduler and an AWS API with four Auto Scaling groups are up")
        kubeconfig = await _furnish(api, control_plane, cloud, logs)
        say("installed: resource definitions, permissions, a policy, two NodePools (general, gpu); no nodes")
        yield Stage(control_plane, cloud, api, kubeconfig, logs / "operator.log", crashed)


async def _enter_together(stack: AsyncExitStack, cloud: Cloud, control_plane: ControlPlane) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(stack.enter_async_context(cloud))
            group.create_task(stack.enter_async_context(control_plane))
    except BaseExceptionGroup as errors:
        # The first failure cancelled the other.
        raise errors.exceptions[0] from None


async def _furnish(api: Api, control_plane: ControlPlane, cloud: Cloud, logs: Path) -> Path:
    """Apply what the demo needs; the operator's kubeconfig."""
    await cloud.connect(api)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    await asyncio.gather(install(api, REPOSITORY), api.apply(namespace))
    await api.apply_all(load_manifests(REPOSITORY / "examples" / "demo"))
    await wait_for(
        # Made by the controller manager; without it no pod of the namespace is admitted.
        lambda: api.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"),
        timeout=ACCOUNT_TIMEOUT,
        what=f"the default ServiceAccount of {NAMESPACE}",
    )
    return await operator_kubeconfig(
        api, server=control_plane.server, ca_path=control_plane.ca_path, folder=logs
    )
