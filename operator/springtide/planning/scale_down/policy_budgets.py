"""The budgets of policies (spec.budgets): what they allow at this moment, as removals are added to each other.

Out of service are the nodes of a policy's pools that are on their way out, whoever decided it, and those that are unready.
A removal for whatever reason uses up every budget; a budget holds back the reasons that it covers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from springtide.api.budgets import Budget, BudgetAction, RemovalReason
from springtide.cluster.snapshot import PolicyView, Snapshot
from springtide.planning.groups.readiness import NodeState, Readiness
from springtide.planning.plan import BudgetState
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.planning.windows import Opening, opening

_STARTED = frozenset({NodeState.READY, NodeState.UNREADY, NodeState.BEING_DELETED})
_ALWAYS = Opening(open=True, until=None)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a budget lets no further node go now."""

    detail: str
    until: datetime | None
    """When its window opens or closes; None: only the end of another removal can change it."""


@dataclass(frozen=True, slots=True)
class _Now:
    """A budget at the instant of the snapshot."""

    budget: Budget
    opening: Opening
    most: int | None
    """Nodes that may be out of service while it is open; None: as many as there are."""

    def covers(self, reason: RemovalReason) -> bool:
        return self.budget.covers(reason)

    @property
    def allows(self) -> bool:
        return self.budget.action is BudgetAction.ALLOW


class PolicyBudgets:
    """Counts removals against the budgets of all policies. `fork` before trying out."""

    def __init__(self, snapshot: Snapshot, readiness: Readiness) -> None:
        self._budgets: dict[str, tuple[_Now, ...]] = {}
        self._leaving: Counter[str] = Counter()
        self._unready: Counter[str] = Counter()
        bounded = [policy for policy in snapshot.policies if policy.spec.budgets]
        if bounded:
            started = self._count(readiness)
            self._count_gone(snapshot, readiness)
            self._budgets = {
                policy.name: _at(policy, nodes=started[policy.name], now=snapshot.now) for policy in bounded
            }

    def fork(self) -> PolicyBudgets:
        """An independent copy, for trying out."""
        twin = object.__new__(PolicyBudgets)
        twin._budgets = self._budgets
        twin._leaving, twin._unready = self._leaving.copy(), self._unready.copy()
        return twin

    def denial(self, spare: Spare) -> Denial | None:
        """What keeps the node besides those that were counted already; None: nothing. Of several budgets the strictest
        is named."""
        policy, reason = spare.pool.policy, spare.reason
        covering = [each for each in self._budgets.get(policy, ()) if each.covers(reason)]
        closed = _closed(covering)
        if closed is not None:
            return closed
        used = self._leaving[policy]
        if reason is not RemovalReason.UNREADY:
            used += self._unready[policy]
        full = [
            (each.most, each)
            for each in covering
            if each.opening.open and each.most is not None and used >= each.most
        ]
        return _full(*min(full, key=lambda entry: entry[0]), used=used) if full else None

    def take(self, spare: Spare) -> None:
        """Count the removal."""
        self._leaving[spare.pool.policy] += 1
        # It is out of service already, and must not count twice.
        self._unready[spare.pool.policy] -= spare.state is NodeState.UNREADY

    def states(self) -> Mapping[str, tuple[BudgetState, ...]]:
        """By policy, its budgets with everything counted so far."""
        return {
            policy: tuple(
                BudgetState(
                    name=each.budget.name,
                    open=each.opening.open,
                    allowed=_allowed(each, budgets),
                    in_use=self._leaving[policy] + self._unready[policy],
                    until=each.opening.until,
                )
                for each in budgets
            )
            for policy, budgets in self._budgets.items()
        }

    def _count(self, readiness: Readiness) -> Counter[str]:
        """The nodes of each policy's pools that have started; and of these, those that are out of service."""
        started: Counter[str] = Counter()
        for name, owner in readiness.owners.items():
            state, policy = readiness.states[name], owner.pool.policy
            started[policy] += state in _STARTED
            self._leaving[policy] += state is NodeState.BEING_DELETED
            self._unready[policy] += state is NodeState.UNREADY
        return started

    def _count_gone(self, snapshot: Snapshot, readiness: Readiness) -> None:
        """Removals whose instance is gone from the cloud already, though its Node is not: they have no owner any more,
        but their end has not been seen."""
        policies = {pool.name: pool.policy for pool in snapshot.pools}
        for name, removal in snapshot.removals.items():
            if name not in readiness.owners and removal.pool in policies:
                self._leaving[policies[removal.pool]] += 1


def _at(policy: PolicyView, *, nodes: int, now: datetime) -> tuple[_Now, ...]:
    return tuple(
        _Now(budget, _opening(budget, now=now), _most(budget, nodes=nodes)) for budget in policy.spec.budgets
    )


def _opening(budget: Budget, *, now: datetime) -> Opening:
    if budget.schedule is None or budget.duration is None:
        return _ALWAYS
    return opening(budget.schedule, budget.duration, zone=budget.time_zone, now=now)


def _most(budget: Budget, *, nodes: int) -> int | None:
    if budget.nodes_percent is None:
        return budget.nodes
    # Rounded up, as Karpenter and PodDisruptionBudgets do: else 10 % of 9 nodes would deny, and nobody has written 0.
    return -(-nodes * budget.nodes_percent // 100)


def _closed(covering: Iterable[_Now]) -> Denial | None:
    """The denial of budgets that allow, when the window of none is open; None: one is, or there are none."""
    allowing = [each for each in covering if each.allows]
    if not allowing or any(each.opening.open for each in allowing):
        return None
    coming = [(each.opening.until, each) for each in allowing if each.opening.until is not None]
    if not coming:
        return Denial(f"budget {allowing[0].budget.name} is closed", None)
    until, first = min(coming, key=lambda entry: entry[0])
    return Denial(f"budget {first.budget.name} is closed until {_shown(until)}", until)


def _full(most: int, now: _Now, *, used: int) -> Denial:
    name, until = now.budget.name, now.opening.until
    ends = f" until {_shown(until)}" if until is not None else ""
    if most == 0:
        return Denial(f"budget {name} allows no removal{ends}", until)
    nodes = "node" if most == 1 else "nodes"
    return Denial(f"budget {name} allows {most} {nodes} to be out of service{ends}, and {used} are", until)


def _allowed(now: _Now, budgets: Iterable[_Now]) -> int | None:
    """What the budget lets be out of service at this instant; None: it sets no bound."""
    if now.opening.open:
        return now.most
    if not now.allows:
        return None
    denied = (
        reason
        for reason in RemovalReason
        if now.covers(reason) and _closed(each for each in budgets if each.covers(reason)) is not None
    )
    return 0 if any(True for _ in denied) else None


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
