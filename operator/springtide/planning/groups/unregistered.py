"""Unregistered instances: bought by us, running for long, and never a Node. They cost and serve nobody.

The most dangerous removal there is: whoever mistakes a cluster whose nodes cannot be matched for one whose instances
never registered deletes the cluster. So an instance goes only while a purchase of ours explains every one of
the group's unregistered instances, and only a few go in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from springtide.api.conditions import ConditionType, Reason
from springtide.planning.groups.readiness import GroupState
from springtide.planning.groups.upcoming import Upcoming, missing, target_of, unfulfilled
from springtide.planning.plan import PoolFinding, UnregisteredRemoval

CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""A Node's age is told by the API server's clock, a purchase's by ours."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """What becomes of a group's unregistered instances."""

    count: int = 0
    """Unregistered for longer than maxNodeProvisionTime."""
    removal: UnregisteredRemoval | None = None
    finding: PoolFinding | None = None
    """Why nothing is terminated though it looks as if it should be."""


def overdue(state: GroupState, *, upcoming: Upcoming, newest_without_id: datetime | None) -> Overdue:
    """Decide on a group's unregistered instances.

    `newest_without_id`: when the newest Node of the cluster that carries no provider ID was created (it could be any
    of them); None: all carry one.
    """
    if not state.unregistered:
        return Overdue()
    doubt = _doubt(state, upcoming=upcoming, newest_without_id=newest_without_id)
    purchase = upcoming.outstanding
    if purchase is None or (upcoming.overdue and not purchase.plan_id):
        # Machines of others, or from before the status was lost: they say nothing of whether the group works.
        return Overdue(finding=doubt or _unexplained(state))
    if not upcoming.overdue:
        return Overdue(finding=doubt)
    count = len(state.unregistered)
    if doubt is not None:
        return Overdue(count=count, finding=doubt)
    chosen = _few(state)
    if not chosen or missing(state, purchase) < unfulfilled(state) + count:
        return Overdue(count=count, finding=_unexplained(state))
    return Overdue(
        count=count,
        removal=UnregisteredRemoval(
            pool=state.pool.name,
            group=state.group.id,
            instances=tuple(chosen),
            since=purchase.since,
            message=f"bought by plan {purchase.plan_id}, not a Node after "
            f"{_minutes(state):g} minutes (maxNodeProvisionTime)",
        ),
    )


def _few(state: GroupState) -> list[str]:
    """At most 10 % of the group, but one, and never below the minimum."""
    at_most = max(1, len(state.group.instances) // 10)
    above_min = max(0, target_of(state) - state.group.min_size)
    never_nodes = [instance.id for instance in state.unregistered if not instance.lost_node]
    return never_nodes[: min(at_most, above_min)]


def _doubt(
    state: GroupState, *, upcoming: Upcoming, newest_without_id: datetime | None
) -> PoolFinding | None:
    """The reason not to believe that unmatched instances are unregistered, if there is one."""
    unmatched = state.registered == 0 and (not upcoming.imagined)
    if newest_without_id is not None and (unmatched or _may_be_of(upcoming, newest_without_id)):
        some = "no instance" if unmatched else "not every instance"
        return _not_ready(
            Reason.NO_PROVIDER_IDS,
            f"{some} of group {state.group.id} can be matched to a Node, and Nodes lack spec.providerID: "
            "run a cloud controller manager, or set the kubelet's --provider-id; nothing is terminated",
        )
    waited_for = upcoming.outstanding is not None and (state.memory.ever_matched or not upcoming.overdue)
    if not unmatched or waited_for:
        return None
    fate = "is a Node any more: were the Node objects deleted?"
    if not state.memory.ever_matched:
        fate = "ever became a Node: check that they can join this cluster and that provider IDs match;"
    return _not_ready(
        Reason.NODES_UNMATCHED,
        f"{len(state.unregistered)} instances of group {state.group.id} run, but none {fate} nothing is terminated",
    )


def _may_be_of(upcoming: Upcoming, newest_without_id: datetime) -> bool:
    """Whether a Node without a provider ID has come since the purchase that is overdue: it may be what was bought."""
    purchase = upcoming.outstanding
    if purchase is None or not upcoming.overdue:
        return False
    return newest_without_id >= purchase.since - CLOCKS_DIFFER


def _unexplained(state: GroupState) -> PoolFinding:
    return PoolFinding(
        condition=ConditionType.DEGRADED,
        status=True,
        reason=Reason.UNREGISTERED_INSTANCES,
        message=f"{len(state.unregistered)} instances of group {state.group.id} are not Nodes, and were not all "
        "bought by Springtide, or the group is at its minimum: remove them by hand if nobody needs them",
    )


def _not_ready(reason: Reason, message: str) -> PoolFinding:
    return PoolFinding(condition=ConditionType.READY, status=False, reason=reason, message=message)


def _minutes(state: GroupState) -> float:
    return state.pool.settings.scale_up.max_node_provision_time.total_seconds() / 60
