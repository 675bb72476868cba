"""One operator process of a scenario: the real parts, wired as the runtime does; its door closes when it is killed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from springtide.actuation.actuator import Actuator
from springtide.actuation.outcome import Outcome
from springtide.actuation.ports import NodeObject
from springtide.api.nodepool import NodePool
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.api_errors import ApiError
from springtide.cluster.groups import InstanceState, PoolListing
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import PodRecord
from springtide.leadership.gate import MutationGate
from springtide.providers.base import Lifecycle, TargetChange, TerminateOutcome, TerminateResult
from springtide.providers.simulated.cloud import SimulatedCloud
from springtide.providers.simulated.provider import SimulatedProvider
from springtide.reporting.events import EventRecorder
from springtide.reporting.metrics import Metrics
from springtide.reporting.narrator import Narrator
from springtide.reporting.reporter import Reporter
from springtide.reporting.status_writer import StatusWriter
from springtide.runtime.cloud_watch import CloudWatch
from springtide.runtime.engine import Engine, NotReleasedYet
from springtide.runtime.memory import Memories
from springtide.runtime.purchase_book import PurchaseBook
from springtide.runtime.settings import OperatorSettings
from springtide.runtime.watchdog import watch_over
from tests.scenarios.api_server import ApiServer, Manifest, Watcher
from tests.scenarios.control_plane import ControlPlane
from tests.scenarios.door import Door
from tests.scenarios.virtual_time import OWN_TASKS, Tasks, now
from tests.unit.actuation.world import blocked_by_budget, merge_patch

if TYPE_CHECKING:
    from tests.scenarios.world import World

SYNC_SECONDS: Final = 0.2
"""The informers' first lists."""
TICK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0
"""Both as in the handlers."""


@dataclass(frozen=True, slots=True)
class Raise:
    """A target that was raised in the cloud."""

    at: datetime
    pool: str
    group: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Termination:
    """An instance that the cloud was asked to terminate."""

    at: datetime
    pool: str
    group: str
    instance: str
    outcome: TerminateOutcome | None
    """None: the answer was lost."""
    residents: tuple[str, ...]
    """Pods that were still at home on its node, DaemonSets' aside."""
    was_going: bool
    """It had been terminated before."""


class Nodes:
    """The NodeApi over the scenario's API server."""

    def __init__(self, server: ApiServer, control_plane: ControlPlane, door: Door, world: World) -> None:
        self._server, self._control_plane, self._door, self._world = server, control_plane, door, world

    async def read(self, name: str) -> NodeObject:
        async with self._door.asking():
            return self._node(name)

    async def patch(self, name: str, change: Mapping[str, Any]) -> NodeObject:
        async with self._door.changing("patch Node", name):
            node = self._node(name)
            version = change.get("metadata", {}).get("resourceVersion")
            if version not in (None, node["metadata"]["resourceVersion"]):
                raise ApiError(status=409, reason="Conflict", message="the object has been modified")
            return self._server.put("Node", merge_patch(node, change))

    async def delete(self, name: str, *, uid: str) -> None:
        async with self._door.changing("delete Node", name):
            if self._node(name)["metadata"]["uid"] != uid:
                raise ApiError(status=409, reason="Conflict", message="the UID in the precondition differs")
            self._control_plane.delete_node(name)

    async def pods_on(self, name: str) -> Sequence[PodRecord]:
        async with self._door.asking():
            return [pod for pod in self._server.pods if pod.node_name == name]

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        async with self._door.changing("evict Pod", pod.name):
            self._evict(pod)

    def _evict(self, pod: PodRecord) -> None:
        known = self._server.truth.pods.get((pod.namespace, pod.name))
        if known is None:
            raise ApiError(status=404, reason="NotFound", message=f'pods "{pod.name}" not found')
        if known.uid != pod.uid:
            raise ApiError(status=409, reason="Conflict", message="the UID in the precondition differs")
        budgets = self._server.objects["PodDisruptionBudget"].values()
        covering = [budget for budget in budgets if self._control_plane.covers(budget, known)]
        if known.deletion_timestamp is None and any(
            self._control_plane.disruptions_allowed(budget) < 1 for budget in covering
        ):
            raise blocked_by_budget()
        self._world.evictions.append(known)
        self._control_plane.delete_pod(known)

    def _node(self, name: str) -> Manifest:
        node = self._server.get("Node", name)
        if node is None:
            raise ApiError(status=404, reason="NotFound", message=f'nodes "{name}" not found')
        return node


class Statuses:
    """The API server's client, as far as statuses and events need it."""

    def __init__(self, server: ApiServer, door: Door, world: World) -> None:
        self._server, self._door, self._world = server, door, world

    async def get_json(self, path: str) -> Any:
        async with self._door.asking():
            return self._object(path)[1]

    async def patch(self, path: str, body: Any, content_type: str = "") -> Any:
        if not path.endswith("/status"):
            async with self._door.asking():  # an event, told again
                return {}
        path = path.removesuffix("/status")
        async with self._door.changing(f"write status of {path.split('/')[-2]}", path.split("/")[-1]):
            kind, present = self._object(path)
            test, add = body
            if test["value"] != present["metadata"]["resourceVersion"]:
                raise ApiError(status=422, reason="Invalid", message="the test of a JSON patch failed")
            self._world.status_writes.append((now(), kind, present["metadata"]["name"]))
            return self._server.put(kind, {**present, "status": add["value"]})

    async def post(self, path: str, body: Any) -> Any:
        async with self._door.asking():
            self._world.events.append(body)
            return body

    def _object(self, path: str) -> tuple[str, Manifest]:
        plural, name = path.split("/")[-2:]
        kind = {"nodepools": "NodePool", "autoscalerpolicies": "AutoscalerPolicy"}[plural]
        found = self._server.get(kind, name)
        if found is None:
            raise ApiError(status=404, reason="NotFound", message=f"{kind} {name} not found")
        return kind, found


class Cloud(SimulatedProvider):
    """The simulated provider, seen through a door, noting what really happened in the cloud."""

    def __init__(self, cloud: SimulatedCloud, door: Door, world: World) -> None:
        super().__init__(cloud)
        self._door, self._world = door, world

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        async with self._door.asking():
            error = self._world.clock_error
            listings = {
                name: _read_by(listing, error) for name, listing in (await super().list_groups(pools)).items()
            }
            await asyncio.sleep(self._world.listing_seconds)
            return listings

    async def lifecycles(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, Lifecycle]:
        async with self._door.asking():
            return await super().lifecycles(pool, group_id, instance_ids)

    async def raise_target(self, pool: NodePool, group_id: str, *, expected: int, to: int) -> TargetChange:
        async with self._door.changing("raise target", f"{pool.name}/{group_id}", to_cloud=True):
            before = self.cloud.group(pool.name, group_id).target
            try:
                return await super().raise_target(pool, group_id, expected=expected, to=to)
            finally:
                after = self.cloud.group(pool.name, group_id).target
                if after > before:
                    self._world.note_raise(Raise(now(), pool.name, group_id, before, after))

    async def cancel_unfulfilled(self, pool: NodePool, group_id: str, *, to: int) -> TargetChange:
        async with self._door.changing("cancel unfulfilled", f"{pool.name}/{group_id}", to_cloud=True):
            return await super().cancel_unfulfilled(pool, group_id, to=to)

    async def terminate(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        names = ", ".join(instance_ids)
        async with self._door.changing("terminate", f"{pool.name}/{group_id}: {names}", to_cloud=True):
            return await self._terminate_and_note(pool, group_id, instance_ids)

    async def _terminate_and_note(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        group = self.cloud.group(pool.name, group_id)
        going = {i: self._is_going(group.instances.get(i)) for i in instance_ids}
        residents = {i: self._world.residents(i) for i in instance_ids}
        results: Mapping[str, TerminateResult] = {}
        try:
            results = await super().terminate(pool, group_id, instance_ids)
        finally:
            for instance in instance_ids:
                outcome = results[instance].outcome if instance in results else None
                self._world.note_termination(
                    Termination(
                        now(), pool.name, group_id, instance, outcome, residents[instance], going[instance]
                    )
                )
        return results

    @staticmethod
    def _is_going(instance: Any) -> bool:
        return instance is None or instance.state is InstanceState.DELETING


def _read_by(listing: PoolListing, error: timedelta) -> PoolListing:
    """As a machine whose clock is wrong notes when it read."""
    if listing.read_at is None or not error:
        return listing
    at = listing.read_at + error
    return replace(listing, read_at=at, groups=tuple(replace(g, read_at=at) for g in listing.groups))


class Process:
    """The operator, from its start until it is killed or stopped."""

    def __init__(self, world: World, settings: OperatorSettings) -> None:
        self.world = world
        self.door = Door(world.doorkeeper)
        self.tasks: Tasks = WeakSet()
        self._context = contextvars.copy_context()
        self._context.run(OWN_TASKS.set, self.tasks)
        self._context.run(self._assemble, world, settings)
        self._deletions: set[tuple[str, str]] = set()
        self._ticking: set[str] = set()
        self._synced = False

    def _assemble(self, world: World, settings: OperatorSettings) -> None:
        self.watcher = Watcher(self._own_kind_changed)
        self.statuses = Statuses(world.server, self.door, world)
        self.recorder = EventRecorder(self.statuses, clock=self._clock)
        self.memories = Memories()
        self.metrics = Metrics()
        narrator = Narrator(
            self.recorder,
            pool_uid=lambda name: self.engine.resources.uid("NodePool", name),
            node_uid=lambda name: name,
        )
        self.writer = StatusWriter(self.statuses, clock=self._clock, heartbeat=settings.heartbeat)
        self.reporter = Reporter(
            narrator=narrator, metrics=self.metrics, writer=self.writer, clock=self._clock
        )
        self.actuator = Actuator(
            Nodes(world.server, world.control_plane, self.door, world),
            picture=lambda: self.picture(now=self._clock()),
            emit=self._emit,
            clock=self._clock,
            gate=MutationGate.always_open(),
            purchase_log=PurchaseBook(self.memories, self.reporter, clock=self._clock),
            owner="scenario",
        )
        providers = {"simulated": Cloud(world.cloud, self.door, world)}
        self.clouds = CloudWatch(
            providers,
            idle=settings.provider_refresh,
            busy=settings.provider_busy_refresh,
            changed=lambda kind: self.engine.wake(f"cloud {kind}"),
        )
        self.engine = Engine(
            cluster=self,
            clouds=self.clouds,
            providers=providers,
            actuator=self.actuator,
            reporter=self.reporter,
            memories=self.memories,
            settings=settings,
            clock=self._clock,
            stopwatch=world.stopwatch,
        )
        self.watcher.state.on_wake_up(self.engine.wake)
        self.watcher.state.on_arrival(self.engine.requests.prolong)
        self.watcher.state.on_refused(self.engine.pod_refused)

    def _clock(self) -> datetime:
        """The wall clock of the operator's machine."""
        return now() + self.world.clock_error

    def _emit(self, outcome: Outcome) -> None:
        self.world.outcomes.append(outcome)
        self.engine.outcome(outcome)

    # --- the Cluster of the engine ------------------------------------------------------------------------------

    @property
    def is_synced(self) -> bool:
        return self._synced

    def picture(self, *, now: datetime) -> ClusterPicture:
        return self.watcher.state.freeze(now=now, age_seconds=self.world.api_silence_seconds)

    def ages(self) -> Mapping[str, float]:
        silence = self.world.api_silence_seconds
        return {"pods": silence, "nodes": silence} | self.world.silent_kinds

    def api_calls(self) -> ApiCalls:
        return self.world.api_calls

    def problems(self) -> tuple[str, ...]:
        return ()

    # --- its life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as a new process that knows nothing."""
        for work in (
            self.clouds.run(),
            self.recorder.run(),
            self.reporter.run(),
            self.engine.run(),
            watch_over(self.engine),
            self._kopf(),
        ):
            self._spawn(work)

    async def kill(self) -> None:
        """As SIGKILL does it: nothing more is said or heard, whatever was sent may have had its effect."""
        self.door.closed = True
        if not self.watcher.closed and self._synced:
            self.world.server.unwatch(self.watcher)
        self.watcher.closed = True
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """As SIGTERM does it."""
        await self.actuator.stop(grace=1.0)
        await self.reporter.flush()
        await self.kill()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._context.run(asyncio.get_running_loop().create_task, work)

    # --- in place of kopf ---------------------------------------------------------------------------------------

    async def _kopf(self) -> None:
        """The timers of the policies, once the informers are synced."""
        await asyncio.sleep(SYNC_SECONDS)
        self.door.check()
        self.world.server.watch(self.watcher)
        self._synced = True
        self.engine.wake("start")
        while True:
            for policy in list(self.watcher.state.policies):
                name = policy["metadata"]["name"]
                if name not in self._ticking and "deletionTimestamp" not in policy["metadata"]:
                    self._ticking.add(name)
                    self._spawn(self._tick(name))
            await asyncio.sleep(TICK_SECONDS)

    async def _tick(self, policy: str) -> None:
        try:
            await self.engine.scan_if_due(policy)
        finally:
            self._ticking.discard(policy)

    def _own_kind_changed(self, kind: str, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.engine.resource_changed(kind, metadata)
        key = (kind, metadata["name"])
        if "deletionTimestamp" in metadata and key not in self._deletions:
            self._deletions.add(key)
            self._spawn(self._delete(kind, metadata["name"]))

    async def _delete(self, kind: str, name: str) -> None:
        """The deletion handlers, repeated until they succeed; then the finalizer comes off."""
        while True:
            try:
                if kind == "NodePool":
                    await self.engine.release_pools([name])
                else:
                    await self.engine.release_policy(name)
                break
            except NotReleasedYet as error:
                logging.getLogger("kopf").info("%s", error)
                await asyncio.sleep(RETRY_SECONDS)
        async with self.door.changing(f"take the finalizer off {kind}", name):
            self.world.server.delete(kind, ("", name))
        self._deletions.discard((kind, name))
