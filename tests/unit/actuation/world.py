"""A small world to act in: Nodes and pods that behave as the API server's do, a simulated cloud, virtual time."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from springtide.actuation.actuator import Actuator
from springtide.actuation.outcome import Outcome
from springtide.actuation.ports import ManagedPool, NotWritten
from springtide.actuation.settings import ActuationSettings
from springtide.api.budgets import RemovalReason
from springtide.api.nodepool import NodePool
from springtide.api.policy import AutoscalerPolicySpec
from springtide.api.resolve import resolve
from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError
from springtide.cluster.groups import PoolListing
from springtide.cluster.manifests import node_from_manifest
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import (
    DisruptionBudget,
    NodeRecord,
    OwnerReference,
    PodPhase,
    PodRecord,
    Workload,
)
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodShape
from springtide.leadership.gate import MutationGate
from springtide.planning.plan import Plan, Purchase, Removal
from springtide.providers.base import TerminateResult
from springtide.providers.simulated.cloud import SimulatedCloud, SimulatedInstance
from springtide.providers.simulated.provider import SimulatedProvider

EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)
HARD = "ToBeDeletedByClusterAutoscaler"
SOFT = "DeletionCandidateOfClusterAutoscaler"
REPLICA_SET = Workload(kind="ReplicaSet", namespace="default", name="web", uid="rs-web", replicas=3)
DAEMON_SET = Workload(kind="DaemonSet", namespace="default", name="web", uid="DaemonSet-uid")
_NUMBERS = itertools.count(1)


def clock() -> datetime:
    """The loop's virtual time as a date; EPOCH outside of any loop."""
    try:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
    except RuntimeError:
        return EPOCH


def pod(name: str = "", *, kind: str = "ReplicaSet", priority: int = 0, **fields: Any) -> PodRecord:
    """A running pod of ReplicaSet web, or of a controller of another kind; bare with kind=""."""
    number = next(_NUMBERS)
    name = name or f"web-{number}"
    shape = PodShape(
        number=number, namespace="default", labels={"app": "web"}, requests={}, priority=priority
    )
    uid = REPLICA_SET.uid if kind == "ReplicaSet" else f"{kind}-uid"
    owner = OwnerReference("apps/v1", kind, "web", uid) if kind else None
    given: dict[str, Any] = {
        "uid": f"{name}-{number}",
        "namespace": "default",
        "created_at": EPOCH,
        "phase": PodPhase.RUNNING,
        "termination_grace_seconds": 30,
        **fields,
    }
    return PodRecord(name=name, shape=shape, owner=owner, **given)


def budget(allowed: int, *, app: str = "web") -> DisruptionBudget:
    return DisruptionBudget(
        namespace="default",
        name=f"{app}-pdb",
        selector=LabelSelector((LabelRequirement("app", SelectorOperator.IN, (app,)),)),
        disruptions_allowed=allowed,
    )


def blocked_by_budget() -> ApiError:
    """As the API server answers an eviction that a PodDisruptionBudget forbids."""
    cause = {"reason": "DisruptionBudget", "message": "The disruption budget web-pdb needs 3 healthy pods"}
    return ApiError(
        status=429,
        reason="TooManyRequests",
        message="Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [cause]},
    )


@dataclass
class Fault:
    """The next `times` calls of an operation fail: before their effect, or after it (`lost`)."""

    operation: str
    error: KubeError
    times: int
    lost: bool


class Pauses:
    """Every point at which the world makes its caller wait; can stop the caller for good at one of them."""

    def __init__(self) -> None:
        self.passed = 0
        self.halt_at: int | None = None
        self.halted = asyncio.Event()

    async def pause(self) -> None:
        self.passed += 1
        if self.passed == self.halt_at:
            self.halted.set()
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.01)


class FakeNodes:
    """The NodeApi in memory: resource versions, conflicts, 404s, evictions with uid preconditions."""

    def __init__(self, pauses: Pauses) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, tuple[str, PodRecord]] = {}
        """By uid: node, pod."""
        self.calls: list[str] = []
        self.evictions: list[tuple[str, int]] = []
        """Names of evicted pods with the grace they were given."""
        self.patches: list[Mapping[str, Any]] = []
        self.before: dict[str, Callable[[], None]] = {}
        """What happens once, right before the next call of an operation."""
        self.watch: Callable[[], object] = lambda: None
        """Called with each eviction that is granted."""
        self.stubborn: set[str] = set()
        """Names of pods that never end."""
        self._faults: list[Fault] = []
        self._pauses = pauses
        self._version = itertools.count(1)

    def fail(self, operation: str, error: KubeError | None = None, *, times: int = 1) -> None:
        broken = ApiError(status=500, reason="InternalError", message="etcd is unwell")
        self._faults.append(Fault(operation, error or broken, times, lost=False))

    def lose(self, operation: str, *, times: int = 1) -> None:
        """The call has its effect, but no answer comes."""
        self._faults.append(Fault(operation, ApiUnreachable("connection reset"), times, lost=True))

    def heal(self) -> None:
        self._faults.clear()

    # --- the NodeApi

    async def read(self, name: str) -> Mapping[str, Any]:
        async with self._call("read"):
            return copy.deepcopy(self._node(name))

    async def patch(self, name: str, change: Mapping[str, Any]) -> Mapping[str, Any]:
        async with self._call("patch"):
            node = self._node(name)
            version = change.get("metadata", {}).get("resourceVersion")
            if version is not None and version != node["metadata"]["resourceVersion"]:
                raise ApiError(status=409, reason="Conflict", message="the object has been modified")
            self.patches.append(change)
            self.edit(name, change)
            return copy.deepcopy(self._node(name))

    async def delete(self, name: str, *, uid: str) -> None:
        async with self._call("delete"):
            if self._node(name)["metadata"]["uid"] != uid:
                raise ApiError(status=409, reason="Conflict", message="the UID in the precondition differs")
            del self.objects[name]

    async def pods_on(self, name: str) -> Sequence[PodRecord]:
        async with self._call("pods_on"):
            return [record for node, record in self.pods.values() if node == name]

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        async with self._call("evict"):
            same_name = [
                record
                for _, record in self.pods.values()
                if (record.namespace, record.name) == (pod.namespace, pod.name)
            ]
            if not same_name:
                raise ApiError(status=404, reason="NotFound", message=f'pods "{pod.name}" not found')
            if pod.uid not in self.pods:
                raise ApiError(status=409, reason="Conflict", message="the UID in the precondition differs")
            self.evictions.append((pod.name, grace_seconds))
            self.watch()
            if pod.name not in self.stubborn:
                asyncio.get_running_loop().call_later(1.0, self.pods.pop, pod.uid, None)

    # --- what others do

    def edit(self, name: str, change: Mapping[str, Any]) -> None:
        """Somebody changes the Node."""
        node = self.objects[name]
        metadata = {key: v for key, v in change.get("metadata", {}).items() if key != "resourceVersion"}
        merged = merge_patch(node, {**change, "metadata": metadata})
        if merged != node:
            merged["metadata"]["resourceVersion"] = str(next(self._version))
            self.objects[name] = merged

    def touch(self, name: str) -> None:
        """Somebody writes something that has nothing to do with us, as the kubelet does all the time."""
        self.edit(name, {"metadata": {"labels": {"touched": str(next(self._version))}}})

    def land(self, name: str, pod: PodRecord) -> None:
        self.pods[pod.uid] = (name, pod)

    def record(self, name: str) -> NodeRecord:
        return node_from_manifest(self.objects[name])

    def _node(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise ApiError(status=404, reason="NotFound", message=f'nodes "{name}" not found')
        return self.objects[name]

    def _call(self, operation: str) -> _Call:
        return _Call(self, operation, self._pauses)

    def take_fault(self, operation: str, *, lost: bool) -> KubeError | None:
        for fault in self._faults:
            if fault.operation == operation and fault.lost is lost and fault.times > 0:
                fault.times -= 1
                return fault.error
        return None


class _Call:
    """One request: a wait before its effect and one before its answer, with the faults that are due."""

    def __init__(self, nodes: FakeNodes, operation: str, pauses: Pauses) -> None:
        self._nodes, self._operation, self._pauses = nodes, operation, pauses

    async def __aenter__(self) -> None:
        self._nodes.calls.append(self._operation)
        await self._pauses.pause()
        happens = self._nodes.before.pop(self._operation, None)
        if happens is not None:
            happens()
        error = self._nodes.take_fault(self._operation, lost=False)
        if error is not None:
            raise error

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._pauses.pause()
        error = self._nodes.take_fault(self._operation, lost=True)
        if error is not None and kind is None:
            raise error


class FakeVolumes:
    """The VolumeApi in memory."""

    def __init__(self) -> None:
        self.attached: dict[str, str] = {}
        """Volume -> node."""
        self.bound: dict[str, str] = {}
        """Claim -> volume."""
        self.error: KubeError | None = None
        self.reads = 0

    async def attached_to(self, node: str) -> list[str]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return [volume for volume, where in self.attached.items() if where == node]

    def volume_of(self, namespace: str, claim: str) -> str:
        return self.bound.get(claim, "")


def merge_patch(target: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, Mapping):
        return copy.deepcopy(change)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


class WatchedProvider(SimulatedProvider):
    """The simulated provider, counting what it is asked to terminate."""

    def __init__(self, cloud: SimulatedCloud, pauses: Pauses) -> None:
        super().__init__(cloud)
        self.terminations: list[str] = []
        """Instances whose termination arrived at the cloud."""
        self.before_termination: Callable[[str], None] = lambda instance: None
        self._pauses = pauses

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        await self._pauses.pause()
        listings = await super().list_groups(pools)
        await self._pauses.pause()
        return listings

    async def terminate(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        await self._pauses.pause()
        for instance in instance_ids:
            self.before_termination(instance)
        self.terminations.extend(instance_ids)
        results = await super().terminate(pool, group_id, instance_ids)
        await self._pauses.pause()
        return results


@dataclass
class WrittenPurchases:
    """The PurchaseLog in memory."""

    written: list[tuple[Purchase, ...]] = field(default_factory=list)
    trouble: str = ""
    """Why nothing can be written."""
    seconds: float = 0.0

    async def write_ahead(self, pool: ManagedPool, purchases: Sequence[Purchase], *, plan_id: str) -> None:
        await asyncio.sleep(self.seconds)
        if self.trouble:
            raise NotWritten(self.trouble)
        self.written.append(tuple(purchases))


@dataclass
class World:
    """One pool "general" with group "a", whose nodes are named as their instances; and an actuator."""

    settings: ActuationSettings = field(default_factory=ActuationSettings)
    scale_down: Mapping[str, Any] = field(default_factory=dict)
    size: int = 3
    clock_error: timedelta = timedelta(0)
    """By how much the operator's wall clock is wrong."""
    gate: MutationGate = field(default_factory=MutationGate.always_open)

    def __post_init__(self) -> None:
        self.pauses = Pauses()
        self.nodes = FakeNodes(self.pauses)
        self.outcomes: list[Outcome] = []
        self.budgets: list[DisruptionBudget] = []
        self.volumes = FakeVolumes()
        self.cloud = SimulatedCloud(
            clock=clock, on_instance_running=self._register, on_instance_gone=self._node_gone
        )
        self.provider = WatchedProvider(self.cloud, self.pauses)
        self.pool = self._managed_pool()
        self.log = WrittenPurchases()
        self.actuator = self.new_actuator()

    async def booted(self) -> World:
        """With `size` nodes that are registered."""
        await self.provider.list_groups([self.pool.resource])
        self.cloud.set_target(self.group, self.size)
        await asyncio.sleep(1)
        return self

    def new_actuator(self) -> Actuator:
        """As another process would have it: knowing nothing."""
        self.actuator = Actuator(
            self.nodes,
            picture=lambda: ClusterPicture(
                taken_at=clock(),
                workloads={workload.uid: workload for workload in (REPLICA_SET, DAEMON_SET)},
                disruption_budgets=tuple(self.budgets),
            ),
            emit=self.outcomes.append,
            clock=lambda: clock() + self.clock_error,
            gate=self.gate,
            settings=self.settings,
            purchase_log=self.log,
            volumes=self.volumes,
            owner="test",
        )
        return self.actuator

    @property
    def pools(self) -> dict[str, ManagedPool]:
        return {self.pool.name: self.pool}

    @property
    def group(self) -> Any:
        return self.cloud.group("general", "a")

    def node(self, number: int = 1) -> str:
        return f"general-a-{number}"

    def object(self, number: int = 1) -> dict[str, Any]:
        return self.nodes.objects[self.node(number)]

    def with_pods(self, *pods: PodRecord, number: int = 1) -> None:
        for each in pods:
            self.nodes.land(self.node(number), replace(each, node_name=self.node(number)))

    def removal(self, *, number: int = 1, pods: Sequence[PodRecord] | None = None) -> Removal:
        """What the planner would say; by default knowing all pods that are on the node."""
        name = self.node(number)
        present = [record for node, record in self.nodes.pods.values() if node == name]
        known = present if pods is None else pods
        return Removal(
            node=name,
            node_uid=f"uid-{name}",
            pool="general",
            group="a",
            instance=name,
            reason=RemovalReason.UNDERUTILIZED if known else RemovalReason.EMPTY,
            since=EPOCH,
            utilization=0.1,
            pods_to_evict=tuple(each for each in known if not each.is_daemon),
            daemon_pods=tuple(each for each in known if each.is_daemon),
        )

    def plan(self, **parts: Any) -> Plan:
        return Plan(id="plan-1", now=clock(), **parts)

    def apply(self, **parts: Any) -> Sequence[asyncio.Task[None]]:
        return self.actuator.apply(self.plan(**parts), self.pools)

    async def remove(self, number: int = 1, *, pods: Sequence[PodRecord] | None = None) -> None:
        """Have the node removed and wait for the end of it, whatever it is."""
        self.apply(removals=(self.removal(number=number, pods=pods),))
        await self.quiet()

    async def quiet(self) -> None:
        """Until no removal is under way."""
        await self.until(lambda: not self.actuator.in_flight.removals, step=1)

    async def until(self, condition: Callable[[], object], *, step: float = 0.1) -> None:
        """Let virtual time pass in small steps, for a day at most."""
        for _ in range(int(86_400 / step)):
            if condition():
                return
            await asyncio.sleep(step)
        raise AssertionError("it never came true")

    def phase(self, number: int = 1) -> str:
        """The phase in the node's annotation; empty without one."""
        text = self.object(number)["metadata"].get("annotations", {}).get("springtide.dev/removal")
        return str(json.loads(text)["phase"]) if text else ""

    def resume(self) -> None:
        self.actuator.resume([self.nodes.record(name) for name in self.nodes.objects], self.pools)

    def of(self, kind: type[Any]) -> list[Any]:
        return [outcome for outcome in self.outcomes if isinstance(outcome, kind)]

    def story(self) -> list[str]:
        return [type(outcome).__name__ for outcome in self.outcomes]

    # --- the cloud's node controller

    def _register(self, instance: SimulatedInstance) -> None:
        self.nodes.objects[instance.id] = {
            "metadata": {"name": instance.id, "uid": f"uid-{instance.id}", "resourceVersion": "0"}
            | {"creationTimestamp": "2026-01-01T12:00:00Z"},
            "spec": {
                "providerID": instance.provider_id,
                "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
            },
        }

    def _node_gone(self, instance: SimulatedInstance) -> None:
        self.nodes.objects.pop(instance.id, None)
        self.nodes.pods = {
            uid: (node, record) for uid, (node, record) in self.nodes.pods.items() if node != instance.id
        }

    def _managed_pool(self) -> ManagedPool:
        group = {"name": "a", "maxSize": 10, "capacity": {"cpu": 4}, "bootDelay": "0s"}
        spec = {"provider": {"simulated": {"groups": [group]}}, "scaleDown": dict(self.scale_down)}
        resource = NodePool.model_validate({"metadata": {"name": "general"}, "spec": spec})
        return ManagedPool(
            resource=resource,
            provider=self.provider,
            settings=resolve(resource.spec, AutoscalerPolicySpec()),
        )
