"""Findings: what a pool's conditions must say. Messages hold no elapsed times, or status would change forever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from springtide.api.conditions import ConditionType, Reason
from springtide.cluster.degradation import DegradedMode
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.groups import foreign_taints
from springtide.planning.groups.backoff import in_force
from springtide.planning.groups.eligibility import purchases_forbidden
from springtide.planning.groups.limits import Bound, Ledger, pool_bounds
from springtide.planning.groups.readiness import GroupState
from springtide.planning.plan import NodeCounts, PoolFinding
from springtide.planning.situation import Situation


def of_pool(
    pool: PoolView, *, situation: Situation, ledger: Ledger, counts: NodeCounts, growing: int, leaving: int
) -> tuple[PoolFinding, ...]:
    """All findings on a pool. `growing`: nodes on their way, this plan's included; `leaving`: nodes being removed,
    this plan's included. `ledger` is that after the plan."""
    states = situation.readiness.of_pool(pool.name)
    return (
        *_not_ready(pool, situation, states),
        _degraded(situation, states, counts),
        _activity(ConditionType.SCALING_UP, growing, Reason.PURCHASE_OUTSTANDING, "on the way"),
        _activity(ConditionType.SCALING_DOWN, leaving, Reason.REMOVAL_IN_PROGRESS, "being removed"),
        _at_max(states, ledger),
        _at_min(pool, states, ledger),
    )


def _not_ready(pool: PoolView, situation: Situation, states: Sequence[GroupState]) -> Iterator[PoolFinding]:
    """What keeps the pool from being acted on; reporting says Ready=True when there is nothing."""
    snapshot = situation.snapshot
    if snapshot.cluster_autoscaler:
        yield _ready(
            Reason.CLUSTER_AUTOSCALER_ACTIVE,
            f"Cluster Autoscaler is active ({snapshot.cluster_autoscaler} holds its Lease): nothing is bought or "
            "removed; stop one of the two",
        )
    elif purchases_forbidden(snapshot):
        yield _ready(_why(snapshot), purchases_forbidden(snapshot))
    if pool.policy in situation.unhealthy:
        yield _ready(Reason.CLUSTER_UNHEALTHY, situation.unhealthy[pool.policy])
    for state in states:
        finding = situation.overdue[state.key].finding
        if finding is not None and finding.condition == ConditionType.READY:
            yield finding


def _why(snapshot: Snapshot) -> Reason:
    """The mode that forbids purchases."""
    modes = (each.mode for each in snapshot.degradations if each.forbids_purchases and each.pools is None)
    return Reason(next(modes, DegradedMode.STALE_PICTURE))


def _degraded(situation: Situation, states: Sequence[GroupState], counts: NodeCounts) -> PoolFinding:
    """The first thing that does not work, in order of weight."""
    for state in states:
        backoff = situation.failures[state.key].backoff
        if backoff is not None and in_force(backoff, now=situation.snapshot.now):
            return _degradation(
                Reason.GROUPS_BACKING_OFF,
                f"group {state.group.id} backs off until {backoff.until:%H:%M:%S} UTC after {backoff.reason.value}: "
                f"{backoff.message or 'the purchase failed'}",
            )
    for state in states:
        finding = situation.overdue[state.key].finding
        if finding is not None and finding.condition == ConditionType.DEGRADED:
            return finding
    if states:
        nodes = (node for state in states for kind in state.nodes.values() for node in kind)
        tainted = foreign_taints.finding(states[0].pool, nodes, situation.snapshot)
        if tainted is not None:
            return tainted
    for state in states:
        for text in state.group.interference:
            reason = Reason.AZ_REBALANCE_ACTIVE if "AZRebalance" in text else Reason.GROUP_HAS_SCALING_POLICY
            return _degradation(reason, f"group {state.group.id}: {text}")
    unready = counts.unready + counts.long_not_started
    if unready:
        return _degradation(Reason.NODES_UNREADY, f"{unready} of {counts.registered} nodes are unready")
    return PoolFinding(ConditionType.DEGRADED, status=False, reason=Reason.AS_EXPECTED, message="")


def _activity(condition: ConditionType, nodes: int, reason: Reason, what: str) -> PoolFinding:
    if nodes:
        plural = "node is" if nodes == 1 else "nodes are"
        return PoolFinding(condition, status=True, reason=reason, message=f"{nodes} {plural} {what}")
    return PoolFinding(condition, status=False, reason=Reason.NO_ACTIVITY, message="")


_AT_MAX = {
    Bound.GROUP: Reason.GROUP_BOUNDS,
    Bound.POOL: Reason.POOL_BOUND,
    Bound.POLICY: Reason.POLICY_LIMIT,
}


def _at_max(states: Sequence[GroupState], ledger: Ledger) -> PoolFinding:
    details: dict[str, Reason] = {}
    for state in states:
        room = ledger.room(state.key)
        reason = _AT_MAX.get(room.bound) if room.bound is not None else None
        if reason is None:
            # One group that may grow is enough: the others need not be asked.
            return PoolFinding(ConditionType.AT_MAX, status=False, reason=Reason.WITHIN_BOUNDS, message="")
        details.setdefault(room.detail, reason)
    if not details:
        return PoolFinding(ConditionType.AT_MAX, status=False, reason=Reason.WITHIN_BOUNDS, message="")
    return PoolFinding(
        ConditionType.AT_MAX,
        status=True,
        reason=next(iter(details.values())),
        message=f"no group may grow: {', '.join(details)} reached",
    )


def _at_min(pool: PoolView, states: Sequence[GroupState], ledger: Ledger) -> PoolFinding:
    bounds = [ledger.min_reached(state.key) for state in states]
    if not bounds or not all(bounds):
        return PoolFinding(ConditionType.AT_MIN, status=False, reason=Reason.WITHIN_BOUNDS, message="")
    of_pool_itself = any("of pool" in bound for bound in bounds) and pool_bounds(pool).min_size > 0
    return PoolFinding(
        ConditionType.AT_MIN,
        status=True,
        reason=Reason.POOL_BOUND if of_pool_itself else Reason.GROUP_BOUNDS,
        message=f"no group may shrink: {', '.join(dict.fromkeys(bounds))} reached",
    )


def _ready(reason: Reason, message: str) -> PoolFinding:
    return PoolFinding(ConditionType.READY, status=False, reason=reason, message=message)


def _degradation(reason: Reason, message: str) -> PoolFinding:
    return PoolFinding(ConditionType.DEGRADED, status=True, reason=reason, message=message)
