"""The actuator: carries plans out in tasks of its own, so that no pass ever waits for a drain or a cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from springtide.actuation.detachment import VolumeApi
from springtide.actuation.eviction import Evictor
from springtide.actuation.foreign_taints import ForeignTaintLifts
from springtide.actuation.node_edits import NodeEditor
from springtide.actuation.outcome import Outcome, PodEvicted
from springtide.actuation.ports import Clock, Emit, Fence, ManagedPool, NodeApi, Picture, PurchaseLog
from springtide.actuation.purchases import Purchaser
from springtide.actuation.removal_tools import RemovalTools
from springtide.actuation.removals import Removals
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.soft_taints import SoftTaints
from springtide.actuation.targets import GroupKey, GroupLocks, TargetMemory
from springtide.actuation.tasks import OwnedTasks
from springtide.actuation.terminations import Terminator
from springtide.api.settings import Mode
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import RemovalInFlight
from springtide.leadership.gate import MutationGate
from springtide.planning.plan import Plan, Purchase

EVICTED_RECENTLY: Final = timedelta(minutes=2)
"""So long a replacement of an evicted pod may take to be created."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """What is under way, for the next snapshot."""

    purchases: Mapping[GroupKey, Purchase]
    """Not answered yet; `TargetMemory.corrected` counts them in the targets already."""
    removals: Mapping[str, RemovalInFlight]
    """By node name."""
    recently_evicted: tuple[str, ...]
    """Uids of pods."""

    @property
    def busy(self) -> bool:
        """Something is outstanding in a cloud, so that its listings are worth reading more often."""
        return bool(self.purchases or self.removals)


class Actuator:
    """Carries out plans. Its methods never raise for what happens outside: that comes as outcomes through `emit`."""

    def __init__(
        self,
        nodes: NodeApi,
        *,
        picture: Picture,
        emit: Emit,
        clock: Clock,
        gate: MutationGate,
        purchase_log: PurchaseLog,
        volumes: VolumeApi | None = None,
        settings: ActuationSettings | None = None,
        owner: str = "",
    ) -> None:
        """`gate` is asked right before each mutation. `owner` names this operator in the annotations of nodes."""
        settings = settings or ActuationSettings()
        self._emit = emit
        self._clock = clock
        self._evicted: dict[str, datetime] = {}
        self._cloud_task_number = 0
        self._fence = fence = Fence(gate)
        locks = GroupLocks()
        self.targets = TargetMemory(clock)
        editor = NodeEditor(nodes, fence=fence, settings=settings)
        terminator = Terminator(fence=fence, locks=locks, targets=self.targets, settings=settings)
        self._purchaser = Purchaser(
            log=purchase_log,
            terminator=terminator,
            fence=fence,
            locks=locks,
            targets=self.targets,
            settings=settings,
            clock=clock,
            emit=self._take,
        )
        tools = RemovalTools(
            nodes=nodes,
            editor=editor,
            evictor=Evictor(nodes, fence=fence, settings=settings),
            terminator=terminator,
            picture=picture,
            settings=settings,
            clock=clock,
            emit=self._take,
            volumes=volumes,
        )
        self._removals = Removals(tools, owner=owner)
        self._soft_taints = SoftTaints(editor, settings=settings, clock=clock, emit=self._take)
        self._foreign_taints = ForeignTaintLifts(editor, settings=settings, clock=clock, emit=self._take)
        self._cloud_tasks: OwnedTasks[int] = OwnedTasks()
        self._stopping = False

    # --- what a pass calls --------------------------------------------------------------------------------------

    def apply(self, plan: Plan, pools: Mapping[str, ManagedPool]) -> Sequence[asyncio.Task[None]]:
        """Start everything the plan wants of pools that are Active; at once, never blocking.

        Returns the tasks that change targets, for `settled`.
        """
        if self._stopping:
            return ()
        active = {name: pool for name, pool in pools.items() if pool.settings.mode is Mode.ACTIVE}
        started = self._change_targets(plan, active)
        for removal in plan.removals:
            if removal.pool in active:
                self._removals.start(removal, active[removal.pool], plan_id=plan.id)
        for change in plan.soft_taints:
            if change.pool in active:
                self._soft_taints.change(change, plan_id=plan.id)
        for lift in plan.foreign_taints:
            if lift.pool in active:
                self._foreign_taints.lift(lift, plan_id=plan.id)
        return started

    async def settled(self, tasks: Sequence[asyncio.Task[None]], *, within: float = 2.0) -> bool:
        """Wait up to so many seconds for the tasks of `apply`, so that a report can say what became of them."""
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=within)
        return not pending

    def resume(self, nodes: Iterable[NodeRecord], pools: Mapping[str, ManagedPool]) -> None:
        """Take up the removals that an earlier process left on these nodes, or that failed here and are due again.

        `pools`: every NodePool that exists, whatever its mode or health; others' removals are rolled back.
        """
        if not self._stopping:
            self._removals.resume(nodes, pools)

    async def withdraw_removals(self, message: str) -> None:
        """Undo the removals under way, but for those whose instance is going already. `message`: why, for users."""
        if not self._stopping:
            await self._removals.withdraw(message)

    def clock_jumped(self, by: timedelta) -> None:
        """The wall clock was set: what is remembered for a while stays remembered for that while."""
        self.targets.clock_jumped(by)
        self._evicted = {uid: at + by for uid, at in self._evicted.items()}

    @property
    def in_flight(self) -> InFlight:
        now = self._clock()
        self._evicted = {uid: at for uid, at in self._evicted.items() if now - at <= EVICTED_RECENTLY}
        return InFlight(
            purchases=self._purchaser.under_way,
            removals=self._removals.in_flight,
            recently_evicted=tuple(self._evicted),
        )

    async def release_pool(
        self, name: str, nodes: Sequence[NodeRecord], pool: ManagedPool | None
    ) -> tuple[str, ...]:
        """Take our marks off these nodes of a pool (or group) that is no longer ours to manage.

        Names of the nodes where that failed: call again. Nothing is deleted. `pool`: None when its cloud cannot be asked
        any more.
        """
        failed = set(await self._removals.release(nodes, pool))
        soft = [node.name for node in nodes]
        failed.update(await self._soft_taints.release(soft, pool=name))
        return tuple(sorted(failed))

    @property
    def heard_out(self) -> bool:
        """Whether nothing that was sent can take effect any more."""
        return self._fence.heard_out

    async def stop(self, *, grace: float) -> None:
        """End everything: removals are interrupted where they are (the next process resumes them), calls that
        change targets get `grace` seconds to hear their answer."""
        self._stopping = True
        await asyncio.gather(self._removals.stop(), self._soft_taints.stop(), self._foreign_taints.stop())
        await self._cloud_tasks.wait(timeout=grace)
        await self._cloud_tasks.cancel(self._cloud_tasks)

    # --- details ------------------------------------------------------------------------------------------------

    def _change_targets(self, plan: Plan, pools: Mapping[str, ManagedPool]) -> Sequence[asyncio.Task[None]]:
        buyer, started = self._purchaser, []
        changing = dict.fromkeys([each.pool for each in plan.cancellations])
        changing |= dict.fromkeys([each.pool for each in plan.purchases])
        for name in changing:
            if name in pools:
                cancellations = [each for each in plan.cancellations if each.pool == name]
                purchases = [each for each in plan.purchases if each.pool == name]
                work = buyer.cancel_then_buy(pools[name], cancellations, purchases, plan_id=plan.id)
                started.append(self._start_cloud_task(work, f"targets of {name}"))
        for removal in plan.unregistered:
            if removal.pool in pools:
                work = buyer.remove_unregistered(pools[removal.pool], removal, plan_id=plan.id)
                started.append(self._start_cloud_task(work, f"unregistered of {removal.group}"))
        return started

    def _start_cloud_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self._cloud_task_number += 1
        return self._cloud_tasks.start(self._cloud_task_number, work, name=name)

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome, PodEvicted):
            self._evicted[outcome.pod.uid] = outcome.at
        self._emit(outcome)
