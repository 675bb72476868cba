"""What must outlive the process, per NodePool: read once from its status, kept here, written back by reporting.

One process writes it. A restarted operator finds purchases under way, backoffs and cool-downs where it left them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from springtide.actuation.outcome import (
    Outcome,
    PurchaseAcknowledged,
    PurchaseFailed,
    PurchaseRefused,
    RemovalDone,
    RemovalFailed,
    RemovalRolledBack,
    RollbackReason,
)
from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import GroupStatus, NodePoolStatus
from springtide.cluster.groups import FailureClass, LaunchFailure
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import Backoff, GroupMemory, OutstandingPurchase, Promise
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import GroupPlan, Plan, PoolPlan
from springtide.reporting.reporter import Remembered

MAX_HEARTBEAT_GAP = timedelta(minutes=3)
"""With a longer gap in our heartbeat nobody watched the nodes: a stored "unneeded since" proves nothing."""

REFUSED_LATELY = timedelta(seconds=30)
"""So long the scheduler's refusal of one pod speaks for others of its shape that it has not tried yet."""


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """What we remember of one pool."""

    groups: Mapping[str, GroupMemory] = field(default_factory=dict)
    """By group id."""
    last_scale_up: datetime | None = None
    last_scale_down: datetime | None = None
    last_scale_down_failure: datetime | None = None
    last_probe: datetime | None = None
    """The heartbeat found in the status when this process first saw the pool."""

    def with_purchase(self, group: str, purchase: OutstandingPurchase) -> PoolMemory:
        """After the cloud acknowledged a raised target."""
        before = self.groups.get(group, GroupMemory())
        return replace(
            self,
            groups={**self.groups, group: replace(before, purchase=purchase)},
            last_scale_up=purchase.since,
        )

    def after_plan(self, plan: PoolPlan) -> PoolMemory:
        """What the plan found out: fulfilled purchases, backoffs, failures. Groups that are gone are forgotten."""
        return replace(
            self, groups={group.group: _after(self.groups.get(group.group), group) for group in plan.groups}
        )

    def timers_trusted(self, now: datetime) -> bool:
        """Whether unneeded-since times stored in the cluster count: only if someone kept watching."""
        return self.last_probe is not None and now - self.last_probe <= MAX_HEARTBEAT_GAP


def _after(before: GroupMemory | None, plan: GroupPlan) -> GroupMemory:
    before = before or GroupMemory()
    return GroupMemory(
        # None once nothing of it is waited for, fulfilled or cancelled; growth of unknown origin is taken up here.
        purchase=plan.outstanding,
        backoff=plan.backoff,
        failures_seen_until=plan.failures_seen_until or before.failures_seen_until,
        ever_matched=before.ever_matched or plan.ever_matched,
    )


def from_status(status: NodePoolStatus) -> PoolMemory:
    """What an earlier process wrote down."""
    return PoolMemory(
        groups={group.id: _group_from_status(group) for group in status.groups},
        last_scale_up=status.last_scale_up_time,
        last_scale_down=status.last_scale_down_time,
        last_scale_down_failure=status.last_scale_down_failure_time,
        last_probe=status.last_probe_time,
    )


def _group_from_status(group: GroupStatus) -> GroupMemory:
    purchase = backoff = None
    if group.purchase is not None:
        purchase = OutstandingPurchase(
            since=group.purchase.since,
            from_target=group.purchase.from_,
            to_target=group.purchase.to,
            plan_id=group.purchase.plan_id or "",
            registered=group.purchase.registered,
        )
    if group.backoff is not None:
        backoff = Backoff(
            until=group.backoff.until,
            reason=_failure_class(group.backoff.reason),
            failures=group.backoff.failures,
            last_failure=group.backoff.last_failure_time or group.backoff.until,
            message=group.backoff.message or "",
        )
    return GroupMemory(
        purchase=purchase,
        backoff=backoff,
        failures_seen_until=group.failures_seen_until,
        ever_matched=group.ever_registered,
    )


def _failure_class(text: str) -> FailureClass:
    try:
        return FailureClass(text)
    except ValueError:
        # Written by a newer release; what failed matters less than how long to wait.
        return FailureClass.LAUNCH_FAILED


class Memories:
    """The memories of all pools, fed by plans and outcomes."""

    def __init__(self) -> None:
        self.by_pool: dict[str, PoolMemory] = {}
        """By pool name."""
        self.refusals: dict[tuple[str, str], LaunchFailure] = {}
        """By (pool, group): the last purchase that the cloud refused outright. Planning sees it as a launch failure."""
        self.promised: dict[str, Promise] = {}
        """By uid of a pending pod that a purchase was made for."""
        self._refused_at: dict[tuple[PodShape, str], datetime] = {}
        self._uids: dict[str, str] = {}
        self._known: dict[tuple[str, str], GroupPlan] = {}

    def follow(self, pools: Iterable[NodePool]) -> None:
        """Take up new pools from their status, forget those that are gone (or were made anew under the same name)."""
        uids = {}
        for pool in pools:
            uids[pool.name] = pool.metadata.uid
            if self._uids.get(pool.name) != pool.metadata.uid:
                self.by_pool[pool.name] = from_status(pool.status)
        for gone in set(self.by_pool) - set(uids):
            del self.by_pool[gone]
        self.refusals = {key: failure for key, failure in self.refusals.items() if key[0] in uids}
        self._uids = uids

    def absorb(self, plan: Plan) -> None:
        """Take over what a plan found out."""
        for name, pool in plan.pools.items():
            if name in self.by_pool and pool.groups:
                self.by_pool[name] = self.by_pool[name].after_plan(pool)
        pending = {pod.uid for verdict in plan.pending for pod in verdict.pods}
        self.promised = {uid: promise for uid, promise in self.promised.items() if uid in pending}
        for purchase in plan.purchases:
            self.promised.update(purchase.promises(plan.id))
        self._known = {
            (name, group.group): group for name, pool in plan.pools.items() for group in pool.groups
        }

    def refused_lately(
        self, pending: Iterable[PodRecord], *, now: datetime
    ) -> frozenset[tuple[PodShape, str]]:
        """Shapes that a scheduler refused lately: in a burst, the pods it comes to last are no better off."""
        for pod in pending:
            if pod.unschedulable_since is not None:
                self._refused_at[pod.shape, pod.scheduler_name] = now
        self._refused_at = {key: at for key, at in self._refused_at.items() if now - at <= REFUSED_LATELY}
        return frozenset(self._refused_at)

    def remember(self, outcome: Outcome) -> None:
        """Take over what became of a decision."""
        memory = self.by_pool.get(outcome.pool)
        if memory is None:
            return
        match outcome:
            case PurchaseAcknowledged(before=before, target=target) if target > before:
                self.by_pool[outcome.pool] = memory.with_purchase(outcome.group, self._outstanding(outcome))
            case PurchaseRefused(message=message) | PurchaseFailed(message=message, ambiguous=False):
                self._refused(outcome, message)
            case RemovalDone():
                self.by_pool[outcome.pool] = replace(memory, last_scale_down=outcome.at)
            case RemovalRolledBack(reason=reason) if reason not in _NO_FAULT:
                self.by_pool[outcome.pool] = replace(memory, last_scale_down_failure=outcome.at)
            case RemovalFailed():
                self.by_pool[outcome.pool] = replace(memory, last_scale_down_failure=outcome.at)
            case _:
                pass

    def _outstanding(self, outcome: PurchaseAcknowledged) -> OutstandingPurchase:
        """The purchase to remember, with what the one before it still waits for."""
        known = self._known.get((outcome.pool, outcome.group))
        return remembered(
            since=outcome.at,
            before=outcome.before,
            to=outcome.target,
            plan_id=outcome.plan_id,
            missing_before=known.missing if known else 0,
            registered=known.counts.registered if known else 0,
        )

    def _refused(self, outcome: Outcome, message: str) -> None:
        self.refusals[outcome.pool, outcome.group] = LaunchFailure(
            id=f"refused-{outcome.at.isoformat()}",
            time=outcome.at,
            failure_class=FailureClass.REFUSED,
            message=message,
        )

    def outstanding(self, pool: str) -> bool:
        """Whether a purchase of the pool is not fulfilled yet."""
        memory = self.by_pool.get(pool, PoolMemory())
        return any(group.purchase is not None for group in memory.groups.values())

    def remembered(self) -> dict[str, Remembered]:
        """For the report, by pool name."""
        return {
            name: Remembered(
                groups=memory.groups,
                last_scale_up=memory.last_scale_up,
                last_scale_down=memory.last_scale_down,
                last_scale_down_failure=memory.last_scale_down_failure,
            )
            for name, memory in self.by_pool.items()
        }


_NO_FAULT = frozenset(
    {RollbackReason.RELEASED, RollbackReason.WITHDRAWN, RollbackReason.NODE_GONE, RollbackReason.NEW_POD}
)
"""Rollbacks that say nothing against the next removal: no delayAfterFailure."""
