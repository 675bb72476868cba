"""All removals of this process: started, resumed, released; one owned task for each node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from springtide.actuation.node_edits import NodeGone
from springtide.actuation.outcome import (
    RemovalFailed,
    RemovalRolledBack,
    RemovalSuspended,
    RollbackReason,
)
from springtide.actuation.ports import ManagedPool, MutationForbidden, NodeObject
from springtide.actuation.removal import RemovalRun, new_record
from springtide.actuation.removal_record import RemovalRecord, UnreadableRecord, load_record
from springtide.actuation.removal_tools import RemovalTools, Told, told_of
from springtide.actuation.taints import in_flight, undo_removal
from springtide.actuation.tasks import OwnedTasks
from springtide.cluster.annotations import REMOVAL
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import RemovalInFlight
from springtide.planning.plan import Removal

RemovalKey = tuple[str, tuple[str, datetime]]
"""Node, identity of the removal."""

INFORMER_LAG_SECONDS: Final = 60.0
"""Marks that are still shown so long after their removal ended here are no echo: they are on the node."""


@dataclass(frozen=True, slots=True)
class _Retry:
    failures: int
    due: float
    """By the loop's clock: a wall clock that is set back must not put it off for ever."""


class Removals:
    """Owns the removals. Never raises for what happens to one of them: that becomes an outcome."""

    def __init__(self, tools: RemovalTools, *, owner: str) -> None:
        self._tools = tools
        self._owner = owner
        self._tasks: OwnedTasks[str] = OwnedTasks()
        self._runs: dict[str, RemovalRun] = {}
        self._retries: dict[str, _Retry] = {}
        self._ended: dict[RemovalKey, float] = {}
        """Ended here, though the informer, being behind, may still show them: when, by the loop's clock. Not for ever: a
        mark whose answer was lost may come late, and who withdrew from an instance that was going has not seen it off."""
        self._give_up_at: dict[RemovalKey, float] = {}
        """When each removal that this process has seen is to be over, by the loop's clock."""

    @property
    def in_flight(self) -> Mapping[str, RemovalInFlight]:
        """By node name: what this process is working on, also before the informer shows the taint."""
        return {node: in_flight(node, run.record) for node, run in self._runs.items()}

    def start(self, removal: Removal, pool: ManagedPool, *, plan_id: str) -> None:
        """Begin a removal, unless one of the same node is at work."""
        if removal.node in self._tasks:
            return
        record = new_record(
            removal,
            now=self._tools.clock(),
            plan_id=plan_id,
            owner=self._owner,
            rules=pool.settings.scale_down,
            settings=self._tools.settings,
        )
        run = self._run(removal.node, record, pool)
        self._own(run, lambda: run.start(removal))

    def resume(self, nodes: Iterable[NodeRecord], pools: Mapping[str, ManagedPool]) -> None:
        """Take up every removal that these nodes tell of and nobody here works on.

        `pools`: every NodePool that exists, by name. The removal of a pool that is not among them is rolled back.
        """
        marked = [node for node in nodes if REMOVAL in node.annotations]
        records = {node.name: _record_of(node) for node in marked}
        # Of nodes without marks there is nothing to try again, and nothing to leave alone.
        self._retries = {name: retry for name, retry in self._retries.items() if name in records}
        present = {(name, record.identity) for name, record in records.items() if record is not None}
        fresh = asyncio.get_running_loop().time() - INFORMER_LAG_SECONDS
        self._ended = {key: at for key, at in self._ended.items() if key in present and at > fresh}
        self._give_up_at = {
            key: at for key, at in self._give_up_at.items() if key in present or key[0] in self._tasks
        }
        for node in marked:
            record = records[node.name]
            if node.name in self._tasks or not self._is_due(node.name):
                continue
            if record is not None and (node.name, record.identity) in self._ended:
                continue
            pool = pools.get(record.pool) if record is not None else None
            if record is not None and pool is not None:
                run = self._run(node.name, record, pool)
                self._own(run, run.resume)
            else:
                work = self._release(node.name, record, None)
                self._tasks.start(node.name, work, name=f"release of {node.name}")

    async def release(self, nodes: Sequence[NodeRecord], pool: ManagedPool | None) -> tuple[str, ...]:
        """Roll back the removals on these nodes; names of those where that failed, to be tried again.

        A node whose instance is going already is left to go, and counts as released. `pool`: None when the NodePool is
        gone for good, so that nobody can ask its cloud.
        """
        records = {node.name: _record_of(node) for node in nodes if REMOVAL in node.annotations}
        # What we set or wrote a moment ago, the informer may not know yet.
        records.update({node.name: self._runs[node.name].record for node in nodes if node.name in self._runs})
        await self._tasks.cancel(records)
        for name, record in records.items():
            self._tasks.start(name, self._release(name, record, pool), name=f"release of {name}")
        await self._tasks.join(records)
        return tuple(name for name in records if name in self._retries)

    async def withdraw(self, message: str) -> None:
        """Undo all removals whose instance is not going yet; begun here, and seen through in the background."""
        runs = dict(self._runs)
        await self._tasks.cancel(runs)
        for name, run in runs.items():
            work = self._carry_out(run, partial(run.roll_back, RollbackReason.CIRCUMSTANCES, message))
            self._tasks.start(name, work, name=f"withdrawal of {name}")

    async def stop(self) -> None:
        """Interrupt all. Their marks stay on the nodes for whoever resumes them."""
        await self._tasks.cancel(self._tasks)

    # --- carrying out -------------------------------------------------------------------------------------------

    def _run(self, node: str, record: RemovalRecord, pool: ManagedPool) -> RemovalRun:
        """The deadline is wall-clock, for the next process. Within one, it is judged once and then counted by the loop's
        clock: one that jumps ahead must not undo all removals, and one that falls back must not lengthen any."""
        left = min(record.deadline - self._tools.clock(), record.deadline - record.since)
        give_up_at = asyncio.get_running_loop().time() + left.total_seconds()
        known = self._give_up_at.setdefault((node, record.identity), give_up_at)
        return RemovalRun(node, record=record, pool=pool, tools=self._tools, give_up_at=known)

    def _own(self, run: RemovalRun, work: Callable[[], Awaitable[None]]) -> None:
        self._runs[run.node] = run
        task = self._tasks.start(run.node, self._carry_out(run, work), name=f"removal of {run.node}")
        # Not in _carry_out: a task that is cancelled before its first step never gets there.
        task.add_done_callback(lambda _: self._runs.pop(run.node, None))

    async def _carry_out(self, run: RemovalRun, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except MutationForbidden as forbidden:
            self._suspended(run.node, run.record, str(forbidden))
        except Exception as error:
            self._failed(run.node, run.record, str(error) or type(error).__name__)
        else:
            self._retries.pop(run.node, None)
            self._ended[run.node, run.record.identity] = asyncio.get_running_loop().time()

    async def _release(self, node: str, record: RemovalRecord | None, pool: ManagedPool | None) -> None:
        message = "its NodePool, policy or node group is no longer managed"
        try:
            if record is not None and pool is not None:
                released = self._run(node, record, pool)
                await released.roll_back(RollbackReason.RELEASED, message)
            else:
                await self._undo_unmanaged(node, record, message)
        except MutationForbidden as forbidden:
            self._suspended(node, record, str(forbidden))
        except Exception as error:
            self._failed(node, record, str(error) or type(error).__name__)
        else:
            self._retries.pop(node, None)

    async def _undo_unmanaged(self, node: str, record: RemovalRecord | None, message: str) -> None:
        def change(present: NodeObject) -> Mapping[str, Any] | None:
            return undo_removal(present, record)

        with suppress(NodeGone):
            await self._tools.editor.undo(node, change)
        told = _told(node, record)
        self._tools.emit(
            RemovalRolledBack(at=self._tools.clock(), reason=RollbackReason.RELEASED, message=message, **told)
        )

    # --- failures -----------------------------------------------------------------------------------------------

    def _is_due(self, node: str) -> bool:
        retry = self._retries.get(node)
        return retry is None or retry.due <= asyncio.get_running_loop().time()

    def _suspended(self, node: str, record: RemovalRecord | None, message: str) -> None:
        phase = record.phase.value if record is not None else ""
        first = self._tools.settings.retry_first
        self._retries[node] = _Retry(0, asyncio.get_running_loop().time() + first)
        self._tools.emit(
            RemovalSuspended(at=self._tools.clock(), phase=phase, message=message, **_told(node, record))
        )

    def _failed(self, node: str, record: RemovalRecord | None, message: str) -> None:
        settings = self._tools.settings
        before = self._retries.get(node)
        failures = before.failures + 1 if before is not None else 1
        # The exponent is bounded, or a failure that lasts for days would overflow the wait.
        wait = min(settings.retry_first * 2 ** min(failures - 1, 16), settings.retry_most)
        retry_at = self._tools.clock() + timedelta(seconds=wait)
        self._retries[node] = _Retry(failures, asyncio.get_running_loop().time() + wait)
        self._tools.emit(
            RemovalFailed(
                at=self._tools.clock(),
                phase=record.phase.value if record is not None else "",
                message=message,
                failures=failures,
                retry_at=retry_at,
                **_told(node, record),
            )
        )


def _record_of(node: NodeRecord) -> RemovalRecord | None:
    try:
        return load_record(node.annotations)
    except UnreadableRecord:
        return None


def _told(node: str, record: RemovalRecord | None) -> Told:
    if record is not None:
        return told_of(node, record)
    return Told(pool="", group="", plan_id="", node=node, node_uid="", instance="")
