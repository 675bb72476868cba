"""What must outlive the process, per NodePool: read once from its status, kept here, written back by reporting.

One process writes it. A restarted operator finds purchases under way, backoffs and cool-downs where it left them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from springtide.api.nodepool_status import GroupStatus, NodePoolStatus
from springtide.cluster.groups import FailureClass
from springtide.cluster.snapshot import Backoff, GroupMemory, OutstandingPurchase
from springtide.planning.plan import GroupPlan, PoolPlan

MAX_HEARTBEAT_GAP = timedelta(minutes=3)
"""With a longer gap in our heartbeat nobody watched the nodes: a stored "unneeded since" proves nothing."""


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
        # One record a group: a purchase on top of an outstanding one keeps the older `from`, so that "to - from" is
        # all that is still awaited, and takes the newer `since`, so that the new nodes get their full time.
        origin = before.purchase.from_target if before.purchase else purchase.from_target
        merged = replace(purchase, from_target=origin)
        return replace(
            self,
            groups={**self.groups, group: replace(before, purchase=merged)},
            last_scale_up=purchase.since,
        )

    def after_plan(self, plan: PoolPlan) -> PoolMemory:
        """What the plan found out: fulfilled purchases, backoffs, failures dealt with. Groups that are gone are forgotten."""
        return replace(
            self, groups={group.group: _after(self.groups.get(group.group), group) for group in plan.groups}
        )

    def timers_trusted(self, now: datetime) -> bool:
        """Whether unneeded-since times stored in the cluster count: only if someone kept watching."""
        return self.last_probe is not None and now - self.last_probe <= MAX_HEARTBEAT_GAP


def _after(before: GroupMemory | None, plan: GroupPlan) -> GroupMemory:
    before = before or GroupMemory()
    return GroupMemory(
        purchase=None if plan.purchase_done else before.purchase,
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
        )
    if group.backoff is not None:
        backoff = Backoff(
            until=group.backoff.until,
            reason=_failure_class(group.backoff.reason),
            failures=group.backoff.failures,
            last_failure=group.backoff.last_failure_time or group.backoff.until,
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
