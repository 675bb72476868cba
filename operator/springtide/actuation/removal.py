"""The removal of one node: taint, drain, terminate, gone; or rolled back. Each step can be resumed by another process.

The phase stands in the node's annotation before a step is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from springtide.actuation.draining import Draining
from springtide.actuation.interruptions import Rollback, Stuck
from springtide.actuation.last_rites import LastRites
from springtide.actuation.node_edits import NodeGone
from springtide.actuation.outcome import (
    RemovalDone,
    RemovalResumed,
    RemovalRolledBack,
    RemovalStarted,
    RemovalTainted,
    RemovalTerminating,
    RollbackReason,
)
from springtide.actuation.patience import patiently
from springtide.actuation.ports import LATE_EFFECT_SECONDS, ManagedPool, MutationForbidden, NodeObject
from springtide.actuation.removal_record import RemovalPhase, RemovalRecord, UnreadableRecord, load_record
from springtide.actuation.removal_tools import RemovalTools, Told, told_of
from springtide.actuation.residents import grace_seconds
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import (
    Withdrawn,
    annotations_of,
    begin_removal,
    enter_phase,
    is_deletion_delayed,
    uid_of,
    undo_removal,
)
from springtide.actuation.terminations import InstanceFate
from springtide.actuation.waves import patience_seconds
from springtide.api.settings import ScaleDownSettings
from springtide.cluster.api_errors import ApiError
from springtide.planning.plan import Removal
from springtide.providers.base import TerminateOutcome


def new_record(
    removal: Removal,
    *,
    now: datetime,
    plan_id: str,
    owner: str,
    rules: ScaleDownSettings,
    settings: ActuationSettings,
) -> RemovalRecord:
    """What the annotation will say at first."""
    graces = [grace_seconds(pod, most=rules.max_graceful_termination) for pod in removal.pods_to_evict]
    steps_seconds = (
        settings.conflict_patience
        + settings.delay_after_taint
        + patience_seconds(removal.pods_to_evict, most=rules.max_graceful_termination)
        + max(graces, default=0)
        + settings.termination_slack
        + settings.delay_deletion_timeout
        + settings.deadline_slack
    )
    return RemovalRecord(
        phase=RemovalPhase.TAINTED,
        since=now,
        deadline=now
        + rules.max_pod_eviction_time
        + rules.max_volume_detach_time
        + timedelta(seconds=steps_seconds),
        plan_id=plan_id,
        cordoned_by_us=False,
        pool=removal.pool,
        group=removal.group,
        instance=removal.instance,
        node_uid=removal.node_uid,
        reason=removal.reason,
        owner=owner,
        pods=tuple(pod.uid for pod in removal.pods_to_evict),
    )


class RemovalRun:
    """One process's work on one node's removal; one of `start`, `resume` and `roll_back` is called, once."""

    def __init__(
        self, node: str, *, record: RemovalRecord, pool: ManagedPool, tools: RemovalTools, give_up_at: float
    ) -> None:
        """`give_up_at`: the record's deadline, by the event loop's clock."""
        self.node = node
        self.record = record
        self._pool = pool
        self._tools = tools
        self._give_up_at = give_up_at
        self._draining = Draining(node, record=record, pool=pool, tools=tools)
        self._may_be_terminated = record.phase is RemovalPhase.TERMINATING

    # --- ways in ------------------------------------------------------------------------------------------------

    async def start(self, removal: Removal) -> None:
        """Begin a planned removal and see it through: ends when the node is gone, or rolled back.

        Raises Stuck, MutationForbidden, KubeError, ProviderError: then the marks on the node say where to resume.
        """
        tools = self._tools
        tools.emit(
            RemovalStarted(
                at=tools.clock(),
                reason=removal.reason,
                unneeded_since=removal.since,
                utilization=removal.utilization,
                pods=len(removal.pods_to_evict),
                **self._told,
            )
        )
        await self._see_through(lambda: self._begin(removal.takes_over))

    async def resume(self) -> None:
        """Go on with an interrupted removal from the phase in its annotation; ends and raises as `start` does."""
        node = await self._read_node()
        if node is None:
            self._node_is_gone()
            return
        present = _record_on(node)
        if present is None or present.identity != self.record.identity:
            # The informer was behind: the removal ended meanwhile.
            return
        self.record = present
        self._may_be_terminated = present.phase is RemovalPhase.TERMINATING
        self._tools.emit(
            RemovalResumed(at=self._tools.clock(), phase=present.phase, since=present.since, **self._told)
        )
        await self._see_through(self._go_on)

    async def roll_back(self, reason: RollbackReason, message: str) -> None:
        """Undo the removal, unless its instance is going already. Raises Stuck when that cannot be found out."""
        node = await self._read_node()
        present = _record_on(node) if node is not None else None
        if present is None or present.identity != self.record.identity:
            return
        self.record = present
        if present.phase is RemovalPhase.TERMINATING:
            await self._outwait_lost_call()
            if await self._is_going():
                return
        await self._undo(Rollback(reason, message))

    # --- the steps ----------------------------------------------------------------------------------------------

    async def _see_through(self, steps: Callable[[], Awaitable[None]]) -> None:
        try:
            await steps()
        except Rollback as wanted:
            await self._undo_unless_going(wanted)
        except Withdrawn as told:
            await self._undo(Rollback(RollbackReason.WITHDRAWN, str(told)))
        except NodeGone:
            self._node_is_gone()
        except (MutationForbidden, Stuck):
            raise
        except Exception as error:
            # Whose instance may be going is not given back to the scheduler.
            if self._may_be_terminated:
                raise
            await self._undo(Rollback(RollbackReason.FAILED, str(error) or type(error).__name__))

    async def _begin(self, takes_over: str) -> None:
        tools = self._tools
        node = await tools.editor.apply(
            self.node, lambda node: begin_removal(node, self.record, takes_over=takes_over)
        )
        self.record = _record_on(node) or self.record
        tools.emit(RemovalTainted(at=tools.clock(), cordoned=self.record.cordoned_by_us, **self._told))
        await self._go_on()

    async def _go_on(self) -> None:
        if self.record.phase is RemovalPhase.TERMINATING:
            if await self._is_going():
                await self._wait_until_gone()
                return
            self._refuse_late()
        else:
            self._refuse_late()
            present = await self._draining.judge_again(
                was_draining=self.record.phase is RemovalPhase.DRAINING
            )
            await self._enter(RemovalPhase.DRAINING)
            await self._draining.evict(present)
            await self._draining.detach(present)
            await self._wait_for_delays()
            await self._enter(RemovalPhase.TERMINATING)
        await self._draining.last_look()
        await self._terminate()
        await self._wait_until_gone()

    def _refuse_late(self) -> None:
        if asyncio.get_running_loop().time() > self._give_up_at:
            raise Rollback(
                RollbackReason.DEADLINE, f"it should have ended by {self.record.deadline:%H:%M:%S}"
            )

    async def _enter(self, phase: RemovalPhase) -> None:
        record = msgspec.structs.replace(self.record, phase=phase)
        await self._tools.editor.apply(self.node, lambda node: enter_phase(node, record))
        self.record = record

    async def _wait_for_delays(self) -> None:
        """Wait while an annotation asks for it; in the end go on regardless, as Cluster Autoscaler does."""
        settings = self._tools.settings
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + settings.delay_deletion_timeout
        while loop.time() < give_up_at:
            node = await self._read_node()
            if node is None:
                raise NodeGone(self.node)
            if not is_deletion_delayed(node):
                return
            await asyncio.sleep(settings.delay_deletion_poll)

    async def _terminate(self) -> None:
        tools, instance = self._tools, self.record.instance
        tools.emit(RemovalTerminating(at=tools.clock(), **self._told))
        self._may_be_terminated = True
        results = await tools.terminator.terminate(self._pool, self.record.group, [instance])
        result = results[instance]
        if result.outcome is TerminateOutcome.REFUSED:
            self._may_be_terminated = False
            raise Rollback(RollbackReason.TERMINATE_REFUSED, result.message)
        if result.outcome is TerminateOutcome.UNKNOWN:
            raise Stuck(f"whether instance {instance} was terminated is not known: {result.message}")

    async def _outwait_lost_call(self) -> None:
        """Whoever rolls back may have cut a call to the cloud off a moment ago: read before its effect, the instance would
        pass for alive, and its node be given back to the scheduler just before it goes."""
        if self._tools.terminator.is_doubtful(self._pool, self.record.group, self.record.instance):
            await asyncio.sleep(LATE_EFFECT_SECONDS)

    async def _is_going(self) -> bool:
        """Whether the instance, which somebody may have terminated before, is gone or on its way."""
        instance = self.record.instance
        fates = await self._tools.terminator.fates(self._pool, self.record.group, [instance])
        if fates[instance] is InstanceFate.UNKNOWN:
            raise Stuck(f"whether instance {instance} was terminated could not be read")
        self._may_be_terminated = fates[instance].is_going
        return self._may_be_terminated

    async def _wait_until_gone(self) -> None:
        rites = LastRites(
            self.node, record=self.record, pool=self._pool, tools=self._tools, read=self._read_node
        )
        await rites.see_off()
        self._node_is_gone()

    # --- the ends -----------------------------------------------------------------------------------------------

    def _node_is_gone(self) -> None:
        now = self._tools.clock()
        if self.record.phase is RemovalPhase.TERMINATING:
            self._tools.emit(RemovalDone(at=now, took=now - self.record.since, **self._told))
        else:
            self._tell_rolled_back(Rollback(RollbackReason.NODE_GONE, "the Node vanished by itself"))

    async def _undo_unless_going(self, wanted: Rollback) -> None:
        """A node whose instance somebody else has terminated meanwhile (the cloud, a human, the spot market) cannot be
        kept. Pods that do not end, or cannot be evicted, are the first sign of it."""
        if wanted.reason is RollbackReason.TERMINATE_REFUSED or not await self._went_by_itself():
            await self._undo(wanted)
            return
        try:
            await self._enter(RemovalPhase.TERMINATING)
            await self._wait_until_gone()
        except Withdrawn as told:
            await self._undo(Rollback(RollbackReason.WITHDRAWN, str(told)))
        except NodeGone:
            self._node_is_gone()

    async def _went_by_itself(self) -> bool:
        try:
            return await self._is_going()
        except Stuck:
            # A cloud that cannot be asked must not keep a node tainted.
            return False

    async def _undo(self, wanted: Rollback) -> None:
        def change(node: NodeObject) -> Mapping[str, Any] | None:
            return undo_removal(node, self.record)

        try:
            await self._tools.editor.undo(self.node, change)
        except NodeGone:
            wanted = Rollback(RollbackReason.NODE_GONE, "the Node vanished by itself", pod=wanted.pod)
        self._tell_rolled_back(wanted)

    def _tell_rolled_back(self, why: Rollback) -> None:
        self._tools.emit(
            RemovalRolledBack(
                at=self._tools.clock(), reason=why.reason, message=why.message, pod=why.pod, **self._told
            )
        )

    # --- looking ------------------------------------------------------------------------------------------------

    @property
    def _told(self) -> Told:
        return told_of(self.node, self.record)

    async def _read_node(self) -> NodeObject | None:
        """The Node; None when this very one is gone, though another may have its name."""
        try:
            node = await patiently(
                lambda: self._tools.nodes.read(self.node), patience=self._tools.settings.read_patience
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return node if uid_of(node) == self.record.node_uid else None


def _record_on(node: NodeObject) -> RemovalRecord | None:
    try:
        return load_record(annotations_of(node))
    except UnreadableRecord:
        return None
