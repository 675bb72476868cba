"""The basket: a plan's purchases as they are collected, one for each group whatever the number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from springtide.cluster.records import PodRecord
from springtide.planning.groups.limits import pool_bounds
from springtide.planning.groups.readiness import GroupState
from springtide.planning.groups.upcoming import target_of
from springtide.planning.landscape import GroupKey
from springtide.planning.plan import Purchase, PurchaseReason


@dataclass
class _Item:
    nodes: int = 0
    pods: list[PodRecord] = field(default_factory=list)
    fills: list[int] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)


class Basket:
    """Collects; `purchases` is what comes out."""

    def __init__(self) -> None:
        self._items: dict[GroupKey, _Item] = {}

    def add(
        self, key: GroupKey, *, nodes: int, story: str, fills: Sequence[Sequence[PodRecord]] = ()
    ) -> None:
        """More nodes for a group. `fills`: the pods on each; empty when they are for its minimum."""
        item = self._items.setdefault(key, _Item())
        item.nodes += nodes
        for pods in fills:
            item.pods += pods
            item.fills.append(len(pods))
        if story not in item.stories:
            item.stories.append(story)

    def purchases(self, states: Mapping[GroupKey, GroupState]) -> tuple[Purchase, ...]:
        """One purchase for each group, in the order in which the groups were first chosen."""
        return tuple(_purchase(states[key], item) for key, item in self._items.items())


def _purchase(state: GroupState, item: _Item) -> Purchase:
    target = target_of(state)
    price = state.group.hourly_price
    return Purchase(
        pool=state.pool.name,
        group=state.group.id,
        from_target=target,
        to_target=target + item.nodes,
        max_size=min(state.group.max_size, pool_bounds(state.pool).max_size),
        reason=PurchaseReason.PENDING_PODS if item.pods else PurchaseReason.BELOW_MINIMUM,
        pods=tuple(item.pods),
        fills=tuple(item.fills),
        chosen_by="; ".join(item.stories),
        hourly_cost=None if price is None else price * item.nodes,
    )
