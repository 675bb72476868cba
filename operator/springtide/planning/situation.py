"""The situation: what a pass establishes before it decides anything. Who is there, what is coming, what has failed,
what is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from springtide.api.settings import HealthSettings, Mode
from springtide.cluster.degradation import against_removals
from springtide.cluster.snapshot import Snapshot
from springtide.planning.groups.eligibility import Circumstances, purchases_forbidden, removals_forbidden
from springtide.planning.groups.failures import GroupFailure, examine
from springtide.planning.groups.outages import Outage, outages, struck, zone_of
from springtide.planning.groups.readiness import (
    GroupState,
    NodeState,
    Readiness,
    assess,
    cluster_unready,
    healthy,
)
from springtide.planning.groups.unregistered import Overdue, overdue
from springtide.planning.groups.upcoming import Upcoming, upcoming
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import Cancellation, UnregisteredRemoval


@dataclass(frozen=True, slots=True)
class Situation:
    """Facts, by group where they are about groups."""

    snapshot: Snapshot
    readiness: Readiness
    upcoming: Mapping[GroupKey, Upcoming]
    failures: Mapping[GroupKey, GroupFailure]
    overdue: Mapping[GroupKey, Overdue]
    unhealthy: Mapping[str, str]
    """Policy -> why nothing changes; policies without trouble are absent."""
    unhealthy_groups: Mapping[GroupKey, str]
    outages: Mapping[str, Outage] = field(default_factory=dict)
    """Zones that failed."""

    @property
    def states(self) -> Mapping[GroupKey, GroupState]:
        return self.readiness.groups

    def circumstances(self, mode: Mode) -> Circumstances:
        """For planning the pools of this mode."""
        return Circumstances(
            snapshot=self.snapshot,
            unhealthy=self.unhealthy,
            unhealthy_groups=self.unhealthy_groups,
            backoffs={key: failure.backoff for key, failure in self.failures.items()},
            mode=mode,
        )

    def may_act_on(self, state: GroupState) -> bool:
        """Whether the group's size may be corrected: cancellations, unregistered instances."""
        return (
            state.pool.mode is Mode.ACTIVE
            and not state.pool.left_alone
            and not purchases_forbidden(self.snapshot)
            and state.pool.policy not in self.unhealthy
        )

    def may_terminate_in(self, state: GroupState) -> bool:
        """Whether instances of the group that are no Nodes may go: on an old picture, or with their zone cut off, they
        may be Nodes that we do not see."""
        forbidden = removals_forbidden(self.snapshot) or against_removals(
            self.snapshot.degradations, state.pool.name
        )
        return self.may_act_on(state) and not forbidden and not self.outages

    def cancellations(self) -> tuple[Cancellation, ...]:
        return tuple(
            failure.cancellation
            for key, failure in self.failures.items()
            if failure.cancellation is not None and self.may_act_on(self.states[key])
        )

    def late_instances(self) -> tuple[UnregisteredRemoval, ...]:
        """Instances of ours that are no Nodes long after they were bought, and that may go."""
        return tuple(
            late.removal
            for key, late in self.overdue.items()
            if late.removal is not None and self.may_terminate_in(self.states[key])
        )


def establish(snapshot: Snapshot) -> Situation:
    """Look at everything once."""
    readiness = assess(snapshot)
    lacking_ids = [node.created_at for node in snapshot.picture.nodes if not node.provider_id]
    newest_without_id = max(lacking_ids, default=None)
    coming: dict[GroupKey, Upcoming] = {}
    failures: dict[GroupKey, GroupFailure] = {}
    late: dict[GroupKey, Overdue] = {}
    for key, state in readiness.groups.items():
        before = upcoming(state, now=snapshot.now)
        failures[key] = examine(state, upcoming=before, now=snapshot.now)
        # What has just failed is not waited for any more: its pods are planned elsewhere in this very pass.
        coming[key] = upcoming(_after(state, failures[key]), now=snapshot.now)
        late[key] = overdue(state, upcoming=coming[key], newest_without_id=newest_without_id)
    failed = outages(snapshot.picture.nodes, readiness)
    return Situation(
        snapshot=snapshot,
        readiness=readiness,
        upcoming=coming,
        failures=failures,
        overdue=late,
        unhealthy=_unhealthy(snapshot, readiness, failed),
        unhealthy_groups={
            **_unhealthy_groups(snapshot, readiness, late),
            **{key: why for key, state in readiness.groups.items() if (why := struck(state.group, failed))},
        },
        outages=failed,
    )


def _after(state: GroupState, failure: GroupFailure) -> GroupState:
    if not failure.is_new:
        return state
    return replace(state, memory=replace(state.memory, backoff=failure.backoff))


def _unhealthy(snapshot: Snapshot, readiness: Readiness, failed: Mapping[str, Outage]) -> Mapping[str, str]:
    """Nodes of failed zones are left out: they are why nothing is removed, not why nothing is bought elsewhere."""
    unready, nodes = cluster_unready(
        readiness.states[node.name]
        for node in snapshot.picture.nodes
        if not failed or zone_of(node, readiness) not in failed
    )
    return {
        policy.name: f"{unready} of {nodes} nodes of the cluster are unready (health.maxUnreadyPercent "
        f"{policy.spec.health.max_unready_percent})"
        for policy in snapshot.policies
        if not healthy(unready, of=nodes, settings=policy.spec.health)
    }


def _unhealthy_groups(
    snapshot: Snapshot, readiness: Readiness, late: Mapping[GroupKey, Overdue]
) -> Mapping[GroupKey, str]:
    settings = {policy.name: policy.spec.health for policy in snapshot.policies}
    sick: dict[GroupKey, str] = {}
    for key, state in readiness.groups.items():
        unready = (
            len(state.in_state(NodeState.UNREADY))
            + len(state.in_state(NodeState.LONG_NOT_STARTED))
            + late[key].count
        )
        known = state.staying + late[key].count
        if not healthy(unready, of=known, settings=settings.get(state.pool.policy, HealthSettings())):
            sick[key] = f"{unready} of its {known} nodes are unready or never registered"
    return sick
