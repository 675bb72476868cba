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

from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import PolicyView
from springtide.planning.appraisal import Appraisal
from springtide.planning.balancing import Bin as BalanceBin
from springtide.planning.balancing import spread
from springtide.planning.basket import Basket
from springtide.planning.catalog import Candidate, Catalog
from springtide.planning.expanders import Choice, choose
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.limits import Ledger
from springtide.planning.offers import Contents, Offer
from springtide.planning.pending import Demand
from springtide.planning.readiness import GroupState


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
    _packings: dict[tuple[GroupKey, ...], tuple[object, Offer]] = field(default_factory=dict)
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
        appraisal = Appraisal(policy, self.catalog, states)
        candidates = self.catalog.candidates(states, shapes, apart=appraisal.apart)
        while offers := [offer for each in candidates if (offer := self._offer(each, appraisal))]:
            choice = choose(
                [offer.option for offer in offers],
                policy.spec.expanders,
                seed=f"{self.plan_id}/{self._step}",
            )
            self._step += 1
            self._accept(next(offer for offer in offers if offer.option is choice.option), choice)

    def _offer(self, candidate: Candidate, appraisal: Appraisal) -> Offer | None:
        """What the candidate would hold now; None: nothing, or no room is left for it."""
        room = self.ledger.room(*candidate.keys).nodes
        asking = [
            number
            for number, demand in enumerate(self._left)
            if demand.count
            and candidate.pool not in demand.closed_pools
            and self.catalog.fits(demand.shape, candidate.keys[0])
        ]
        if room <= 0 or not asking:
            return None
        state = (room, tuple((number, self._left[number].count) for number in asking))
        known = self._packings.get(candidate.keys)
        if known is None or known[0] != state:
            offer = Offer.made(candidate, self._left, asking, max_nodes=room)
            known = (state, appraisal.appraised(offer))
            self._packings[candidate.keys] = known
        return known[1] if known[1].packing.nodes else None

    def _accept(self, offer: Offer, choice: Choice) -> None:
        """Spread the nodes over the candidate's groups, put the pods on them, count everything."""
        nodes = offer.nodes()
        shares = spread(len(nodes), [self._balance_bin(key) for key in offer.candidate.keys])
        queue = iter(nodes)
        for group, share in shares.items():
            key = (offer.candidate.pool, group)
            part = list(islice(queue, share))
            offer.put(self.landscape, key, part)
            self.ledger.buy(key, share)
            self.basket.add(key, nodes=share, pods=self._take(offer, key, part), story=choice.story)

    def _balance_bin(self, key: GroupKey) -> BalanceBin:
        return BalanceBin(key[1], self.ledger.target(key), self.ledger.room(key).nodes)

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
