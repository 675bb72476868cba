"""Eligibility: which node groups may be bought from at all in this pass, whatever the pods need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.api.settings import Mode
from springtide.cluster.snapshot import Backoff, Snapshot
from springtide.planning.groups.backoff import in_force
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import GroupRefusal


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a group is left out, with the numbers."""

    refusal: GroupRefusal
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What holds for all groups, or was found out about each, before anything is bought."""

    snapshot: Snapshot
    unhealthy: Mapping[str, str]
    """Policy name -> why its pools must not change: too many nodes of the cluster are unready."""
    unhealthy_groups: Mapping[GroupKey, str]
    """Group -> why it is not bought from: too many nodes of the group itself are unready."""
    backoffs: Mapping[GroupKey, Backoff | None]
    """With the failures that this very pass has observed."""
    mode: Mode = Mode.ACTIVE
    """Pools of this mode are planned; those of the others are left out."""


def may_change(state: GroupState, circumstances: Circumstances) -> Refusal | None:
    """Why the group must not be bought from though it could be; None: it may."""
    pool, snapshot = state.pool, circumstances.snapshot
    if pool.left_alone:
        first = next(problem for problem in pool.problems if problem.fatal)
        return Refusal(GroupRefusal.LEFT_ALONE, first.message)
    if pool.mode is not circumstances.mode:
        other = GroupRefusal.PAUSED if pool.mode is Mode.PAUSED else GroupRefusal.DRY_RUN
        return Refusal(other, f"mode {pool.mode.value}")
    forbidden = purchases_forbidden(snapshot)
    if forbidden:
        return Refusal(GroupRefusal.FORBIDDEN, forbidden)
    sick = circumstances.unhealthy.get(pool.policy) or circumstances.unhealthy_groups.get(state.key)
    if sick:
        return Refusal(GroupRefusal.NOT_HEALTHY, sick)
    backoff = circumstances.backoffs.get(state.key)
    if backoff is not None and in_force(backoff, now=snapshot.now):
        return Refusal(GroupRefusal.BACKOFF, f"until {backoff.until:%H:%M:%S} UTC: {backoff.reason.value}")
    return None


def purchases_forbidden(snapshot: Snapshot) -> str:
    """Why nothing at all may be bought; empty: it may."""
    if snapshot.cluster_autoscaler:
        return f"Cluster Autoscaler is active ({snapshot.cluster_autoscaler})"
    return snapshot.purchases_forbidden


def removals_forbidden(snapshot: Snapshot) -> str:
    """Why nothing at all may be removed; empty: it may."""
    if snapshot.cluster_autoscaler:
        return f"Cluster Autoscaler is active ({snapshot.cluster_autoscaler})"
    return snapshot.removals_forbidden


def may_serve(state: GroupState, circumstances: Circumstances) -> Refusal | None:
    """Why the group must not be bought from for pending pods; None: it may."""
    refusal = may_change(state, circumstances)
    if refusal is not None:
        return refusal
    if state.group.template is None:
        return Refusal(GroupRefusal.NO_TEMPLATE, "it is unknown what its nodes look like: set spec.template")
    empty = state.group.target == 0 and state.staying == 0
    if empty and not state.pool.settings.scale_up.from_zero:
        return Refusal(GroupRefusal.FROM_ZERO_OFF, "it has no node, and scaleUp.fromZero is false")
    return None
