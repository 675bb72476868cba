"""Scale-up: what to buy for the pods that fit nowhere.

Until nothing more helps: one expansion option for each candidate, made by packing all still pending shapes on it; the
expander chain chooses one; it is applied to the landscape. So one pass may buy from many groups. Policies take turns,
the oldest first: a pod is served by the oldest policy that has an option for it (docs/decisions/003).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import PolicyView
from springtide.planning.appraisal import Appraisal
from springtide.planning.balancing import Bin as BalanceBin
from springtide.planning.balancing import spread
from springtide.planning.basket import Basket
from springtide.planning.catalog import Candidate, Catalog
from springtide.planning.expanders import Choice, choose
from springtide.planning.families import node_size
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.limits import Ledger
from springtide.planning.offers import Contents, Offer
from springtide.planning.pending import Demand, closed_to_some
from springtide.planning.readiness import GroupState
from springtide.planning.shortlist import Shortlist, is_plain
from springtide.scheduling.packing import Packing, pack


@dataclass(frozen=True, slots=True)
class Served:
    """What became of one demand."""

    demand: Demand
    """All its pods that fitted nowhere."""
    left: Demand
    """Those that no group could help."""
    used: frozenset[GroupKey] = frozenset()
    """Groups bought from for the others."""


@dataclass
class ScaleUp:
    """The purchases of one run, as they are made: changes the landscape, the ledger and the basket it was given."""

    landscape: Landscape
    ledger: Ledger
    basket: Basket
    catalog: Catalog
    plan_id: str
    _left: list[Demand] = field(default_factory=list)
    _used: defaultdict[int, set[GroupKey]] = field(default_factory=lambda: defaultdict(set))
    _offered: dict[tuple[GroupKey, ...], tuple[object, Offer]] = field(default_factory=dict)
    _packings: dict[object, Packing] = field(default_factory=dict)
    _step: int = 0

    def serve(
        self,
        demands: Sequence[Demand],
        *,
        eligible: Iterable[GroupState],
        policies: Sequence[PolicyView],
    ) -> list[Served]:
        """Buy for the demands from eligible groups; one result for each demand, in order."""
        self._left = list(demands)
        by_policy: defaultdict[str, list[GroupState]] = defaultdict(list)
        for state in eligible:
            by_policy[state.pool.policy].append(state)
        for policy in sorted(policies, key=lambda policy: (policy.created_at, policy.name)):
            if by_policy[policy.name]:
                self._serve_by(policy, by_policy[policy.name])
        return [
            Served(demand=demand, left=left, used=frozenset(self._used[number]))
            for number, (demand, left) in enumerate(zip(demands, self._left, strict=True))
        ]

    def _serve_by(self, policy: PolicyView, states: Sequence[GroupState]) -> None:
        shapes = [demand.shape for demand in self._left if demand.count]
        appraisal = Appraisal(policy, self.catalog, states, closed_to_some(self._left))
        candidates = self.catalog.candidates(states, shapes, apart=appraisal.apart)
        shortlist = Shortlist(candidates, self._left, catalog=self.catalog, appraisal=appraisal)
        while offers := self._offers(shortlist, appraisal):
            choice = choose(
                [offer.option for offer in offers],
                policy.spec.expanders,
                seed=f"{self.plan_id}/{self._step}",
            )
            self._step += 1
            self._accept(next(offer for offer in offers if offer.option is choice.option), choice)

    def _offers(self, shortlist: Shortlist, appraisal: Appraisal) -> list[Offer]:
        """What the candidates worth packing would hold now; those without room, or that hold nothing, left out."""
        left = np.array([demand.count for demand in self._left], dtype=np.int64)
        offers = (
            self._offer(shortlist.candidates[number], shortlist.asking(number, left), appraisal)
            for number in shortlist.promising(left, self._room)
        )
        return [offer for offer in offers if offer is not None and offer.packing.nodes]

    def _offer(self, candidate: Candidate, asking: Sequence[int], appraisal: Appraisal) -> Offer | None:
        room = self._room(candidate)
        if room <= 0:
            return None
        state = (room, tuple((number, self._left[number].count) for number in asking))
        known = self._offered.get(candidate.keys)
        if known is None or known[0] != state:
            packing = self._packed(candidate, asking, room)
            offer = appraisal.appraised(Offer.of(candidate, self._left, asking, packing))
            known = self._offered[candidate.keys] = (state, offer)
        return known[1]

    def _packed(self, candidate: Candidate, asking: Sequence[int], room: int) -> Packing:
        """Candidates whose nodes are equal for plain pods share a packing that none of them lacks the room for."""
        demands = [(self._left[number].shape, self._left[number].count) for number in asking]
        alike = (node_size(candidate.fresh), tuple(zip(asking, (count for _, count in demands), strict=True)))
        known = self._packings.get(alike)
        if known is not None and known.nodes < room:
            return known
        packing = pack(candidate.fresh, demands, max_nodes=room)
        if packing.nodes < room and all(is_plain(shape) for shape, _ in demands):
            self._packings[alike] = packing
        return packing

    def _room(self, candidate: Candidate) -> int:
        return self.ledger.room(*candidate.keys).nodes

    def _accept(self, offer: Offer, choice: Choice) -> None:
        """Spread the nodes over the candidate's groups, put the pods on them, count everything."""
        nodes = offer.nodes()
        keys = offer.candidate.keys
        bins = [self._balance_bin(key) for key in keys]
        queue = iter(nodes)
        for key, share in spread(len(nodes), bins, pool_rooms=self.ledger.pool_rooms(keys)).items():
            part = list(islice(queue, share))
            offer.put(self.landscape, key, part)
            self.ledger.buy(key, share)
            self.basket.add(key, nodes=share, pods=self._take(offer, key, part), story=choice.story)

    def _balance_bin(self, key: GroupKey) -> BalanceBin[GroupKey]:
        return BalanceBin(key, self.ledger.target(key), self.ledger.room(key).nodes, pool=key[0])

    def _take(self, offer: Offer, key: GroupKey, nodes: Sequence[Contents]) -> list[PodRecord]:
        """Take the pods on these nodes out of what is left."""
        counts: defaultdict[int, int] = defaultdict(int)
        for contents in nodes:
            for place, count in contents:
                counts[offer.asking[place]] += count
        pods: list[PodRecord] = []
        for number, count in counts.items():
            pods += self._left[number].pods[:count]
            self._left[number] = self._left[number].without(count)
            self._used[number].add(key)
        return pods
