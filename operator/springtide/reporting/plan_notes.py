"""What a plan itself has to say: what it found out, compared with the plan before."""

from __future__ import annotations

from collections.abc import Iterator

from springtide.api.conditions import Reason
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import BlockReason, PendingOutcome, Plan
from springtide.reporting import phrases
from springtide.reporting.notes import Note

MAX_PODS_NOTED = 100
"""Pods of one shape that get a NotTriggerScaleUp event: their siblings read the same."""


def plan_notes(plan: Plan, before: Plan | None, snapshot: Snapshot) -> Iterator[Note]:
    """Notes of this plan that were not already true in the last one."""
    yield from _purchases(plan)
    yield from _finished(plan, snapshot)
    yield from _new_candidates(plan, before)
    if not clouds_unread(snapshot):
        yield from _not_triggered(plan)
    yield from _dry_run(plan, before)


def clouds_unread(snapshot: Snapshot) -> bool:
    """Whether some pool's groups are not known yet, so that "no group can hold it" would be said too early."""
    return any(
        problem.reason == Reason.NOT_LISTED_YET for view in snapshot.pools for problem in view.problems
    )


def _purchases(plan: Plan) -> Iterator[Note]:
    for purchase in plan.purchases:
        chosen = f"; {purchase.chosen_by}" if purchase.chosen_by else ""
        yield Note(
            message=f"Scale-up plan: {phrases.purchase(purchase)}{chosen}",
            reason="ScaleUpPlan",
            plan_id=plan.id,
        )


def _finished(plan: Plan, snapshot: Snapshot) -> Iterator[Note]:
    for view in snapshot.pools:
        pool = plan.pools.get(view.name)
        for group in pool.groups if pool else ():
            memory = view.memory.get(group.group)
            if group.purchase_done and memory is not None and memory.purchase is not None:
                took = phrases.elapsed(plan.now - memory.purchase.since)
                yield Note(
                    message=f"scale-up of {view.name}/{group.group} finished in {took}",
                    reason="ScaleUpFinished",
                    plan_id=memory.purchase.plan_id,
                    pool=view.name,
                    fields={
                        "group": group.group,
                        "seconds": (plan.now - memory.purchase.since).total_seconds(),
                    },
                )


def _new_candidates(plan: Plan, before: Plan | None) -> Iterator[Note]:
    known = before.nodes if before is not None else {}
    for name, verdict in plan.nodes.items():
        old = known.get(name)
        if verdict.unneeded_since is not None and (old is None or old.unneeded_since is None):
            utilization = "unknown" if verdict.utilization is None else f"{verdict.utilization:.3f}"
            yield Note(
                message=f"{name} utilization {utilization}: unneeded", reason="Unneeded", plan_id=plan.id
            )
        leaves = verdict.block is BlockReason.CURRENTLY_BEING_DELETED
        if old is not None and old.unneeded_since and not verdict.unneeded_since and not leaves:
            why = phrases.node_block(verdict) or "needed"
            yield Note(message=f"{name} is needed again: {why}", reason="Needed", plan_id=plan.id)
    for removal in plan.removals:
        waited = phrases.elapsed(plan.now - removal.since)
        yield Note(message=f"{removal.node} unneeded for {waited}", reason="Unneeded", plan_id=plan.id)


def _not_triggered(plan: Plan) -> Iterator[Note]:
    for verdict in plan.pending:
        if verdict.outcome is PendingOutcome.NO_GROUP:
            message = phrases.not_triggered(verdict)
            yield Note(
                message=f"no node is bought: {message}",
                reason="NotTriggerScaleUp",
                plan_id=plan.id,
                pods=verdict.pods[:MAX_PODS_NOTED],
                pod_message=f"pod didn't trigger scale-up: {message}",
                log=False,
            )


def _dry_run(plan: Plan, before: Plan | None) -> Iterator[Note]:
    known = {phrases.purchase(p) for p in before.dry_run_purchases} if before else set()
    for purchase in plan.dry_run_purchases:
        text = phrases.purchase(purchase)
        if text not in known:
            message = f"dry run, not bought: {text}"
            yield Note(message=message, reason="DryRunScaleUp", plan_id=plan.id, pool=purchase.pool)
    gone = {removal.node for removal in before.dry_run_removals} if before else set()
    for removal in plan.dry_run_removals:
        if removal.node not in gone:
            message = f"dry run, not removed: {phrases.removal(removal)}"
            yield Note(message=message, reason="DryRunScaleDown", plan_id=plan.id, pool=removal.pool)


def summary(plan: Plan) -> str:
    """The whole plan in one line: what was decided, or why nothing was."""
    parts = []
    if plan.purchases:
        parts.append("buy " + ", ".join(phrases.purchase(purchase) for purchase in plan.purchases[:5]))
    if plan.cancellations:
        parts.append("give up " + ", ".join(phrases.cancellation(c) for c in plan.cancellations[:5]))
    if plan.removals:
        parts.append("remove " + ", ".join(removal.node for removal in plan.removals[:10]))
    if plan.unregistered:
        parts.append(
            "terminate unregistered " + ", ".join(phrases.unregistered(u) for u in plan.unregistered[:5])
        )
    if not plan.cluster_healthy:
        parts.append("too many unready nodes")
    stuck = sum(len(v.pods) for v in plan.pending if v.outcome is PendingOutcome.NO_GROUP)
    if stuck:
        parts.append(f"no node can be bought for {phrases.pods_count(stuck)}")
    return "; ".join(parts) or "nothing to do"
