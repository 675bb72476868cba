"""Buying: one attempt to serve lots of pods by the option loop, decided on a ledger of its own.

Until nothing more helps: one expansion option for each candidate, made by packing all still pending lots on it; the
expander chain chooses one; it is counted. Nothing but the ledger and the lots changes, so an attempt can be thrown away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from springtide.api.settings import Expander
from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape, SpreadConstraint
from springtide.cluster.snapshot import PolicyView
from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.expanders.expanders import Choice, choose
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.pods.pending import Demand, closed_to_some
from springtide.planning.scale_up.balancing import Bin as BalanceBin
from springtide.planning.scale_up.balancing import spread
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.planning.scale_up.lots import Lot
from springtide.planning.scale_up.offers import Contents, Offer
from springtide.planning.scale_up.shortlist import Shortlist, is_plain
from springtide.planning.zones.census import PodCensus
from springtide.planning.zones.sites import pack_on_sites
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.packing.packing import Packing, pack
from springtide.scheduling.packing.rules import NewNodes, Rulebook


def greedy_form(policy: PolicyView) -> PolicyView:
    """The policy as the option loop follows it: least-cost starts from what price would buy."""
    chain = policy.spec.expanders
    if Expander.LEAST_COST not in chain:
        return policy
    greedy = dict.fromkeys(Expander.PRICE if each is Expander.LEAST_COST else each for each in chain)
    return replace(policy, spec=policy.spec.model_copy(update={"expanders": tuple(greedy)}))


@dataclass(frozen=True, slots=True)
class Bought:
    """Nodes of one group that were decided on."""

    key: GroupKey
    offer: Offer
    nodes: tuple[Contents, ...]
    lots: Mapping[int, tuple[PodRecord, ...]]
    """Lot's index -> its pods that these nodes are for."""
    story: str

    def fills(self) -> list[list[PodRecord]]:
        """The pods on each of the nodes."""
        queues = {lot: iter(pods) for lot, pods in self.lots.items()}
        lot_of = self.offer.asking
        return [
            [pod for place, count in contents for pod in islice(queues[lot_of[place]], count)]
            for contents in self.nodes
        ]


@dataclass
class Buying:
    """One attempt. `ledger` is changed; give it a fork."""

    catalog: Catalog
    ledger: Ledger
    rulebook: Rulebook
    lots: Sequence[Lot]
    seed: str
    cells: Mapping[GroupKey, int] = field(default_factory=dict)
    packings: dict[object, Packing] = field(default_factory=dict)
    """Packings of plain pods, shared by nodes that are equal for them."""
    bought: list[Bought] = field(default_factory=list)
    left: list[Demand] = field(default_factory=list)
    """What no group could help, by lot."""
    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    """By policy: what it could choose from."""
    _new_nodes: list[NewNodes] = field(default_factory=list)
    _rules_now: Rulebook | None = None
    _offered: dict[tuple[GroupKey, ...], tuple[object, Offer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.left = [lot.demand for lot in self.lots]
        self._fresh_nodes = PodCensus(self.catalog.side_by_side[0])

    def buy(self, policy: PolicyView, states: Sequence[GroupState]) -> None:
        """Buy from these groups of the policy whatever its expanders choose."""
        policy = greedy_form(policy)
        shapes = list(dict.fromkeys(demand.shape for demand in self.left if demand.count))
        appraisal = Appraisal(policy, self.catalog, states, closed_to_some(self.left))
        candidates = self.catalog.candidates(states, shapes, apart=appraisal.apart, cells=self.cells)
        self.candidates[policy.name] = candidates
        shortlist = Shortlist(
            candidates,
            self.left,
            catalog=self.catalog,
            appraisal=appraisal,
            within=self._within(candidates),
        )
        while offers := self._offers(shortlist, appraisal):
            options = [offer.option for offer in offers]
            choice = choose(options, policy.spec.expanders, seed=f"{self.seed}/{len(self.bought)}")
            self.accept(next(offer for offer in offers if offer.option is choice.option), choice)

    def _within(self, candidates: Sequence[Candidate]) -> BoolArray | None:
        """(lots, candidates) Which candidates have groups in a lot's cell."""
        if not self.cells:
            return None
        has = np.zeros((max(self.cells.values()) + 1, len(candidates)), dtype=np.bool_)
        for number, candidate in enumerate(candidates):
            has[list(candidate.cells), number] = True
        anywhere = np.ones(len(candidates), dtype=np.bool_)
        rows = [anywhere if lot.cell is None else has[lot.cell] for lot in self.lots]
        return np.array(rows, dtype=np.bool_).reshape(len(self.lots), len(candidates))

    # --- offers ---------------------------------------------------------------------------------------------

    def _offers(self, shortlist: Shortlist, appraisal: Appraisal) -> list[Offer]:
        """What the candidates worth packing would hold now; those without room, or that hold nothing, left out."""
        left: IntArray = np.array([demand.count for demand in self.left], dtype=np.int64)
        numbers, enough = shortlist.promising(left, self._room)
        offers: dict[int, Offer] = {}
        for number in numbers:
            if len(offers) == enough:
                break
            offer = self._offer(shortlist.candidates[number], shortlist.asking(number, left), appraisal)
            if offer is not None and offer.packing.nodes:
                offers[number] = offer
        return [offers[number] for number in sorted(offers)]

    def _offer(self, candidate: Candidate, asking: Sequence[int], appraisal: Appraisal) -> Offer | None:
        room = self._room(candidate)
        if room <= 0 or not asking:
            return None
        state = (room, tuple((number, self.left[number].count) for number in asking))
        known = self._offered.get(candidate.keys)
        if known is None or known[0] != state:
            if any(self.lots[number].cell is not None for number in asking):
                lots = [(self.left[number], self.lots[number].cell) for number in asking]
                packing = pack_on_sites(candidate, lots, ledger=self.ledger, room=room, rulebook=self._rules)
            else:
                candidate = replace(candidate, cells=())
                packing = self._packed(candidate, asking, room)
            offer = appraisal.appraised(Offer.of(candidate, self.left, asking, packing))
            known = self._offered[candidate.keys] = (state, offer)
        return known[1]

    def _packed(self, candidate: Candidate, asking: Sequence[int], room: int) -> Packing:
        """Candidates whose nodes are equal for plain pods share a packing that none of them lacks the room for."""
        demands = [(self.left[number].shape, self.left[number].count) for number in asking]
        alike = (
            candidate.fresh.size,
            tuple((id(shape), count) for shape, count in demands),
        )
        known = self.packings.get(alike)
        if known is not None and known.nodes < room:
            return known
        packing = pack(candidate.fresh, demands, max_nodes=room, rulebook=self._rules)
        if packing.nodes < room and all(is_plain(shape) for shape, _ in demands):
            self.packings[alike] = packing
        return packing

    def _room(self, candidate: Candidate) -> int:
        return self.ledger.room(*candidate.keys).nodes

    # --- acceptance -----------------------------------------------------------------------------------------

    def accept(self, offer: Offer, choice: Choice) -> None:
        """Spread the nodes over the candidate's groups, site by site; count them, and take their pods."""
        if self.rulebook.asks_elsewhere:
            self._new_nodes.append(self._as_new(offer))
            self._rules_now = None
            self._offered.clear()
        for keys, nodes in offer.nodes_by_site():
            bins = [self._balance_bin(key) for key in keys]
            queue = iter(nodes)
            for key, share in spread(len(nodes), bins, pool_rooms=self.ledger.pool_rooms(keys)).items():
                part = tuple(islice(queue, share))
                self.ledger.buy(key, share)
                self.bought.append(Bought(key, offer, part, self._take(offer, part), choice.story))

    def uneven(self) -> frozenset[SpreadConstraint]:
        """Hard spreads over hostnames that do not hold over all that was bought."""
        return self.rulebook.uneven(self._new_nodes)

    def _as_new(self, offer: Offer) -> NewNodes:
        """The offer's nodes, as the rules of pods on other nodes see them."""
        _, index = self.catalog.side_by_side
        number = index[offer.candidate.keys[0]]

        def looked_at(shape: PodShape, constraint: SpreadConstraint) -> bool:
            return bool(self._fresh_nodes.eligible(shape, constraint)[number])

        daemons = [(shape, 1) for shape in offer.candidate.fresh.daemon_shapes]
        return self.rulebook.new_nodes(
            (
                (each.nodes, [*daemons, *((offer.shapes[place], count) for place, count in each.contents)])
                for each in offer.packing.bins
            ),
            looked_at,
        )

    @property
    def _rules(self) -> Rulebook:
        """The rules for what is left, beside what was bought."""
        if self._rules_now is None:
            self._rules_now = self.rulebook.after(self._new_nodes) if self._new_nodes else self.rulebook
        return self._rules_now

    def _balance_bin(self, key: GroupKey) -> BalanceBin[GroupKey]:
        return BalanceBin(key, self.ledger.target(key), self.ledger.room(key).nodes, pool=key[0])

    def _take(self, offer: Offer, nodes: Sequence[Contents]) -> Mapping[int, tuple[PodRecord, ...]]:
        """Take the pods on these nodes out of what is left."""
        counts: defaultdict[int, int] = defaultdict(int)
        for contents in nodes:
            for place, count in contents:
                counts[offer.asking[place]] += count
        taken = {}
        for number, count in counts.items():
            taken[number] = self.left[number].pods[:count]
            self.left[number] = self.left[number].without(count)
        return taken
