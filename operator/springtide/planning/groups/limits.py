"""Limits: how many nodes each group may still get, and which bound says so. Bounds of the group, of its pool, of its
policy over all the policy's pools, and of one pass hold together; the whole plan is counted, not the single step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from springtide.api.policy import Limits
from springtide.cluster.groups import Template
from springtide.cluster.quantity import nano_to_amount, parse_nano, render_quantity
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import PolicyView, PoolView
from springtide.planning.groups.readiness import GroupState, NodeState
from springtide.planning.groups.upcoming import target_of
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import GroupRefusal

NODES: Final = "nodes"
HOURLY_COST: Final = "hourlyCost"
_NO_LIMITS: Final = Limits()
NANO: Final = 10**9

Amounts = Mapping[str, int]
"""Limited resource -> amount: cpu in milli, hourlyCost in billionths of the currency, others in whole units."""


class Bound(StrEnum):
    """What keeps a group from growing."""

    GROUP = "Group"
    POOL = "Pool"
    PASS = "Pass"
    POLICY = "Policy"


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """Sizes a pool may have: its own bounds inside the sums of its groups'."""

    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many nodes may still be added; when none, which bound is in the way, and its numbers."""

    nodes: int
    bound: Bound | None = None
    detail: str = ""

    @property
    def refusal(self) -> GroupRefusal | None:
        """As a verdict on a group; None: there is room."""
        if self.bound is None:
            return None
        in_sizes = self.bound in (Bound.GROUP, Bound.POOL)
        return GroupRefusal.MAX_REACHED if in_sizes else GroupRefusal.LIMIT


def pool_bounds(pool: PoolView) -> PoolBounds:
    """The bounds in force. Where minimum and maximum contradict each other, the maximum holds: never above it."""
    most = sum(group.max_size for group in pool.groups)
    least = sum(group.min_size for group in pool.groups)
    max_size = most if pool.max_size is None else min(most, pool.max_size)
    min_size = least if pool.min_size is None else max(least, pool.min_size)
    return PoolBounds(min_size=min(min_size, max_size), max_size=max_size)


def is_atomic(pool: PoolView) -> bool:
    """Whether the pool's groups have no node or all of theirs."""
    return pool.settings.scale_up.atomic


class Allowance:
    """How many nodes may still leave each group, and each pool, before a minimum size forbids it."""

    def __init__(self, groups: Mapping[GroupKey, int], pools: Mapping[str, int]) -> None:
        self._groups, self._pools = dict(groups), dict(pools)

    def has_room(self, key: GroupKey) -> bool:
        return self._groups[key] > 0 and self._pools[key[0]] > 0

    def take(self, key: GroupKey) -> None:
        """Count one node of the group."""
        self._groups[key] -= 1
        self._pools[key[0]] -= 1


class Ledger:
    """Counts a plan's purchases and removals against every bound. `fork` before trying out."""

    def __init__(self, states: Iterable[GroupState], policies: Iterable[PolicyView]) -> None:
        self._states = {state.key: state for state in states}
        self._targets: Counter[GroupKey] = Counter(
            {key: target_of(state) for key, state in self._states.items()}
        )
        self._bought: Counter[str] = Counter()
        self._leaving: Counter[GroupKey] = Counter()
        self._limits = {policy.name: policy.spec.limits or _NO_LIMITS for policy in policies}
        self._used: dict[str, Counter[str]] = {}
        for state in self._states.values():
            used = self._used.setdefault(state.pool.policy, Counter())
            used.update(self._held(state, self._limits.get(state.pool.policy, _NO_LIMITS)))

    def fork(self) -> Ledger:
        twin = Ledger((), ())
        twin._states, twin._limits = self._states, self._limits
        twin._targets, twin._bought = self._targets.copy(), self._bought.copy()
        twin._leaving = self._leaving.copy()
        twin._used = {policy: used.copy() for policy, used in self._used.items()}
        return twin

    # --- sizes -------------------------------------------------------------------------------------------------

    def target(self, key: GroupKey) -> int:
        """The group's target with everything counted so far."""
        return self._targets[key]

    def pool_target(self, pool: PoolView) -> int:
        return sum(self._targets[pool.name, group.id] for group in pool.groups)

    # --- growing -----------------------------------------------------------------------------------------------

    def room(self, *keys: GroupKey) -> Room:
        """How many more nodes these groups of one policy, which get equal nodes, may get together."""
        by_pool: dict[str, list[GroupState]] = {}
        for key in keys:
            by_pool.setdefault(key[0], []).append(self._states[key])
        in_pools = [self._room_in_pool(states) for states in by_pool.values()]
        states = [state for of_pool in by_pool.values() for state in of_pool]
        policy = states[0].pool.policy
        rooms = (
            in_pools[0] if len(in_pools) == 1 else replace(in_pools[0], nodes=_together(in_pools)),
            *(room for state in states for room in self._policy_rooms(policy, state.group.template)),
        )
        least = min(rooms, key=lambda room: room.nodes)
        whole = sum(self._indivisible(state) for state in states)
        if 0 < least.nodes < whole:
            return Room(
                0, least.bound, f"{least.detail} leaves {least.nodes} of the {whole} nodes that it must get"
            )
        return Room(least.nodes) if least.nodes > 0 else Room(0, least.bound, least.detail)

    def _indivisible(self, state: GroupState) -> int:
        """What the group must get at once if it gets anything."""
        return state.group.max_size - self._targets[state.key] if is_atomic(state.pool) else 0

    def pool_rooms(self, keys: Iterable[GroupKey]) -> dict[str, int]:
        """How many more nodes each pool of these groups may get as a whole, whatever the groups' own bounds."""
        pools = {self._states[key].pool.name: self._states[key].pool for key in keys}
        return {
            name: max(0, min(room.nodes for room in self._pool_bounds(pool))) for name, pool in pools.items()
        }

    def _room_in_pool(self, states: Sequence[GroupState]) -> Room:
        """What these groups of one pool may get together as far as sizes and the pass bound them."""
        in_groups = Room(
            sum(max(0, state.group.max_size - self._targets[state.key]) for state in states),
            Bound.GROUP,
            f"max {sum(state.group.max_size for state in states)}",
        )
        return min((in_groups, *self._pool_bounds(states[0].pool)), key=lambda room: room.nodes)

    def _pool_bounds(self, pool: PoolView) -> tuple[Room, Room]:
        bounds = pool_bounds(pool)
        per_pass = pool.settings.scale_up.max_nodes_per_pass
        return (
            Room(
                bounds.max_size - self.pool_target(pool),
                Bound.POOL,
                f"max {bounds.max_size} of pool {pool.name}",
            ),
            Room(
                per_pass - self._bought[pool.name],
                Bound.PASS,
                f"{per_pass} nodes in one pass; the rest follows in the next",
            ),
        )

    def buy(self, key: GroupKey, count: int) -> None:
        """Count a purchase."""
        state = self._states[key]
        self._targets[key] += count
        self._bought[state.pool.name] += count
        each = self._of_template(state.group.template, self._limits.get(state.pool.policy, _NO_LIMITS).max)
        self._use(state.pool.policy, each, count)

    def cancel(self, key: GroupKey, count: int) -> None:
        """Count a cancellation of capacity that no instance fulfils."""
        state = self._states[key]
        self._targets[key] -= count
        each = self._of_template(state.group.template, self._limits.get(state.pool.policy, _NO_LIMITS).max)
        self._use(state.pool.policy, each, -count)

    # --- shrinking ---------------------------------------------------------------------------------------------

    def min_reached(self, key: GroupKey) -> str:
        """Which minimum of sizes forbids to remove a node of the group; empty: none does."""
        state = self._states[key]
        if self._targets[key] - self._leaving[key] <= state.group.min_size:
            return f"min {state.group.min_size} of group {state.group.id}"
        bounds = pool_bounds(state.pool)
        leaving = sum(self._leaving[state.pool.name, group.id] for group in state.pool.groups)
        if self.pool_target(state.pool) - leaving <= bounds.min_size:
            return f"min {bounds.min_size} of pool {state.pool.name}"
        return ""

    def allowance(self) -> Allowance:
        """What minimum sizes still allow to remove, to be counted apart from what is removed."""
        pools = {state.pool.name: state.pool for state in self._states.values()}
        leaving: Counter[str] = Counter()
        for (pool, _), count in self._leaving.items():
            leaving[pool] += count
        return Allowance(
            groups={
                key: self._targets[key] - self._leaving[key] - state.group.min_size
                for key, state in self._states.items()
            },
            pools={
                name: self.pool_target(pool) - leaving[name] - pool_bounds(pool).min_size
                for name, pool in pools.items()
            },
        )

    def min_limit_reached(self, key: GroupKey, node: NodeRecord) -> str:
        """Which minimum of the policy's limits forbids to remove the node; empty: none does."""
        state = self._states[key]
        policy = state.pool.policy
        for resource, least in _amounts(self._limits.get(policy, _NO_LIMITS).min).items():
            part = self._of_node(node, state.group.template, resource)
            if part and self._used[policy][resource] - part < least:
                return f"limit min {resource} {_shown(resource, least)} of policy {policy}"
        return ""

    def remove(self, key: GroupKey, node: NodeRecord) -> None:
        """Count a removal. It leaves no room for a purchase: the cloud lowers the target at its very end."""
        state = self._states[key]
        self._leaving[key] += 1
        limits = self._limits.get(state.pool.policy, _NO_LIMITS)
        for resource in (limits.max or {}) | (limits.min or {}):
            part = self._of_node(node, state.group.template, resource)
            self._used[state.pool.policy][resource] -= part

    def count_leaving(self, key: GroupKey) -> None:
        """Count a removal that an earlier plan began and that the target does not show yet."""
        if key in self._states:
            self._leaving[key] += 1

    # --- pieces ------------------------------------------------------------------------------------------------

    def _policy_rooms(self, policy: str, template: Template | None) -> Iterable[Room]:
        limits = self._limits.get(policy, _NO_LIMITS)
        each = self._of_template(template, limits.max)
        for resource, most in _amounts(limits.max).items():
            detail = f"limit {resource} {_shown(resource, most)} of policy {policy}"
            if resource == HOURLY_COST and (template is None or template.hourly_price is None):
                yield Room(0, Bound.POLICY, f"{detail}: the price is unknown, set spec.hourlyPrice")
            elif each.get(resource):
                left = (most - self._used.get(policy, Counter())[resource]) // each[resource]
                yield Room(left, Bound.POLICY, detail)

    def _held(self, state: GroupState, limits: Limits) -> Counter[str]:
        """What the group's nodes, and what is asked for, count against its policy's limits."""
        held: Counter[str] = Counter()
        staying = [
            node
            for node_state, nodes in state.nodes.items()
            if node_state is not NodeState.BEING_DELETED
            for node in nodes
        ]
        for resource in (limits.max or {}) | (limits.min or {}):
            held[resource] += sum(self._of_node(node, state.group.template, resource) for node in staying)
            coming = max(0, target_of(state) - len(staying))
            held[resource] += coming * self._of_template(state.group.template, {resource: "0"})[resource]
        return held

    def _of_template(self, template: Template | None, resources: Iterable[str] | None) -> dict[str, int]:
        """What one new node counts against each of these limits."""
        each: dict[str, int] = {}
        for resource in resources or ():
            if resource == NODES:
                each[resource] = 1
            elif template is None:
                each[resource] = 0
            elif resource == HOURLY_COST:
                each[resource] = _nano_price(template)
            else:
                each[resource] = template.capacity.get(resource, 0)
        return each

    @staticmethod
    def _of_node(node: NodeRecord, template: Template | None, resource: str) -> int:
        if resource == NODES:
            return 1
        if resource == HOURLY_COST:
            return _nano_price(template)
        return node.capacity.get(resource, 0)

    def _use(self, policy: str, each: Amounts, count: int) -> None:
        used = self._used.setdefault(policy, Counter())
        for resource, amount in each.items():
            used[resource] += amount * count


def _together(rooms: Iterable[Room]) -> int:
    return sum(max(0, room.nodes) for room in rooms)


def _amounts(limits: Mapping[str, str | int] | None) -> dict[str, int]:
    return {resource: _amount(resource, str(text)) for resource, text in (limits or {}).items()}


def _amount(resource: str, text: str) -> int:
    nano = parse_nano(text)
    return nano if resource == HOURLY_COST else nano_to_amount(resource, nano)


def _shown(resource: str, amount: int) -> str:
    if resource == HOURLY_COST:
        return f"{amount / NANO:g}"
    return str(amount) if resource == NODES else render_quantity(resource, amount)


def _nano_price(template: Template | None) -> int:
    if template is None or template.hourly_price is None:
        return 0
    return round(template.hourly_price * NANO)
