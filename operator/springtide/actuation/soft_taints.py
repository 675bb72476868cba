"""Soft taints: PreferNoSchedule on unneeded nodes, which also keeps their timers over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from springtide.actuation.edit_tasks import EditTasks
from springtide.actuation.node_edits import NodeEditor
from springtide.actuation.outcome import SoftTaintFailed, SoftTaintLifted, SoftTaintSet
from springtide.actuation.ports import Clock, Emit, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import lift_soft_taint, release_soft_taint, set_soft_taint
from springtide.planning.plan import SoftTaintChange


class SoftTaints:
    """Tells of each change what became of it."""

    def __init__(self, editor: NodeEditor, *, settings: ActuationSettings, clock: Clock, emit: Emit) -> None:
        self._edits = EditTasks(editor, at_a_time=settings.parallel_soft_taints)
        self._clock = clock
        self._emit = emit

    def change(self, wanted: SoftTaintChange, *, plan_id: str) -> None:
        """Set or lift one node's soft taint, unless a change of it is under way."""

        def change(node: NodeObject) -> Mapping[str, Any] | None:
            since = wanted.since or self._clock()
            return set_soft_taint(node, since) if wanted.present else lift_soft_taint(node)

        def failed(message: str) -> None:
            self._emit(
                SoftTaintFailed(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, message=message
                )
            )

        self._edits.start(
            wanted.node,
            change,
            what="soft taint",
            done=lambda _: self._tell(wanted, plan_id),
            failed=failed,
        )

    async def release(self, nodes: Iterable[str], *, pool: str) -> tuple[str, ...]:
        """Lift the soft taints that we wrote on these nodes; names of those where that failed."""
        names = list(nodes)
        await self._edits.cancel(names)
        lifted = await asyncio.gather(*(self._release(name, pool) for name in names))
        return tuple(name for name, done in zip(names, lifted, strict=True) if not done)

    async def stop(self) -> None:
        await self._edits.stop()

    def _tell(self, wanted: SoftTaintChange, plan_id: str) -> None:
        now = self._clock()
        if wanted.present:
            since = wanted.since or now
            self._emit(SoftTaintSet(at=now, pool=wanted.pool, plan_id=plan_id, node=wanted.node, since=since))
        else:
            self._emit(SoftTaintLifted(at=now, pool=wanted.pool, plan_id=plan_id, node=wanted.node))

    async def _release(self, node: str, pool: str) -> bool:
        try:
            lifted = await self._edits.undo(node, release_soft_taint)
        except Exception as error:
            message = str(error) or type(error).__name__
            self._emit(SoftTaintFailed(at=self._clock(), pool=pool, node=node, message=message))
            return False
        if lifted:
            self._emit(SoftTaintLifted(at=self._clock(), pool=pool, node=node))
        return True
