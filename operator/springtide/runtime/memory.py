"""What must outlive the process, per NodePool: read once from its status, kept here, written back by reporting.

One process writes it. A restarted operator finds purchases under way, backoffs and cool-downs where it left them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from springtide.actuation.outcome import (
    Outcome,
    PurchaseAcknowledged,
    PurchaseDeferred,
    PurchaseFailed,
    PurchaseRefused,
    RemovalDone,
    RemovalFailed,
    RemovalRolledBack,
    RollbackReason,
)
from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import GroupStatus, NodePoolStatus
from springtide.cluster.groups import FailureClass, LaunchFailure, NodeGroup, PoolListing
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import Backoff, GroupMemory, OutstandingPurchase, Promise, PurchaseRequest
from springtide.planning.groups.requests import settle
from springtide.planning.groups.upcoming import remembered
from springtide.planning.plan import GroupPlan, Plan, PoolPlan, Purchase
from springtide.reporting.phrases import purposes
from springtide.reporting.reporter import Remembered
from springtide.runtime.degraded.rebasing import rebased

MAX_HEARTBEAT_GAP = timedelta(minutes=3)
"""With a longer gap in our heartbeat nobody watched the nodes: a stored "unneeded since" proves nothing, nor does a stored
purchase prove that instances without a Node never had one."""

UNREADABLE_FOR = timedelta(seconds=30)
"""With no reading of a group for so long after answers of it were lost, it backs off; its pods cannot wait for ever."""

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

    def of(self, group: str) -> GroupMemory:
        return self.groups.get(group, GroupMemory())

    def with_request(self, group: str, request: PurchaseRequest | None) -> PoolMemory:
        """Before the cloud is asked; None: it was not, or it refused."""
        return replace(self, groups={**self.groups, group: replace(self.of(group), request=request)})

    def with_purchase(self, group: str, purchase: OutstandingPurchase) -> PoolMemory:
        """After the cloud acknowledged a raised target."""
        known = replace(self.of(group), purchase=purchase, request=None)
        return replace(self, groups={**self.groups, group: known}, last_scale_up=purchase.since)

    def after_plan(self, plan: PoolPlan) -> PoolMemory:
        """What the plan found out: fulfilled purchases, backoffs, failures. Groups that are gone are forgotten."""
        return replace(
            self, groups={group.group: _after(self.groups.get(group.group), group) for group in plan.groups}
        )

    def timers_trusted(self, now: datetime) -> bool:
        """Whether unneeded-since times stored in the cluster count: only if someone kept watching."""
        return _watched(self.last_probe, now)


def _after(before: GroupMemory | None, plan: GroupPlan) -> GroupMemory:
    before = before or GroupMemory()
    return GroupMemory(
        # None once nothing of it is waited for, fulfilled or cancelled; growth of unknown origin is taken up here. While
        # a request is open, the plan has counted on that instead.
        purchase=plan.outstanding if before.request is None else before.purchase,
        request=before.request,
        backoff=plan.backoff,
        failures_seen_until=plan.failures_seen_until or before.failures_seen_until,
        ever_matched=before.ever_matched or plan.ever_matched,
    )


def _watched(last_probe: datetime | None, now: datetime) -> bool:
    # A heartbeat from the future was written by another clock, or before this one was put back: it proves as little.
    return last_probe is not None and abs(now - last_probe) <= MAX_HEARTBEAT_GAP


def from_status(status: NodePoolStatus, *, now: datetime) -> PoolMemory:
    """What an earlier process wrote down.

    After a gap in the heartbeat (nobody watched for long, or an old backup was restored) the nodes of a purchase may have
    come and lost their Node objects since. So it is waited for from now on, and nobody's: nothing of it is terminated.
    """
    groups = {group.id: _group_from_status(group) for group in status.groups}
    if not _watched(status.last_probe_time, now):
        groups = {name: _nobodys(group, now) for name, group in groups.items()}
    return PoolMemory(
        groups=groups,
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
            wanted_for=group.purchase.for_,
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
        request=_request_from_status(group),
        backoff=backoff,
        failures_seen_until=group.failures_seen_until,
        ever_matched=group.ever_registered,
    )


def _nobodys(group: GroupMemory, now: datetime) -> GroupMemory:
    purchase, request = group.purchase, group.request
    if purchase is not None:
        purchase = replace(purchase, plan_id="", since=now)
    if request is not None:
        request = replace(request, purchase=replace(request.purchase, plan_id="", since=now))
    return replace(group, purchase=purchase, request=request)


def _request_from_status(group: GroupStatus) -> PurchaseRequest | None:
    written = group.request
    if written is None:
        return None
    return PurchaseRequest(
        expected=written.from_,
        plan_id=written.plan_id or "",
        purchase=remembered(
            since=written.since,
            before=written.from_,
            to=written.to,
            plan_id=written.plan_id or "",
            missing_before=written.awaited,
            registered=written.registered,
            wanted_for=written.for_,
        ),
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
        self._doubts: dict[tuple[str, str], datetime] = {}
        """By (pool, group) with an open request whose answers were lost: since when, for want of a reading."""
        self._found: dict[tuple[str, str], datetime] = {}
        """By (pool, group) with an open request of an earlier process: when that can have sent its call at the latest."""
        self._refused_at: dict[tuple[PodShape, str], datetime] = {}
        self._uids: dict[str, str] = {}
        self._known: dict[tuple[str, str], GroupPlan] = {}

    def follow(self, pools: Iterable[NodePool], *, now: datetime) -> None:
        """Take up new pools from their status, forget those that are gone (or were made anew under the same name)."""
        uids = {}
        for pool in pools:
            uids[pool.name] = pool.metadata.uid
            if self._uids.get(pool.name) != pool.metadata.uid:
                self.by_pool[pool.name] = from_status(pool.status, now=now)
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

    # --- requests ------------------------------------------------------------------------------------------------

    def request(self, purchases: Sequence[Purchase], *, plan_id: str, now: datetime) -> None:
        """The cloud is about to be asked for these."""
        for purchase in purchases:
            memory = self.by_pool.get(purchase.pool)
            if memory is not None:
                self._forget_doubts(purchase.pool, purchase.group)
                known = self._known.get((purchase.pool, purchase.group))
                asked = remembered(
                    since=now,
                    before=purchase.from_target,
                    to=purchase.to_target,
                    plan_id=plan_id,
                    missing_before=known.missing if known else 0,
                    registered=known.counts.registered if known else 0,
                    earlier=known.outstanding if known else None,
                    wanted_for=purposes(purchase),
                )
                request = PurchaseRequest(expected=purchase.from_target, purchase=asked, plan_id=plan_id)
                self.by_pool[purchase.pool] = memory.with_request(purchase.group, request)

    def _withdraw(self, outcome: Outcome) -> None:
        """The cloud was not asked, or has refused. What another plan asked for stays."""
        memory = self.by_pool[outcome.pool]
        request = memory.of(outcome.group).request
        if request is not None and request.plan_id == outcome.plan_id:
            self._drop_request(outcome.pool, outcome.group)

    def _drop_request(self, pool: str, group: str) -> None:
        self._forget_doubts(pool, group)
        self.by_pool[pool] = self.by_pool[pool].with_request(group, None)

    def settle(
        self, listings: Mapping[str, PoolListing], *, under_way: Collection[tuple[str, str]], now: datetime
    ) -> None:
        """Find out from fresh readings what became of requests that nobody waits for (any more).

        `under_way`: (pool, group) of those whose answer this process still waits for.
        """
        open_requests = [
            (pool, group, known.request)
            for pool, memory in self.by_pool.items()
            for group, known in memory.groups.items()
            if known.request is not None and (pool, group) not in under_way
        ]
        for pool, group, request in open_requests:
            listed = _listed(listings.get(pool), group)
            if listed is not None:
                self._settle(pool, request, listed, now=now)
            doubted_at = self._doubts.get((pool, group))
            if doubted_at is not None and now - doubted_at > UNREADABLE_FOR:
                del self._doubts[pool, group]
                self._failed(pool, group, "the cloud did not answer, and cannot be read", at=now)

    def _settle(self, pool: str, request: PurchaseRequest, listed: NodeGroup, *, now: datetime) -> None:
        if listed.read_at is None:
            return
        lost = self._doubts.get((pool, listed.id))
        # What an earlier process wrote may be dated in our future, if the two clocks differ.
        found = self._found.setdefault((pool, listed.id), min(request.purchase.since, now))
        doubted_at = lost if lost is not None else found
        settled = settle(request, target=listed.target, read_at=listed.read_at, doubted_at=doubted_at)
        if settled is None:
            return
        self._forget_doubts(pool, listed.id)
        if settled.purchase is not None:
            self.by_pool[pool] = self.by_pool[pool].with_purchase(listed.id, settled.purchase)
            return
        self._drop_request(pool, listed.id)
        if lost is not None:
            self._failed(pool, listed.id, "the cloud did not answer, and did nothing", at=now)

    def _forget_doubts(self, pool: str, group: str) -> None:
        self._doubts.pop((pool, group), None)
        self._found.pop((pool, group), None)

    def rebase(self, jump: timedelta, *, now: datetime) -> None:
        """The wall clock jumped by so much, or this process has just begun, after one whose clock may have been wrong."""
        self.by_pool = {name: rebased(memory, by=jump, now=now) for name, memory in self.by_pool.items()}
        if jump:
            # Refusals were acted on by the pass that followed each; their times would now be before or after anything.
            self.refusals.clear()
            self._refused_at.clear()
            self._doubts = {key: at + jump for key, at in self._doubts.items()}
            # Found anew by the next pass, as of then.
            self._found.clear()

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
            case PurchaseAcknowledged() | PurchaseDeferred():
                # Somebody else had raised it so far already; or it was not sent.
                self._withdraw(outcome)
            case PurchaseFailed(ambiguous=True):
                self._doubts[outcome.pool, outcome.group] = outcome.at
            case PurchaseRefused(message=message) | PurchaseFailed(message=message):
                self._withdraw(outcome)
                self._failed(outcome.pool, outcome.group, message, at=outcome.at)
            case RemovalDone():
                self.by_pool[outcome.pool] = replace(memory, last_scale_down=outcome.at)
            case RemovalRolledBack(reason=reason) if reason not in _NO_FAULT:
                self.by_pool[outcome.pool] = replace(memory, last_scale_down_failure=outcome.at)
            case RemovalFailed():
                self.by_pool[outcome.pool] = replace(memory, last_scale_down_failure=outcome.at)
            case _:
                pass

    def _outstanding(self, outcome: PurchaseAcknowledged) -> OutstandingPurchase:
        """The purchase to remember: as it was requested, with the cloud's own numbers."""
        request = self.by_pool[outcome.pool].of(outcome.group).request
        if request is None:
            known = self._known.get((outcome.pool, outcome.group))
            return remembered(
                since=outcome.at,
                before=outcome.before,
                to=outcome.target,
                plan_id=outcome.plan_id,
                missing_before=known.missing if known else 0,
                registered=known.counts.registered if known else 0,
                earlier=known.outstanding if known else None,
            )
        still_awaited = request.expected - request.purchase.from_target
        return replace(
            request.purchase,
            since=outcome.at,
            from_target=outcome.before - still_awaited,
            to_target=outcome.target,
        )

    def _failed(self, pool: str, group: str, message: str, *, at: datetime) -> None:
        self.refusals[pool, group] = LaunchFailure(
            id=f"refused-{at.isoformat()}",
            time=at,
            failure_class=FailureClass.REFUSED,
            message=message,
        )

    def outstanding(self, pool: str) -> bool:
        """Whether a purchase of the pool is not fulfilled yet, or not known to be made."""
        memory = self.by_pool.get(pool, PoolMemory())
        return any(
            group.purchase is not None or group.request is not None for group in memory.groups.values()
        )

    def remembered(self, pool: str) -> Remembered | None:
        """For the report, as of now; None for a pool that is gone."""
        memory = self.by_pool.get(pool)
        if memory is None:
            return None
        return Remembered(
            groups=memory.groups,
            last_scale_up=memory.last_scale_up,
            last_scale_down=memory.last_scale_down,
            last_scale_down_failure=memory.last_scale_down_failure,
        )


def _listed(listing: PoolListing | None, group: str) -> NodeGroup | None:
    return next((each for each in listing.groups if each.id == group), None) if listing is not None else None


_NO_FAULT = frozenset(
    {
        RollbackReason.RELEASED,
        RollbackReason.WITHDRAWN,
        RollbackReason.NODE_GONE,
        RollbackReason.NEW_POD,
        RollbackReason.CIRCUMSTANCES,
    }
)
"""Rollbacks that say nothing against the next removal: no delayAfterFailure."""
