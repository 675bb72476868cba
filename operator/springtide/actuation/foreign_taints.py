"""Taking off the hard taints that a Cluster Autoscaler left behind."""

from __future__ import annotations

from springtide.actuation.edit_tasks import EditTasks
from springtide.actuation.node_edits import NodeEditor
from springtide.actuation.outcome import ForeignTaintFailed, ForeignTaintLifted
from springtide.actuation.ports import Clock, Emit, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import lift_foreign_taint
from springtide.planning.plan import ForeignTaintLift


class ForeignTaintLifts:
    """Tells of each lift what became of it."""

    def __init__(self, editor: NodeEditor, *, settings: ActuationSettings, clock: Clock, emit: Emit) -> None:
        self._edits = EditTasks(editor, at_a_time=settings.parallel_soft_taints)
        self._clock = clock
        self._emit = emit

    def lift(self, wanted: ForeignTaintLift, *, plan_id: str) -> None:
        """Take one node's taint off, unless that is under way."""

        def done(node: NodeObject) -> None:
            cordoned = bool(node.get("spec", {}).get("unschedulable"))
            self._emit(
                ForeignTaintLifted(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, cordoned=cordoned
                )
            )

        def failed(message: str) -> None:
            self._emit(
                ForeignTaintFailed(
                    at=self._clock(), pool=wanted.pool, plan_id=plan_id, node=wanted.node, message=message
                )
            )

        self._edits.start(
            wanted.node,
            lambda node: lift_foreign_taint(node, wanted.value),
            what="foreign taint",
            done=done,
            failed=failed,
        )

    async def stop(self) -> None:
        await self._edits.stop()
