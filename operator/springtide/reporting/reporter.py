"""Puts reports where people look: statuses, events, logs, metrics, all from the same plan and outcomes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from springtide.actuation.outcome import CancellationDone, Outcome, PurchaseFailed, PurchaseRefused
from springtide.api.conditions import Condition, ConditionType, Reason, set_condition
from springtide.api.metadata import ObjectMeta
from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import Decision, GroupError, NodePoolStatus
from springtide.api.parse import InvalidResource
from springtide.api.policy import AutoscalerPolicy
from springtide.api.policy_status import AutoscalerPolicyStatus
from springtide.cluster.groups import PoolListing
from springtide.cluster.snapshot import GroupMemory, PoolView, RemovalInFlight, Snapshot
from springtide.planning.plan import Plan
from springtide.reporting.condition_notes import condition_notes
from springtide.reporting.degradations import mode_notes
from springtide.reporting.metrics import Metrics
from springtide.reporting.narrator import Narrator
from springtide.reporting.notes import Note, note_of
from springtide.reporting.pass_gauges import LastPass
from springtide.reporting.plan_notes import plan_notes
from springtide.reporting.policy_status import PassFacts, policy_status
from springtide.reporting.pool_conditions import pool_conditions
from springtide.reporting.pool_status import MESSAGE_LIMIT, PoolFacts, pool_status, with_requests
from springtide.reporting.status_writer import StatusWriter

NODE_POOLS: Final = "nodepools"
POLICIES: Final = "autoscalerpolicies"
PARALLEL_WRITES: Final = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the runtime remembers of a pool that belongs into its status."""

    groups: Mapping[str, GroupMemory]
    last_scale_up: datetime | None
    last_scale_down: datetime | None
    last_scale_down_failure: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """One finished pass, with all that a report needs."""

    snapshot: Snapshot
    plan: Plan
    causes: Mapping[str, int]
    phases: Mapping[str, timedelta]
    pools: Mapping[str, NodePool]
    invalid_pools: tuple[InvalidResource, ...]
    policies: tuple[AutoscalerPolicy | InvalidResource, ...]
    metadata: Mapping[tuple[str, str], ObjectMeta]
    listings: Mapping[str, PoolListing]
    removals: Mapping[str, RemovalInFlight]
    """By node name, those that the pass has begun included."""
    memories: Callable[[str], Remembered | None]
    """By pool name, asked when a status is written: what was remembered since the pass ended must not be written over."""


class Reporter:
    """Takes outcomes and passes at once; writes statuses in the background, the newest pass winning."""

    def __init__(
        self, *, narrator: Narrator, metrics: Metrics, writer: StatusWriter, clock: Callable[[], datetime]
    ) -> None:
        self._narrator = narrator
        self._metrics = metrics
        self._writer = writer
        self._clock = clock
        self._decisions: dict[str, Decision] = {}
        self._errors: dict[tuple[str, str], GroupError] = {}
        self._statuses: dict[str, NodePoolStatus] = {}
        self._policy_statuses: dict[str, AutoscalerPolicyStatus] = {}
        self._told_conditions: dict[str, tuple[Condition, ...]] = {}
        self._last_plan: Plan | None = None
        self._waiting: PassReport | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    # --- what is said at once -----------------------------------------------------------------------------------

    def outcome(self, outcome: Outcome) -> None:
        """Log, count and post one outcome."""
        self._metrics.count(outcome)
        if isinstance(outcome, PurchaseRefused | PurchaseFailed | CancellationDone):
            error = GroupError(time=outcome.at, message=outcome.message[:MESSAGE_LIMIT])
            self._errors[outcome.pool, outcome.group] = error
        note = note_of(outcome)
        if note is not None:
            self._tell(note)

    def planned(self, plan: Plan, snapshot: Snapshot) -> None:
        """A plan was made: say what is new in it, before its outcomes are told."""
        for note in plan_notes(plan, self._last_plan, snapshot):
            self._tell(note)
            if note.reason == "ScaleUpFinished":
                self._metrics.purchase_fulfilled(note.pool, timedelta(seconds=float(note.fields["seconds"])))
        told = self._last_plan.degradations if self._last_plan is not None else ()
        for note in mode_notes(told, plan.degradations, plan_id=plan.id):
            self._tell(note)
        self._last_plan = plan

    def passed(self, report: PassReport) -> None:
        """A pass ended: say which conditions changed, and have the statuses written."""
        self._waiting = report
        self._idle.clear()
        self._wake.set()
        self._forget_gone(report)
        conditions = {view.name: self._conditions(view, report) for view in report.snapshot.pools}
        self._tell_changes(report, conditions)
        cause = next(iter(report.causes), "scan")
        last = LastPass(report.plan, conditions)
        ended = self._clock().timestamp()
        self._metrics.passed(last, cause=cause, phases=report.phases, ended_at=ended)

    def _forget_gone(self, report: PassReport) -> None:
        """Memory is bounded by the resources there are."""
        uids = {metadata.uid for metadata in report.metadata.values()}
        names = {name for kind, name in report.metadata if kind == "NodePool"}
        for uid in self._statuses.keys() - uids:
            del self._statuses[uid]
            self._writer.forget(NODE_POOLS, uid)
        for uid in self._policy_statuses.keys() - uids:
            del self._policy_statuses[uid]
            self._writer.forget(POLICIES, uid)
        self._decisions = {name: each for name, each in self._decisions.items() if name in names}
        self._errors = {key: error for key, error in self._errors.items() if key[0] in names}

    def pass_failed(self) -> None:
        """A pass ended with an error (which the engine has logged)."""
        self._metrics.pass_failed()

    def _tell_changes(self, report: PassReport, conditions: Mapping[str, tuple[Condition, ...]]) -> None:
        """Compared with what was told last, not with what is written: writing may lag behind."""
        told = {}
        for view in report.snapshot.pools:
            before = self._told_conditions.get(view.uid, report.pools[view.name].status.conditions)
            told[view.uid] = conditions[view.name]
            for note in condition_notes(view.name, before, conditions[view.name], plan_id=report.plan.id):
                self._tell(note)
        self._told_conditions = told

    def _tell(self, note: Note) -> None:
        self._narrator.tell(note)
        if note.pool and note.decides:
            summary = note.message[:MESSAGE_LIMIT]
            plan_id = note.plan_id or None
            self._decisions[note.pool] = Decision(
                time=self._clock(), plan_id=plan_id, action=note.reason, summary=summary
            )

    # --- statuses -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write statuses until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            report, self._waiting = self._waiting, None
            if report is not None:
                await self._write_all(report)
            if self._waiting is None:
                self._idle.set()

    async def flush(self) -> None:
        """Wait until the newest pass stands in the statuses (or could not be written)."""
        await self._idle.wait()

    async def _write_all(self, report: PassReport) -> None:
        limit = asyncio.Semaphore(PARALLEL_WRITES)
        conditions = {view.name: self._conditions(view, report) for view in report.snapshot.pools}
        writes = {
            **{
                f"NodePool {v.name}": self._write_pool(limit, v, report, conditions[v.name])
                for v in report.snapshot.pools
            },
            **{
                f"NodePool {i.name}": self._write_invalid_pool(limit, i, report) for i in report.invalid_pools
            },
            **{
                f"AutoscalerPolicy {p.name}": self._write_policy(limit, p, report, conditions)
                for p in report.policies
            },
        }
        async with asyncio.TaskGroup() as group:
            for subject, write in writes.items():
                group.create_task(_apart(write, subject))

    async def _write_pool(
        self,
        limit: asyncio.Semaphore,
        view: PoolView,
        report: PassReport,
        conditions: tuple[Condition, ...],
    ) -> None:
        async with limit, self._writer.exclusive(NODE_POOLS, view.uid):
            remembered = report.memories(view.name)
            if remembered is None:
                return
            status = self._pool_status(view, report, remembered, conditions)
            self._statuses[view.uid] = status
            await self._write(NODE_POOLS, report.metadata["NodePool", view.name], status)

    def _pool_status(
        self,
        view: PoolView,
        report: PassReport,
        remembered: Remembered,
        conditions: tuple[Condition, ...],
    ) -> NodePoolStatus:
        before = self._before(view.name, report)
        policy = next((p for p in report.snapshot.policies if p.name == view.policy), None)
        facts = PoolFacts(
            view=view,
            plan=report.plan.pools[view.name],
            memory=remembered.groups,
            last_scale_up=remembered.last_scale_up,
            last_scale_down=remembered.last_scale_down,
            last_scale_down_failure=remembered.last_scale_down_failure,
            policy_generation=policy.generation if policy else None,
            conditions=conditions,
            decision=self._decisions.get(view.name),
            removals=[each for each in report.removals.values() if each.pool == view.name],
            errors=self._group_errors(view.name, before),
            ever_listed=_ever_listed(report.listings.get(view.name)),
        )
        return pool_status(facts, before, now=report.plan.now)

    async def write_ahead(self, pool: NodePool, memory: Mapping[str, GroupMemory]) -> None:
        """Put the purchases that the cloud is about to be asked for into the pool's status, now.

        `memory`: by group, with the requests. Raises KubeError when they do not stand there.
        """
        uid = pool.metadata.uid
        async with self._writer.exclusive(NODE_POOLS, uid):
            status = with_requests(self._statuses.get(uid, pool.status), memory)
            await self._writer.write_now(
                NODE_POOLS,
                pool.name,
                uid=uid,
                resource_version=pool.metadata.resource_version,
                status=status.to_wire(),
            )
            self._statuses[uid] = status
        self._metrics.status_written(NODE_POOLS)

    def _group_errors(self, pool: str, before: NodePoolStatus) -> dict[str, GroupError]:
        stored = {group.id: group.last_error for group in before.groups if group.last_error is not None}
        return stored | {group: error for (name, group), error in self._errors.items() if name == pool}

    async def _write_invalid_pool(
        self, limit: asyncio.Semaphore, invalid: InvalidResource, report: PassReport
    ) -> None:
        metadata = report.metadata[("NodePool", invalid.name)]
        async with limit, self._writer.exclusive(NODE_POOLS, metadata.uid):
            before = self._statuses.get(metadata.uid) or _stored_status(invalid)
            conditions = _invalid(before.conditions, invalid, now=report.plan.now)
            # Whatever else stood in the status (purchases under way, backoffs) is kept: it is true of the nodes still.
            status = before.model_copy(
                update={"observed_generation": invalid.generation, "conditions": conditions}
            )
            self._statuses[metadata.uid] = status
            await self._write(NODE_POOLS, metadata, status)

    async def _write_policy(
        self,
        limit: asyncio.Semaphore,
        policy: AutoscalerPolicy | InvalidResource,
        report: PassReport,
        conditions: Mapping[str, tuple[Condition, ...]],
    ) -> None:
        metadata = report.metadata[("AutoscalerPolicy", policy.name)]
        if metadata.being_deleted:
            return
        stored = policy.status if isinstance(policy, AutoscalerPolicy) else AutoscalerPolicyStatus()
        before = self._policy_statuses.get(metadata.uid, stored)
        if isinstance(policy, InvalidResource):
            invalid = _invalid(before.conditions, policy, now=report.plan.now)
            status = AutoscalerPolicyStatus(observed_generation=policy.generation, conditions=invalid)
        else:
            view = next(view for view in report.snapshot.policies if view.uid == metadata.uid)
            duration = sum(report.phases.values(), timedelta())
            facts = PassFacts(report.snapshot, report.plan, duration, report.phases, conditions)
            status = policy_status(view, facts, before)
        async with limit, self._writer.exclusive(POLICIES, metadata.uid):
            self._policy_statuses[metadata.uid] = status
            await self._write(POLICIES, metadata, status)

    async def _write(
        self, plural: str, metadata: ObjectMeta, status: NodePoolStatus | AutoscalerPolicyStatus
    ) -> None:
        written = await self._writer.write(
            plural,
            metadata.name,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            status=status.to_wire(),
        )
        if written:
            self._metrics.status_written(plural)

    def _before(self, name: str, report: PassReport) -> NodePoolStatus:
        pool = report.pools[name]
        return self._statuses.get(pool.metadata.uid, pool.status)

    def _conditions(self, view: PoolView, report: PassReport) -> tuple[Condition, ...]:
        before = self._before(view.name, report).conditions
        plan = report.plan.pools[view.name]
        listing = report.listings.get(view.name)
        return pool_conditions(
            before, view, plan, listing, now=report.plan.now, degradations=report.plan.degradations
        )


async def _apart(write: Coroutine[Any, Any, None], subject: str) -> None:
    """A status that cannot be made is a bug, but one of this object alone: the others are written, the operator lives."""
    try:
        await write
    except Exception:
        logger.exception("the status of %s cannot be written", subject)


def _ever_listed(listing: PoolListing | None) -> bool:
    return listing is not None and listing.read_at is not None


def _stored_status(invalid: InvalidResource) -> NodePoolStatus:
    """What an earlier process wrote; empty if another release did, in a form that we do not know."""
    try:
        return NodePoolStatus.model_validate(invalid.status)
    except ValidationError:
        return NodePoolStatus()


def _invalid(
    before: tuple[Condition, ...], invalid: InvalidResource, *, now: datetime
) -> tuple[Condition, ...]:
    return set_condition(
        before,
        ConditionType.READY,
        False,
        reason=Reason.INVALID_SPEC,
        message=invalid.message,
        generation=invalid.generation,
        now=now,
    )
