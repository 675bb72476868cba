"""From instances to Nodes: what a kubelet that joins, and a cloud controller that cleans up, would do.

The fleet tells the bridge what happened; nothing is polled. Work on one instance is done in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from devcluster.api import Api, ApiError
from devcluster.cloud.catalogue import instance_types
from devcluster.cloud.failures import Failures, NeverRegisters
from devcluster.cloud.fleet import EventKind, Fleet, FleetEvent
from devcluster.cloud.model import Instance, State
from devcluster.nodes import FAKE_NODE_ANNOTATION, NODES, HollowNode, create_node, delete_node

_LOG = logging.getLogger(__name__)

TEMPLATE_TAG = "k8s.io/cluster-autoscaler/node-template/"
"""Cluster Autoscaler's tags that tell what nodes of a group will be like; here they make them so."""

PARALLEL_REQUESTS = 16
"""A burst of instances must not open hundreds of connections to the API server."""

FIRST_RETRY_S, LAST_RETRY_S = 0.1, 2.0
"""Between attempts to reach an API server that fails: the first delay, doubled up to the last."""


@dataclass(frozen=True, kw_only=True)
class BridgeOptions:
    """How instances become Nodes."""

    registration_s: float = 0.0
    """From InService to the Node object."""
    readiness_s: float = 0.0
    """From the Node object to Ready; 0 leaves it to kwok, which makes it Ready at once."""
    disk_gib: int = 100
    reserved: Mapping[str, str] = field(default_factory=dict)
    """Allocatable quantities that replace the capacity's, for nodes that keep something for themselves."""
    delete_pods: bool = True
    """Delete the pods of a gone node at once; Kubernetes' own garbage collector takes about a minute."""
    provider_ids: bool = True
    """Set spec.providerID; without it no instance can be matched to its Node."""


class Bridge:
    """Keeps the cluster's hollow Nodes in step with the fleet."""

    def __init__(self, *, api: Api, fleet: Fleet, failures: Failures, options: BridgeOptions) -> None:
        self._api = api
        self._failures = failures
        self._options = options
        self._tasks: set[asyncio.Task[None]] = set()
        self._joining: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PARALLEL_REQUESTS)
        self._fleet = fleet
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        self._fleet.listen(self._on_event)
        for group in self._fleet.groups.values():
            for instance in group.instances.values():
                if instance.state is State.IN_SERVICE:
                    self._on_event(FleetEvent(EventKind.IN_SERVICE, instance))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_event(self, event: FleetEvent) -> None:
        if not self._open:
            return
        instance = event.instance
        if event.kind is EventKind.IN_SERVICE:
            scope = {"group": instance.group, "zone": instance.zone, "instance_type": instance.instance_type}
            if not self._failures.covering(NeverRegisters, **scope):
                self._joining[instance.instance_id] = self._spawn(self._join(instance))
        else:
            joining = self._joining.pop(instance.instance_id, None)
            self._spawn(self._leave(instance, joining))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ApiError as error:
            _LOG.warning("the bridge could not update the cluster: %s", error)

    async def _persist(self, request: Callable[[], Awaitable[object]]) -> None:
        """Repeat a request while the API server fails or is away, as kubelets do; refusals are raised."""
        delay_s = FIRST_RETRY_S
        while True:
            try:
                async with self._slots:
                    await request()
            except (aiohttp.ClientError, TimeoutError, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                    raise
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, LAST_RETRY_S)
            else:
                return

    async def _join(self, instance: Instance) -> None:
        await asyncio.sleep(self._options.registration_s)
        node = hollow_node(instance, self._options)
        await self._persist(lambda: create_node(self._api, node))
        if self._options.readiness_s > 0:
            await asyncio.sleep(self._options.readiness_s)
            annotations = {"metadata": {"annotations": {FAKE_NODE_ANNOTATION: "fake"}}}
            await self._persist(lambda: self._api.patch(f"{NODES}/{node.name}", annotations))

    async def _leave(self, instance: Instance, joining: asyncio.Task[None] | None) -> None:
        if joining is not None:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
        name = instance.private_dns_name
        await self._persist(lambda: delete_node(self._api, name))
        if self._options.delete_pods:
            await self._persist(lambda: self._delete_pods(name))

    async def _delete_pods(self, node: str) -> None:
        for pod in await self._api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
            meta = pod["metadata"]
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
            await self._api.delete(path, grace_seconds=0)


def hollow_node(instance: Instance, options: BridgeOptions) -> HollowNode:
    """The Node that an instance registers as: its type's capacity, its group's node-template tags.

    Raises LookupError for an instance type that is not in the catalogue.
    """
    kind = instance_types()[instance.instance_type]
    capacity = {**kind.capacity(disk_gib=options.disk_gib), **_tagged(instance, "resources/")}
    labels = {
        "kubernetes.io/arch": kind.arch,
        "node.kubernetes.io/instance-type": instance.instance_type,
        "topology.kubernetes.io/zone": instance.zone,
        "topology.kubernetes.io/region": instance.region,
        **_tagged(instance, "label/"),
    }
    taints = tuple(_taint(key, text) for key, text in _tagged(instance, "taint/").items())
    # kwok makes nodes with its annotation Ready; one that shall be late gets it later.
    late: dict[str, str] = {FAKE_NODE_ANNOTATION: "later"} if options.readiness_s > 0 else {}
    return HollowNode(
        name=instance.private_dns_name,
        capacity=capacity,
        allocatable={**capacity, **options.reserved},
        labels=labels,
        annotations=late,
        taints=taints,
        provider_id=instance.provider_id if options.provider_ids else "",
    )


def _tagged(instance: Instance, kind: str) -> dict[str, str]:
    prefix = TEMPLATE_TAG + kind
    return {key.removeprefix(prefix): value for key, value in instance.tags.items() if key.startswith(prefix)}


def _taint(key: str, text: str) -> dict[str, str]:
    """A taint from its tag's ``value:Effect``."""
    value, _, effect = text.rpartition(":")
    return {"key": key, "value": value, "effect": effect}
