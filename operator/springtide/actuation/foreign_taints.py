"""Taking off the hard taints that a Cluster Autoscaler left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from springtide.actuation.node_edits import NodeEditor, NodeGone
from springtide.actuation.outcome import ForeignTaintFailed, ForeignTaintLifted
from springtide.actuation.ports import Clock, Emit, MutationForbidden, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import lift_foreign_taint
from springtide.actuation.tasks import OwnedTasks
from springtide.planning.plan import ForeignTaintLift


class ForeignTaintLifts:
    """Owns the lifts under way, one for each node. One that fails is planned again by the next pass."""

    def __init__(self, editor: NodeEditor, *, settings: ActuationSettings, clock: Clock, emit: Emit) -> None:
        self._editor = editor
        self._clock = clock
        self._emit = emit
        self._door = asyncio.Semaphore(settings.parallel_soft_taints)
        self._tasks: OwnedTasks[str] = OwnedTasks()

    def lift(self, wanted: ForeignTaintLift, *, plan_id: str) -> None:
        """Take one node's taint off, unless that is under way."""
        if wanted.node not in self._tasks:
            work = self._carry_out(wanted, plan_id)
            self._tasks.start(wanted.node, work, name=f"foreign taint of {wanted.node}")

    async def stop(self) -> None:
        await self._tasks.cancel(self._tasks)

    async def _carry_out(self, wanted: ForeignTaintLift, plan_id: str) -> None:
        lifted = False

        def change(node: NodeObject) -> Mapping[str, Any] | None:
            nonlocal lifted
            patch = lift_foreign_taint(node, wanted.value)
            lifted = lifted or patch is not None
            return patch

        try:
            async with self._door:
                node = await self._editor.apply(wanted.node, change)
        except (NodeGone, MutationForbidden):
            # Nothing to do any more, or planned again by whoever may act.
            return
        except Exception as error:
            message = str(error) or type(error).__name__
            self._emit(
                ForeignTaintFailed(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, message=message
                )
            )
            return
        if lifted:
            cordoned = bool(node.get("spec", {}).get("unschedulable"))
            self._emit(
                ForeignTaintLifted(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, cordoned=cordoned
                )
            )
