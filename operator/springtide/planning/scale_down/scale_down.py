"""Scale-down: which unneeded nodes go now, and why each of the others does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from springtide.api.nodepool import HARD_TAINT
from springtide.cluster.degradation import against_removals
from springtide.cluster.groups import InstanceState
from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.groups.limits import Ledger, is_atomic
from springtide.planning.groups.readiness import GroupState, NodeOwner
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.plan import BlockReason, NodeVerdict, PodBlock, Removal
from springtide.planning.scale_down.atomic import incomplete
from springtide.planning.scale_down.budgets import RemainingDisruptions
from springtide.planning.scale_down.company import Company
from springtide.planning.scale_down.company_order import thriftiest_first
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.planning.scale_down.parallelism import Parallelism
from springtide.planning.scale_down.policy_budgets import PolicyBudgets
from springtide.planning.scale_down.unneeded import Found, Unneeded


@dataclass(frozen=True, slots=True)
class Departure:
    """What becomes of one unneeded node in this pass."""

    verdict: NodeVerdict
    removal: Removal | None = None
    due_at: datetime | None = None
    """When the timer that keeps it ends."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What keeps an unneeded node, its numbers, and when that ends by itself."""

    block: BlockReason
    detail: str
    pod: PodRecord | None = None
    due_at: datetime | None = None


@dataclass
class Departures:
    """Decides one unneeded node after the other, counting against sizes, limits, budgets and parallelism."""

    snapshot: Snapshot
    ledger: Ledger
    disruptions: RemainingDisruptions
    budgets: PolicyBudgets
    parallelism: Parallelism
    forbidden: str
    """Why nothing may be removed now; empty: it may."""
    bought_for: frozenset[str]
    """Pools that this very plan buys for: they are in the middle of growing."""
    held: Mapping[GroupKey, str] = field(default_factory=dict)
    """Atomic groups that cannot go as a whole, and why."""

    def count_in_flight(self, owners: Mapping[str, NodeOwner]) -> None:
        """Count the removals that earlier plans began; to be called before anything is asked of the ledger."""
        for name, removal in self.snapshot.removals.items():
            owner = owners.get(name)
            if owner is not None and owner.instance.state is not InstanceState.DELETING:
                # Its target still counts it: the cloud lowers that with the termination.
                self.ledger.count_leaving((removal.pool, removal.group))
            pods = self.snapshot.picture.pods_by_node.get(name, ())
            evicted = [pod for pod in pods if not pod.is_daemon and not pod.is_mirror]
            self.parallelism.count((removal.pool, removal.group), drained=bool(evicted))
            self.disruptions.take(evicted)

    def decide_all(
        self, found: Found, landscape: Landscape, states: Mapping[GroupKey, GroupState]
    ) -> list[Departure]:
        """What becomes of each unneeded node, the first ones first. Atomic groups of which only a part could go are
        found by trying, and held; what they leave to others may let another group go, never keep one."""
        if any(is_atomic(node.spare.pool) for node in found.unneeded):
            while partly := self._incomplete(found, landscape, states):
                self.held = {**self.held, **partly}
        company = Company(found, landscape)
        order = thriftiest_first(found, self.disruptions)
        return [self.decide(node, company=company) for node in order]

    def _incomplete(
        self, found: Found, landscape: Landscape, states: Mapping[GroupKey, GroupState]
    ) -> Mapping[GroupKey, str]:
        trial = replace(
            self,
            ledger=self.ledger.fork(),
            disruptions=self.disruptions.fork(),
            budgets=self.budgets.fork(),
            parallelism=self.parallelism.fork(),
        )
        company = Company(found, landscape)
        order = thriftiest_first(found, self.disruptions)
        decided = [trial.decide(node, company=company) for node in order]
        partly = incomplete(
            [(each.removal.pool, each.removal.group) for each in decided if each.removal is not None],
            states,
            in_flight=[(each.pool, each.group) for each in self.snapshot.removals.values()],
            ledger=self.ledger,
        )
        denials = {
            (each.verdict.pool, each.verdict.group): each.verdict.detail
            for each in decided
            if each.verdict.block is BlockReason.BUDGET
        }
        return {key: f"{text}: {denials[key]}" if key in denials else text for key, text in partly.items()}

    def decide(self, node: Unneeded, *, company: Company) -> Departure:
        """Whether the node goes now, in the company of those that were decided to go."""
        spare = node.spare
        kept = self._kept(node) or _left_behind(node, company)
        if kept is not None:
            company.leave_out()
            verdict = replace(
                spare.verdict(kept.block, detail=kept.detail, pod=kept.pod), unneeded_since=node.since
            )
            if kept.block is BlockReason.BLOCKED_BY_POD:
                verdict = replace(verdict, pod_block=PodBlock.NOT_ENOUGH_PDB)
            return Departure(verdict=verdict, due_at=kept.due_at)
        self._count(spare)
        verdict = replace(spare.verdict(), unneeded_since=node.since, removable=True)
        return Departure(verdict=verdict, removal=_removal(node, company.destinations()))

    def _kept(self, node: Unneeded) -> _Kept | None:
        """What keeps the node."""
        spare, now = node.spare, self.snapshot.now
        settings = spare.pool.settings.scale_down
        if spare.drain.waiting_for:
            return _Kept(BlockReason.BLOCKED_BY_ON_COMPLETION_POD, spare.drain.waiting_for[0].key)
        needed = settings.unneeded_time if spare.is_ready else settings.unready_time
        if node.since + needed > now:
            block = (
                BlockReason.NOT_UNNEEDED_LONG_ENOUGH
                if spare.is_ready
                else BlockReason.NOT_UNREADY_LONG_ENOUGH
            )
            detail = f"since {node.since:%H:%M:%S} UTC, for {_minutes(needed)}"
            return _Kept(block, detail, due_at=node.since + needed)
        forbidden = self.forbidden or against_removals(self.snapshot.degradations, spare.pool.name)
        if forbidden:
            return _Kept(BlockReason.FORBIDDEN, forbidden)
        cooling = cool_down(spare.pool, now=now, bought=spare.pool.name in self.bought_for)
        if cooling is not None:
            return _Kept(BlockReason.COOL_DOWN, cooling[0], due_at=cooling[1])
        return self._bounded(spare)

    def _bounded(self, spare: Spare) -> _Kept | None:
        at_min = self.ledger.min_reached(spare.key)
        if at_min:
            return _Kept(BlockReason.MIN_SIZE_REACHED, at_min)
        if spare.key in self.held:
            return _Kept(BlockReason.ATOMIC, self.held[spare.key])
        at_limit = self.ledger.min_limit_reached(spare.key, spare.node)
        if at_limit:
            return _Kept(BlockReason.MINIMAL_LIMIT_EXCEEDED, at_limit)
        denied = self.budgets.denial(spare)
        if denied is not None:
            return _Kept(BlockReason.BUDGET, denied.detail, due_at=denied.until)
        return self._crowded(spare)

    def _crowded(self, spare: Spare) -> _Kept | None:
        """Whether enough other removals are under way already."""
        exceeded = self.parallelism.exceeded(spare)
        if exceeded:
            return _Kept(BlockReason.PARALLELISM, exceeded)
        objection = self.disruptions.lacking(spare.evicted)
        if objection is not None:
            return _Kept(BlockReason.BLOCKED_BY_POD, objection.detail, pod=objection.pod)
        # The last question of all, so that this answer says: but for this it would go now.
        kept = self.snapshot.kept_nodes.get(spare.node.name)
        return _Kept(BlockReason.OPERATOR_RUNS_HERE, kept) if kept else None

    def _count(self, spare: Spare) -> None:
        self.ledger.remove(spare.key, spare.node)
        self.parallelism.count(spare.key, drained=not spare.is_empty)
        self.disruptions.take(spare.evicted)
        self.budgets.take(spare)


def _left_behind(node: Unneeded, company: Company) -> _Kept | None:
    """What keeps the node because others stay that were unneeded, too."""
    if company.welcomes(node):
        return None
    return _Kept(
        BlockReason.NO_PLACE_TO_MOVE_PODS, "its pods have places only if other unneeded nodes go, too"
    )


def cool_down(pool: PoolView, *, now: datetime, bought: bool) -> tuple[str, datetime | None] | None:
    """(which cool-down holds removals back, until when); None: none does."""
    settings = pool.settings.scale_down
    if bought:
        return "this plan buys for the pool", None
    waits = (
        (pool.last_scale_up, settings.delay_after_add, "delayAfterAdd"),
        (pool.last_scale_down, settings.delay_after_delete, "delayAfterDelete"),
        (pool.last_scale_down_failure, settings.delay_after_failure, "delayAfterFailure"),
    )
    holding = [
        (since + delay, f"{name} {_minutes(delay)} since {since:%H:%M:%S} UTC")
        for since, delay, name in waits
        if since is not None and since + delay > now
    ]
    if not holding:
        return None
    until, detail = max(holding)
    return detail, until


def _removal(node: Unneeded, destinations: Mapping[str, str]) -> Removal:
    spare = node.spare
    return Removal(
        node=spare.node.name,
        node_uid=spare.node.uid,
        pool=spare.pool.name,
        group=spare.owner.group.id,
        instance=spare.owner.instance.id,
        reason=spare.reason,
        since=node.since,
        utilization=spare.utilization,
        pods_to_evict=spare.evicted,
        daemon_pods=spare.drain.daemon_pods,
        destinations=destinations,
        takes_over=next((t.value for t in spare.node.taints if t.key == HARD_TAINT), ""),
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:g}m"
