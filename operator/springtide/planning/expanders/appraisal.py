"""Appraisal: what a policy's expanders want to know of an offer besides its packing: prices, worth, priorities.

Worth makes offers that serve different pods comparable: a pod is worth what it costs an hour where pods of its kind are
cheapest, a node's price divided by how many of them a fresh node holds. It is settled once for a run of purchases, from
all groups that may be bought from, whatever room they have left: a yardstick must not change while it is used.

With the expander price an offer is only the economical part of its packing: the nodes that are no dearer than the
packing's average. The others (the half-empty last one, those of pods that this kind of node suits badly) are offered again
in the next step, by every group. What was measured: docs/decisions/012-price-is-money.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from springtide.api.settings import Expander
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import PolicyView
from springtide.planning.expanders.priorities import read_priorities
from springtide.planning.groups.families import Families
from springtide.planning.groups.limits import is_atomic
from springtide.planning.groups.readiness import GroupState
from springtide.planning.groups.upcoming import target_of
from springtide.planning.landscape import GroupKey
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.planning.scale_up.offers import Offer
from springtide.scheduling.packing.packing import Bin, Packing

_ROUNDING: Final = 1 + 1e-9
"""Equal bins must not be told apart by the last bit of their average."""
_SIZES: Final = frozenset({Expander.MOST_PODS, Expander.LEAST_WASTE, Expander.LEAST_NODES})
"""They compare whole packings, so before them in the chain an offer must be one."""


@dataclass(frozen=True)
class Appraisal:
    """For one policy and the groups that its purchases may come from."""

    policy: PolicyView
    catalog: Catalog
    states: Sequence[GroupState]
    closed_pools: frozenset[str] = frozenset()
    """Pools that are closed to some of the pods."""
    _worth: dict[PodShape, float | None] = field(default_factory=dict)

    def apart(self, state: GroupState) -> tuple[object, ...]:
        """Only groups equal in this may be offered as one: their family, and what the expanders tell groups apart by."""
        chain = self.policy.spec.expanders
        return (
            self._families.of(state),
            state.group.hourly_price if Expander.PRICE in chain else None,
            self._priority(state) if Expander.PRIORITY in chain else None,
        )

    def price_of(self, candidate: Candidate) -> float | None:
        """Of one node, an hour; None: unknown."""
        return self._state_of[candidate.keys[0]].group.hourly_price

    def priority_of(self, candidate: Candidate) -> int | None:
        """The higher the better; None: the policy's priorities do not name it."""
        return self._priority(self._state_of[candidate.keys[0]])

    def appraised(self, offer: Offer) -> Offer:
        """The offer with all that this policy's expanders rank by."""
        state = self._state_of[offer.candidate.keys[0]]
        chain = self.policy.spec.expanders
        if is_atomic(state.pool):
            offer = _whole(offer, state)
        if Expander.PRIORITY in chain:
            offer = replace(offer, option=replace(offer.option, priority=self._priority(state)))
        price = state.group.hourly_price
        if Expander.PRICE not in chain or price is None:
            return offer
        if not is_atomic(state.pool) and _SIZES.isdisjoint(chain[: chain.index(Expander.PRICE)]):
            offer = self._economical(offer)
        worth = sum((self.worth(shape) or 0.0) * count for shape, count in offer.option.served)
        return replace(offer, option=replace(offer.option, hourly_price=price, worth=worth))

    def worth(self, shape: PodShape) -> float | None:
        """What one pod of the shape costs an hour at its cheapest; None: no group with a price holds any."""
        if shape not in self._worth:
            rooms = self.catalog.rooms(shape, [state.key for state in self._priced])
            holding = rooms > 0
            prices = self._prices[holding] / rooms[holding]
            self._worth[shape] = float(prices.min()) if len(prices) else None
        return self._worth[shape]

    @cached_property
    def _families(self) -> Families:
        return Families(self.policy, self.states, self.catalog.fresh, self.closed_pools)

    @cached_property
    def _priced(self) -> list[GroupState]:
        return [state for state in self.states if state.group.hourly_price is not None]

    @cached_property
    def _prices(self) -> NDArray[np.float64]:
        return np.array([state.group.hourly_price for state in self._priced], dtype=np.float64)

    @cached_property
    def _state_of(self) -> Mapping[GroupKey, GroupState]:
        return {state.key: state for state in self.states}

    def _priority(self, state: GroupState) -> int | None:
        text = self.policy.spec.priorities
        if text is None:
            return state.pool.settings.weight
        return read_priorities(text).of(state.group.id)

    def _economical(self, offer: Offer) -> Offer:
        """The part of the offer that is no dearer than its average."""
        if any(shape.spread or shape.pod_affinity for shape, _ in offer.option.served):
            # Such pods stand where they do because of others: part of the packing need not stand by itself.
            return offer
        worths = [(each, self._worth_of(offer, each)) for each in offer.packing.bins]
        average = sum(worth * each.nodes for each, worth in worths) / max(1, offer.packing.nodes)
        # All its nodes cost the same, so those worth the most are the cheapest for what they serve.
        kept = [each for each, worth in worths if worth * _ROUNDING >= average]
        return _only(offer, kept) if len(kept) < len(worths) else offer

    def _worth_of(self, offer: Offer, bin_: Bin) -> float:
        """Of the pods on one of the bin's nodes."""
        return sum((self.worth(offer.shapes[place]) or 0.0) * count for place, count in bin_.contents)


def _whole(offer: Offer, state: GroupState) -> Offer:
    """The offer with all nodes that the group must get if it gets any: the rest of them stay empty."""
    spare = state.group.max_size - target_of(state) - offer.packing.nodes
    if spare <= 0 or not offer.packing.nodes:
        return offer
    bins = (*offer.packing.bins, Bin(nodes=spare, contents=()))
    packing = replace(offer.packing, nodes=offer.packing.nodes + spare, bins=bins)
    return replace(offer, packing=packing, option=replace(offer.option, nodes=packing.nodes))


def _only(offer: Offer, bins: Sequence[Bin]) -> Offer:
    """The offer cut down to these of its bins."""
    placed = [0] * len(offer.shapes)
    for each in bins:
        for place, count in each.contents:
            placed[place] += count * each.nodes
    packing = Packing(nodes=sum(each.nodes for each in bins), placed=tuple(placed), bins=tuple(bins))
    served = tuple((shape, count) for shape, count in zip(offer.shapes, placed, strict=True) if count)
    return replace(offer, packing=packing, option=replace(offer.option, nodes=packing.nodes, served=served))
