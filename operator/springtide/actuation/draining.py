"""Emptying one node: its pods listed afresh, judged again, evicted; and looked at a last time before the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from springtide.actuation.detachment import may_have_volumes, wait_for_detachment
from springtide.actuation.eviction import EvictionLimits, EvictionWitness
from springtide.actuation.interruptions import Rollback
from springtide.actuation.outcome import (
    EvictionBlocked,
    PodEvicted,
    RemovalDraining,
    RollbackReason,
    VolumesNotDetached,
)
from springtide.actuation.patience import patiently
from springtide.actuation.ports import ManagedPool
from springtide.actuation.removal_record import RemovalRecord
from springtide.actuation.removal_tools import RemovalTools, told_of
from springtide.actuation.residents import needs_a_place, wants_daemon_eviction
from springtide.api.duration import format_duration
from springtide.cluster.api_errors import KubeError
from springtide.cluster.records import PodRecord
from springtide.planning.plan import PodBlock
from springtide.planning.scale_down.budgets import BudgetIndex
from springtide.planning.scale_down.drain_rules import DrainContext, node_drain

MOST_NAMED: Final = 3
"""Volumes named in a message."""


class Draining:
    """The pods of one node under removal. All methods raise Rollback when the node must be kept."""

    def __init__(self, node: str, *, record: RemovalRecord, pool: ManagedPool, tools: RemovalTools) -> None:
        self._node = node
        self._planned = frozenset(record.pods)
        self._told = told_of(node, record)
        self._rules = pool.settings.scale_down
        self._expendable_below = pool.settings.scale_up.expendable_pods_priority_cutoff
        self._tools = tools

    async def judge_again(self, *, was_draining: bool) -> Sequence[PodRecord]:
        """The node's pods as the API server knows them now, after the taint; all of them may go.

        `was_draining`: a drain that was interrupted, whose own evictions may have used up the budgets.
        """
        # The scheduler may not have seen the taint yet; what it bound until it did must be in the list.
        await asyncio.sleep(self._tools.settings.delay_after_taint)
        present = await self._list()
        self._refuse_new(present)
        picture = self._tools.picture()
        drain = node_drain(
            # As in the plan: finished and expendable pods are judged by nobody.
            [pod for pod in present if pod.is_daemon or self._counts(pod)],
            context=DrainContext(
                now=self._tools.clock(),
                workloads=picture.workloads,
                budgets=BudgetIndex(picture.disruption_budgets),
                settings=self._rules,
            ),
        )
        verdict = drain.verdict
        if verdict is not None and not (was_draining and verdict.block is PodBlock.NOT_ENOUGH_PDB):
            message = f"{verdict.block}: {verdict.detail}"
            raise Rollback(RollbackReason.POD_BLOCKS, message, pod=drain.blocking_pod)
        if drain.waiting_for:
            raise Rollback(RollbackReason.POD_BLOCKS, "it must run to its end", pod=drain.waiting_for[0])
        return present

    async def evict(self, present: Sequence[PodRecord]) -> None:
        """Evict what must move, then, as far as settings and annotations say so, the DaemonSets' pods."""
        movable = [pod for pod in present if pod.uid in self._planned and self._counts(pod)]
        tools = self._tools
        tools.emit(RemovalDraining(at=tools.clock(), pods=len(movable), **self._told))
        limits = EvictionLimits(
            max_grace=self._rules.max_graceful_termination,
            retry_for=self._rules.max_pod_eviction_time,
            budgets=BudgetIndex(tools.picture().disruption_budgets),
        )
        witness = EvictionWitness(evicted=self._tell_evicted, blocked=self._tell_blocked)
        left = await tools.evictor.drain(self._node, movable, limits=limits, witness=witness)
        if left is not None:
            reason = RollbackReason.PODS_REMAIN if left.evicted else RollbackReason.EVICTION_REFUSED
            raise Rollback(reason, left.message, pod=left.pod)
        by_default = (
            self._rules.daemon_set_eviction_for_occupied_nodes
            if movable
            else self._rules.daemon_set_eviction_for_empty_nodes
        )
        daemons = [pod for pod in present if wants_daemon_eviction(pod, by_default=by_default)]
        await tools.evictor.evict_best_effort(self._node, daemons, limits=limits, witness=witness)

    async def detach(self, present: Sequence[PodRecord]) -> None:
        """Wait until the volumes of the pods that went are detached; in the end go on regardless. `present`: what was on
        the node before the evictions."""
        tools, patience = self._tools, self._rules.max_volume_detach_time
        interrupted = len([pod for pod in present if pod.uid in self._planned]) < len(self._planned)
        # Of a pod that an interrupted drain evicted nobody remembers what it mounted.
        if tools.volumes is None or not (interrupted or may_have_volumes(present)):
            return
        try:
            staying = [pod for pod in await self._list() if not pod.finished]
            attached = await wait_for_detachment(
                self._node,
                staying=staying,
                volumes=tools.volumes,
                at_most=patience,
                settings=tools.settings,
            )
        except KubeError as error:
            # The pods are gone: giving the node back to the scheduler now would help nobody.
            self._tell_not_detached(f"which volumes are attached cannot be read: {error}")
            return
        if attached:
            names = ", ".join(attached[:MOST_NAMED]) + (", …" if len(attached) > MOST_NAMED else "")
            self._tell_not_detached(f"still attached after {format_duration(patience)}: {names}")

    async def last_look(self) -> None:
        """Make sure, right before the instance is terminated, that no pod would be lost with it."""
        present = await self._list()
        self._refuse_new(present)
        for pod in present:
            if self._counts(pod):
                raise Rollback(RollbackReason.PODS_REMAIN, "it is still on the node", pod=pod)

    async def _list(self) -> Sequence[PodRecord]:
        return await patiently(
            lambda: self._tools.nodes.pods_on(self._node), patience=self._tools.settings.read_patience
        )

    def _refuse_new(self, present: Sequence[PodRecord]) -> None:
        for pod in present:
            if pod.uid not in self._planned and self._counts(pod):
                raise Rollback(RollbackReason.NEW_POD, "it came to the node after the plan was made", pod=pod)

    def _counts(self, pod: PodRecord) -> bool:
        # A planned pod has a place elsewhere whatever its priority; of the others, expendable ones need none.
        cutoff = -(2**31) if pod.uid in self._planned else self._expendable_below
        return needs_a_place(pod, now=self._tools.clock(), expendable_below=cutoff)

    def _tell_evicted(self, pod: PodRecord, grace: int) -> None:
        tools = self._tools
        tools.emit(PodEvicted(at=tools.clock(), pod=pod, grace_seconds=grace, **self._told))

    def _tell_not_detached(self, message: str) -> None:
        self._tools.emit(VolumesNotDetached(at=self._tools.clock(), message=message, **self._told))

    def _tell_blocked(self, pod: PodRecord, message: str, remaining: timedelta) -> None:
        now = self._tools.clock()
        self._tools.emit(
            EvictionBlocked(at=now, pod=pod, message=message, until=now + remaining, **self._told)
        )
