"""Soft taints: PreferNoSchedule on unneeded nodes, which also keeps their timers over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from springtide.actuation.node_edits import NodeEditor, NodeGone
from springtide.actuation.outcome import SoftTaintFailed, SoftTaintLifted, SoftTaintSet
from springtide.actuation.ports import Clock, Emit, MutationForbidden, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import lift_soft_taint, release_soft_taint, set_soft_taint
from springtide.actuation.tasks import OwnedTasks
from springtide.planning.plan import SoftTaintChange


class SoftTaints:
    """Owns the changes under way, one for each node. A change that fails is planned again by the next pass."""

    def __init__(self, editor: NodeEditor, *, settings: ActuationSettings, clock: Clock, emit: Emit) -> None:
        self._editor = editor
        self._clock = clock
        self._emit = emit
        self._door = asyncio.Semaphore(settings.parallel_soft_taints)
        self._tasks: OwnedTasks[str] = OwnedTasks()

    def change(self, wanted: SoftTaintChange, *, plan_id: str) -> None:
        """Set or lift one node's soft taint, unless a change of it is under way."""
        if wanted.node not in self._tasks:
            work = self._carry_out(wanted, plan_id)
            self._tasks.start(wanted.node, work, name=f"soft taint of {wanted.node}")

    async def release(self, nodes: Iterable[str], *, pool: str) -> tuple[str, ...]:
        """Lift the soft taints that we wrote on these nodes; names of those where that failed."""
        names = list(nodes)
        await self._tasks.cancel(names)
        lifted = await asyncio.gather(*(self._release(name, pool) for name in names))
        return tuple(name for name, done in zip(names, lifted, strict=True) if not done)

    async def stop(self) -> None:
        await self._tasks.cancel(self._tasks)

    async def _carry_out(self, wanted: SoftTaintChange, plan_id: str) -> None:
        changed = False

        def change(node: NodeObject) -> Mapping[str, Any] | None:
            nonlocal changed
            since = wanted.since or self._clock()
            patch = set_soft_taint(node, since) if wanted.present else lift_soft_taint(node)
            changed = changed or patch is not None
            return patch

        try:
            async with self._door:
                await self._editor.apply(wanted.node, change)
        except NodeGone:
            return
        except MutationForbidden:
            # Harmless to leave undone, and planned again by whoever may act.
            return
        except Exception as error:
            message = str(error) or type(error).__name__
            self._emit(
                SoftTaintFailed(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, message=message
                )
            )
            return
        if changed:
            self._tell(wanted, plan_id)

    def _tell(self, wanted: SoftTaintChange, plan_id: str) -> None:
        now = self._clock()
        if wanted.present:
            since = wanted.since or now
            self._emit(SoftTaintSet(at=now, pool=wanted.pool, plan_id=plan_id, node=wanted.node, since=since))
        else:
            self._emit(SoftTaintLifted(at=now, pool=wanted.pool, plan_id=plan_id, node=wanted.node))

    async def _release(self, node: str, pool: str) -> bool:
        lifted = False

        def change(present: NodeObject) -> Mapping[str, Any] | None:
            nonlocal lifted
            patch = release_soft_taint(present)
            lifted = lifted or patch is not None
            return patch

        try:
            async with self._door:
                await self._editor.undo(node, change)
        except NodeGone:
            return True
        except Exception as error:
            message = str(error) or type(error).__name__
            self._emit(SoftTaintFailed(at=self._clock(), pool=pool, node=node, message=message))
            return False
        if lifted:
            self._emit(SoftTaintLifted(at=self._clock(), pool=pool, node=node))
        return True
