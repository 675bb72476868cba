"""Nodes examined: what was found out about each node by itself, for as long as nothing that it follows from changes.

That is the node's record and the tuple of its pods; what its pool asks for; the controllers and the budgets of these very
pods; and the clock, where a pod is on its way out or of an age that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from springtide.api.settings import Mode, ScaleDownSettings
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import DisruptionBudget, NodeRecord, PodRecord, Workload
from springtide.cluster.shape import PodShape
from springtide.planning.groups.readiness import NodeOwner, NodeState
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import BlockReason, NodeVerdict
from springtide.planning.scale_down.budgets import BudgetIndex
from springtide.planning.scale_down.drain_rules import DrainContext, instants
from springtide.planning.scale_down.node_eligibility import Spare


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a node, and what it follows from."""

    node: NodeRecord
    pods: Sequence[PodRecord]
    rules: object
    state: NodeState
    promised: bool
    since: datetime
    until: datetime
    """It is right from `since` to `until`, both included."""
    controllers: frozenset[str]
    """Uids of its pods' controllers; the same holds for these and the next two: empty if nobody looked at single pods."""
    shapes: frozenset[PodShape]
    own_labels: frozenset[str]
    """Keys of the labels that a pod has for itself."""
    outcome: Spare | NodeVerdict


class Examined:
    """The nodes that were examined in the last pass, and those of this one so far."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._before: dict[str, _Known] = {}
        self._rules: dict[GroupKey, _Rules] = {}
        self._rules_before = self._rules
        self._workloads: Mapping[str, Workload] = {}
        self._budgets: tuple[DisruptionBudget, ...] = ()
        self._changed_workloads: frozenset[str] = frozenset()
        self._changed_budgets = BudgetIndex(())

    @property
    def remembered_nodes(self) -> frozenset[str]:
        """Names of the nodes of which anything is remembered."""
        return frozenset((*self._known, *self._before))

    def begin_pass(self, picture: ClusterPicture) -> None:
        """All questions until the next time are about this picture. What the last pass did not ask about is
        forgotten."""
        self._before, self._known = self._known, {}
        self._rules_before, self._rules = self._rules, {}
        self._changed_workloads = _changed(self._workloads, picture.workloads)
        before, now = self._budgets, picture.disruption_budgets
        differing = () if before is now else set(before) ^ set(now)
        self._changed_budgets = BudgetIndex(differing)
        self._workloads, self._budgets = picture.workloads, now

    def recall(
        self,
        node: NodeRecord,
        *,
        owner: NodeOwner,
        state: NodeState,
        pods: Sequence[PodRecord],
        promised: bool,
        now: datetime,
    ) -> Spare | NodeVerdict | None:
        """What `examine` would say now; None: ask it, and `keep` what it says."""
        known = self._before.get(node.name)
        if (
            known is None
            or known.pods is not pods
            or not known.since <= now <= known.until
            or known.rules is not self._rules_of(owner)
            or known.state is not state
            or known.promised is not promised
            or not (known.node is node or known.node == node)
            or self._concerned(known)
        ):
            return None
        self._known[node.name] = known
        if isinstance(known.outcome, NodeVerdict):
            return known.outcome
        return replace(known.outcome, node=node, owner=owner)

    def keep(
        self,
        node: NodeRecord,
        outcome: Spare | NodeVerdict,
        *,
        owner: NodeOwner,
        state: NodeState,
        pods: Sequence[PodRecord],
        promised: bool,
        context: DrainContext,
    ) -> None:
        """`examine` has just said this."""
        looked_at = pods if isinstance(outcome, Spare) or outcome.block in _OF_PODS else ()
        self._known[node.name] = _Known(
            node=node,
            pods=pods,
            rules=self._rules_of(owner),
            state=state,
            promised=promised,
            since=context.now,
            until=min(instants(pods, context=context), default=_FOREVER),
            controllers=frozenset(pod.owner.uid for pod in looked_at if pod.owner is not None),
            shapes=frozenset(pod.shape for pod in looked_at),
            own_labels=frozenset(key for pod in looked_at for key in pod.own_labels),
            outcome=outcome,
        )

    def _concerned(self, known: _Known) -> bool:
        """Whether a controller or a budget of its pods is another than before."""
        if not self._changed_workloads.isdisjoint(known.controllers):
            return True
        changed = self._changed_budgets
        return bool(changed) and (
            changed.looks_at(known.own_labels) or any(changed.of_shape(shape) for shape in known.shapes)
        )

    def _rules_of(self, owner: NodeOwner) -> _Rules:
        """What examining a node looks at in its pool: one object while that stays the same."""
        key = (owner.pool.name, owner.group.id)
        rules = self._rules.get(key)
        if rules is None:
            pool = owner.pool
            made = _Rules(
                mode=pool.mode,
                left_alone=pool.left_alone,
                cutoff=pool.settings.scale_up.expendable_pods_priority_cutoff,
                scale_down=pool.settings.scale_down,
            )
            before = self._rules_before.get(key)
            rules = self._rules[key] = before if before is not None and before == made else made
        return rules


@dataclass(frozen=True, slots=True)
class _Rules:
    """Of a pool, for the nodes of one of its groups."""

    mode: Mode
    left_alone: bool
    cutoff: int
    scale_down: ScaleDownSettings


_FOREVER: Final = datetime.max.replace(tzinfo=UTC)
_OF_PODS: Final = frozenset({BlockReason.BLOCKED_BY_POD, BlockReason.NOT_MODELLED})
"""What is said of a node after a look at each of its pods."""


def _changed(before: Mapping[str, Workload], now: Mapping[str, Workload]) -> frozenset[str]:
    """Uids of controllers that are gone, new, or others than before."""
    if before is now:
        return frozenset()
    gone = before.keys() - now.keys()
    return frozenset((*gone, *(uid for uid, workload in now.items() if before.get(uid) != workload)))
