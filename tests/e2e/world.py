"""The world of the end-to-end tests: a real control plane, the devcluster's AWS, and the operator as its own process."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from devcluster.api import Api, ApiError, wait_for
from devcluster.cloud import BridgeOptions, Call, Cloud, CloudOptions, FleetEvent, GroupSpec, Timings
from devcluster.controlplane import ControlPlane
from devcluster.operator_process import OperatorProcess, install, operator_kubeconfig

T = TypeVar("T")
Manifest = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
OWN = "/apis/springtide.dev/v1alpha1"

QUICK = (
    "--cluster-name=e2e",
    "--provider-refresh=1s",
    "--provider-busy-refresh=200ms",
    "--delay-after-taint=200ms",
    "--lease-duration=4s",
    "--renew-deadline=3s",
    "--retry-period=500ms",
)
"""Flags of every operator here: the clouds are read often, and the lease of one that was killed runs out soon, so that
tests are short."""

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")

HARD_TAINT = "ToBeDeletedByClusterAutoscaler"
SOFT_TAINT = "DeletionCandidateOfClusterAutoscaler"

SET = "SetDesiredCapacity"
TERMINATE = "TerminateInstanceInAutoScalingGroup"
LIST = "DescribeAutoScalingGroups"

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@dataclass
class World:
    """All that a test touches. Everything it makes is named uniquely and removed by `tidy`."""

    control_plane: ControlPlane
    cloud: Cloud
    api: Api
    kubeconfig: Path
    """The operator's: token of its ServiceAccount."""
    logs: Path
    pools: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    objects: list[Manifest] = field(default_factory=list)
    group_of_instance: dict[str, str] = field(default_factory=dict)

    # --- making things --------------------------------------------------------------------------------------------

    async def group(self, **spec: Any) -> str:
        """An Auto Scaling group; its nodes are labelled group=<name> (and what else is asked)."""
        name = spec.pop("name", None) or unique("asg")
        labels = {"group": name, **spec.pop("labels", {})}
        spec.setdefault("zones", ("us-east-1a",))
        await self.cloud.create_group(GroupSpec(name=name, labels=labels, **spec))
        self.groups.append(name)
        return name

    async def policy(self, **spec: Any) -> str:
        """A policy with timers short enough for a test; scaleDown off unless asked for."""
        name = unique("policy")
        spec.setdefault("scanInterval", "1s")
        spec.setdefault("scaleDown", {"enabled": False})
        await self.create("AutoscalerPolicy", name, spec)
        self.policies.append(name)
        return name

    async def pool(
        self, *groups: str, policy: str, tags: Mapping[str, str] | None = None, **spec: Any
    ) -> str:
        """A NodePool over these groups, or discovered by tags."""
        name = unique("pool")
        aws: Manifest = {"region": "us-east-1"}
        aws |= {"discovery": {"tags": dict(tags)}} if tags else {"autoScalingGroups": list(groups)}
        await self.create("NodePool", name, {"policyRef": {"name": policy}, "provider": {"aws": aws}, **spec})
        self.pools.append(name)
        return name

    async def create(self, kind: str, name: str, spec: Manifest) -> Manifest:
        manifest = {
            "apiVersion": "springtide.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        plural = "nodepools" if kind == "NodePool" else "autoscalerpolicies"
        return await self.api.post(f"{OWN}/{plural}", manifest, fieldValidation="Strict")

    async def apply(self, manifest: Manifest) -> Manifest:
        """Any object; deleted at the end of the test."""
        self.objects.append(manifest)
        return await self.api.apply(manifest)

    async def deployment(self, replicas: int, *, cpu: str = "500m", memory: str = "1Gi", **pod: Any) -> str:
        """A Deployment of pause pods; `pod` goes into the pod's spec, `labels` and `annotations` into its metadata."""
        name = unique("app")
        labels = {"app": name, **pod.pop("labels", {})}
        annotations = pod.pop("annotations", {})
        await self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": labels, "annotations": annotations},
                        "spec": pod_spec(cpu=cpu, memory=memory, **pod),
                    },
                },
            }
        )
        return name

    async def scale(self, deployment: str, replicas: int) -> None:
        path = f"/apis/apps/v1/namespaces/default/deployments/{deployment}"
        await self.api.patch(path, {"spec": {"replicas": replicas}})

    # --- looking --------------------------------------------------------------------------------------------------

    async def pods(self, app: str) -> list[Manifest]:
        return await self.api.items("/api/v1/namespaces/default/pods", labelSelector=f"app={app}")

    async def running(self, app: str, count: int, *, timeout: float = 30) -> list[Manifest]:
        """Wait until exactly so many pods of the app run."""

        async def all_run() -> list[Manifest]:
            pods = [p for p in await self.pods(app) if p["status"]["phase"] == "Running"]
            return pods if len(pods) == count else []

        return await wait_for(all_run, timeout=timeout, what=f"{count} running pods of {app}")

    async def refused(self, app: str, count: int, *, timeout: float = 30) -> None:
        """Wait until the scheduler has refused exactly so many pods of the app."""

        async def all_refused() -> bool:
            conditions = [c for pod in await self.pods(app) for c in pod["status"].get("conditions", ())]
            return [c.get("reason") for c in conditions].count("Unschedulable") == count

        await wait_for(all_refused, timeout=timeout, what=f"{count} refused pods of {app}")

    async def pods_by(self, topology: str, app: str) -> Counter[str]:
        """How many pods of the app are in each domain, by the domain's name; all must be bound."""
        nodes = await self.api.items("/api/v1/nodes")
        domains = {node["metadata"]["name"]: node["metadata"]["labels"].get(topology, "") for node in nodes}
        return Counter(domains[pod["spec"]["nodeName"]] for pod in await self.pods(app))

    async def nodes(self, group: str) -> list[Manifest]:
        return await self.api.items("/api/v1/nodes", labelSelector=f"group={group}")

    async def nodes_settle(self, group: str, count: int, *, timeout: float = 30) -> list[Manifest]:
        async def right() -> list[Manifest] | bool:
            nodes = await self.nodes(group)
            return (nodes or True) if len(nodes) == count else False

        found = await wait_for(right, timeout=timeout, what=f"{count} nodes in {group}")
        return found if isinstance(found, list) else []

    async def node_pool(self, name: str) -> Manifest:
        return await self.api.get(f"{OWN}/nodepools/{name}")

    async def policy_status(self, name: str) -> Manifest:
        """Empty as long as there is none."""
        found: Manifest = (await self.api.get(f"{OWN}/autoscalerpolicies/{name}")).get("status", {})
        return found

    async def condition(
        self, pool: str, kind: str, status: str, *, reason: str | None = None, timeout: float = 20
    ) -> Manifest:
        """Wait until the NodePool has this condition; the condition."""

        async def said() -> Manifest | None:
            status_ = (await self.node_pool(pool)).get("status", {})
            for condition in status_.get("conditions", []):
                if condition["type"] == kind and condition["status"] == status:
                    return condition if reason is None or condition["reason"] == reason else None
            return None

        return await wait_for(said, timeout=timeout, what=f"{kind}={status} ({reason}) on {pool}")  # type: ignore[arg-type,return-value]

    async def events(self, name: str, reason: str, *, timeout: float = 20) -> list[Manifest]:
        """Wait for events of this reason about the object of that name."""

        async def posted() -> list[Manifest]:
            found = await self.api.items("/api/v1/events", fieldSelector=f"involvedObject.name={name}")
            return [event for event in found if event["reason"] == reason]

        return await wait_for(posted, timeout=timeout, what=f"event {reason} on {name}")

    async def until(self, predicate: Callable[[], Awaitable[T]], what: str, *, timeout: float = 30) -> T:
        return await wait_for(predicate, timeout=timeout, what=what)

    def raises(self, group: str) -> list[int]:
        """Targets set by the operator, in order."""
        calls = self.cloud.calls.of(SET, group=group, outcome="ok")
        return [int(call.params["DesiredCapacity"]) for call in calls if call.access_key != OWNER_KEY]

    def mutations(self, group: str) -> list[str]:
        """Every mutation of a group that the operator asked for, accepted or not."""
        calls = [call for call in self.cloud.calls.mutations if call.access_key != OWNER_KEY]
        return [call.action for call in calls if group in (call.group, self._group_of(call))]

    def _group_of(self, call: Call) -> str:
        """The group of the instance that a call names."""
        return self.group_of_instance.get(call.params.get("InstanceId", ""), "")

    def remember(self, event: FleetEvent) -> None:
        """Called by the cloud for every instance."""
        self.group_of_instance[event.instance.instance_id] = event.instance.group

    # --- the operator ---------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def operator(
        self, *flags: str, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[OperatorProcess]:
        """Run the operator for as long as the context."""
        operator = await self.start_operator(*flags, environment=environment)
        try:
            yield operator
        finally:
            await operator.stop()

    async def start_operator(
        self, *flags: str, environment: Mapping[str, str] | None = None
    ) -> OperatorProcess:
        return await OperatorProcess.start(
            kubeconfig=self.kubeconfig,
            log=self.logs / f"{unique('operator')}.log",
            flags=(*QUICK, *flags),
            environment={**self.cloud.environment(), **(environment or {})},
        )

    # --- tidying up -----------------------------------------------------------------------------------------------

    async def tidy(self) -> None:
        """Remove what the test made; finalizers are taken off by force, for no operator runs any more."""
        self.cloud.failures.clear()
        for manifest in reversed(self.objects):
            with contextlib.suppress(ApiError):
                await self.api.delete(await self.api.path_of(manifest))
        for plural, names in (("nodepools", self.pools), ("autoscalerpolicies", self.policies)):
            for name in names:
                with contextlib.suppress(ApiError):
                    await self.api.delete(f"{OWN}/{plural}/{name}")
                with contextlib.suppress(ApiError):
                    await self.api.patch(f"{OWN}/{plural}/{name}", {"metadata": {"finalizers": None}})
        for group in self.groups:
            await self.cloud.delete_group(group)
        for made in (self.pools, self.policies, self.groups, self.objects):
            made.clear()
        await self._until_pods_are_gone()
        self.cloud.calls.clear()

    async def _until_pods_are_gone(self) -> None:
        async def none() -> bool:
            return not await self.api.items("/api/v1/namespaces/default/pods")

        await wait_for(none, timeout=30, what="the test's pods to be gone")


OWNER_KEY = "devcluster-owner"
"""With which the devcluster itself sets the stage."""


def pod_spec(*, cpu: str = "500m", memory: str = "1Gi", **spec: Any) -> Manifest:
    container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}


@contextlib.asynccontextmanager
async def open_world(logs: Path) -> AsyncIterator[World]:
    """Control plane and cloud, with our resource definitions and permissions installed."""
    options = CloudOptions(timings=Timings(boot_s=0.3, terminate_s=0.1, retry_s=2.0), bridge=BridgeOptions())
    async with Cloud(options) as cloud, ControlPlane() as control_plane, control_plane.api() as api:
        await cloud.connect(api)
        await install(api, REPOSITORY)
        kubeconfig = await operator_kubeconfig(
            api, server=control_plane.server, ca_path=control_plane.ca_path, folder=logs
        )
        world = World(control_plane, cloud, api, kubeconfig, logs)
        cloud.listen(world.remember)
        yield world
