"""Scale-up: what to buy for the pods that fit nowhere.

Purchases are decided by springtide.planning.scale_up.buying. Policies take turns, the oldest first: a pod is served
by the oldest policy that has an option for it (docs/decisions/003).

Where pods have rules over zones, those that are bound are cut into lots by quotas (docs/decisions/009), and bought for
together with all others. Only pods that others want near, and that may go anywhere, come in a round before: once they
have a place, it is known where. When a lot cannot be served whole (a bound on sizes that several zones share), quotas
are made again with what could be served as the most that may go there, so that no zone gets more than the others allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import PolicyView
from springtide.planning.groups.eligibility import Refusal
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.plan import PlannedCost
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.basket import Basket
from springtide.planning.scale_up.buying import Buying
from springtide.planning.scale_up.catalog import Catalog
from springtide.planning.scale_up.joint import planned_jointly
from springtide.planning.scale_up.lots import Lot, lots_of
from springtide.planning.scale_up.searches import Searches
from springtide.planning.zones.bounds import is_bound, wanted
from springtide.planning.zones.census import PodCensus
from springtide.planning.zones.quotas import Quota, allot
from springtide.planning.zones.terrain import Terrain
from springtide.scheduling.nodes.volumes import most_pods
from springtide.scheduling.packing.packing import Packing
from springtide.scheduling.packing.rules import Rulebook

_ATTEMPTS: Final = 5
"""How often quotas are made again because some lot found less room than was thought."""


@dataclass(frozen=True, slots=True)
class Served:
    """What became of one demand."""

    demand: Demand
    """All its pods that fitted nowhere."""
    left: Demand
    """Those that no group could help."""
    used: frozenset[GroupKey] = frozenset()
    """Groups bought from for the others."""
    why: str = ""
    """Why rules over domains keep those that are left away, where they do."""


@dataclass
class ScaleUp:
    """The purchases of one run, as they are made: changes the landscape, the ledger and the basket it was given."""

    landscape: Landscape
    ledger: Ledger
    basket: Basket
    catalog: Catalog
    plan_id: str
    refusals: Mapping[GroupKey, Refusal | None] = field(default_factory=dict)
    """Why groups that are not eligible may not grow: told to users whose pods must wait for a zone."""
    searches: Searches = field(default_factory=Searches)
    purpose: str = ""
    """See planning.scale_up.joint."""
    costs: dict[str, PlannedCost] = field(default_factory=dict)
    """What the purchases of each policy cost, where all prices are known."""
    _left: list[Demand] = field(default_factory=list)
    _used: defaultdict[int, set[GroupKey]] = field(default_factory=lambda: defaultdict(set))
    _served: defaultdict[int, list[PodRecord]] = field(default_factory=lambda: defaultdict(list))
    _why: dict[int, str] = field(default_factory=dict)
    _turns: list[tuple[PolicyView, list[GroupState]]] = field(default_factory=list)
    _packings: dict[object, Packing] = field(default_factory=dict)
    _rounds: int = 0

    def serve(
        self,
        demands: Sequence[Demand],
        *,
        eligible: Iterable[GroupState],
        policies: Sequence[PolicyView],
    ) -> list[Served]:
        """Buy for the demands from eligible groups; one result for each demand, in order."""
        self._left = [self._with_volumes(demand) for demand in demands]
        self._turns = _turns(eligible, policies)
        shapes = [demand.shape for demand in demands]
        if any(is_bound(shape) for shape in shapes):
            sought = wanted(shapes, PodCensus(self.landscape.simulation).namespaces)
            self._buy(
                [
                    Lot(number, demand)
                    for number, demand in enumerate(self._left)
                    if sought[number] and not is_bound(demand.shape)
                ]
            )
            self._buy_by_quotas()
        else:
            self._buy([Lot(number, demand) for number, demand in enumerate(self._left)])
        return [
            Served(
                demand=demand,
                left=demand.but_pods(self._served[number]),
                used=frozenset(self._used[number]),
                why=self._why.get(number, "") if left.count else "",
            )
            for number, (demand, left) in enumerate(zip(demands, self._left, strict=True))
        ]

    def _with_volumes(self, demand: Demand) -> Demand:
        """As many of the pods as may find their volumes, wherever new nodes come: for others none need be bought."""
        most = most_pods(demand.shape, self.landscape.simulation.state.usage.volumes)
        return demand if most is None else replace(demand, pods=demand.pods[:most])

    # --- rounds ---------------------------------------------------------------------------------------------

    def _buy(self, lots: Sequence[Lot]) -> None:
        """Buy for these lots wherever it is best."""
        if lots:
            self._commit(self._attempt(lots, self._rulebook(), None))

    def _buy_by_quotas(self) -> None:
        """Buy for all that is left, zone by zone where rules demand it."""
        rulebook = self._rulebook()
        most: dict[tuple[int, int], int] = {}
        for _ in range(_ATTEMPTS):
            terrain = self._terrain(most)
            quotas = allot(
                terrain.asks,
                terrain.cells,
                census=PodCensus(self.landscape.simulation),
                means=terrain.means(),
            )
            attempt = self._attempt(lots_of(self._left, quotas), rulebook, terrain)
            short = _short(attempt)
            if not short:
                break
            most |= short
        self._explain(quotas)
        self._commit(attempt)

    def _attempt(self, lots: Sequence[Lot], rulebook: Rulebook, terrain: Terrain | None) -> Buying:
        """One attempt; a second one if nodes bought last would break a spread over those bought first."""
        attempt = self._decided(lots, rulebook, terrain)
        uneven = attempt.uneven()
        return self._decided(lots, rulebook.careful(uneven), terrain) if uneven else attempt

    def _decided(self, lots: Sequence[Lot], rulebook: Rulebook, terrain: Terrain | None) -> Buying:
        self._rounds += 1
        attempt = Buying(
            catalog=self.catalog,
            ledger=self.ledger.fork(),
            rulebook=rulebook,
            lots=lots,
            seed=self.plan_id if self._rounds == 1 else f"{self.plan_id}/{self._rounds}",
            cells=terrain.cell_of if terrain is not None else {},
            packings=self._packings,
        )
        for policy, states in self._turns:
            attempt.buy(policy, states)
        return attempt

    def _terrain(self, most: Mapping[tuple[int, int], int]) -> Terrain:
        return Terrain(
            demands=self._left,
            turns=self._turns,
            catalog=self.catalog,
            ledger=self.ledger,
            refusals=self.refusals,
            most=most,
        )

    def _rulebook(self) -> Rulebook:
        """The rules between the pods that are left, the new nodes' daemon pods, and those that run."""
        shapes = [demand.shape for demand in self._left if demand.count]
        daemons = [shape for fresh in self.landscape.fresh.values() for shape in fresh.daemon_shapes]
        return Rulebook.of([*shapes, *daemons], PodCensus(self.landscape.simulation))

    # --- results --------------------------------------------------------------------------------------------

    def _commit(self, attempt: Buying) -> None:
        """Make an attempt's decisions the run's, planned anew where policies want the least cost."""
        outcome = planned_jointly(
            attempt, self._turns, ledger=self.ledger, searches=self.searches, purpose=self.purpose
        )
        for policy, cost in outcome.costs.items():
            self.costs[policy] = _together(self.costs.get(policy), cost)
        for bought in outcome.bought:
            bought.offer.put(self.landscape, bought.key, bought.nodes)
            self.ledger.buy(bought.key, len(bought.nodes))
            for lot, taken in bought.lots.items():
                number = attempt.lots[lot].number
                self._used[number].add(bought.key)
                self._served[number] += taken
                self._left[number] = self._left[number].but_pods(taken)
            self.basket.add(bought.key, nodes=len(bought.nodes), fills=bought.fills(), story=bought.story)

    def _explain(self, quotas: Sequence[Quota | None]) -> None:
        for number, quota in enumerate(quotas):
            if quota is not None and quota.why:
                self._why[number] = quota.why


def _together(before: PlannedCost | None, cost: PlannedCost) -> PlannedCost:
    """The cost of two rounds. Pods of one could have had room on nodes of the other: their bounds do not add up."""
    if before is None:
        return cost
    return PlannedCost(
        planned=before.planned + cost.planned, lower_bound=max(before.lower_bound, cost.lower_bound)
    )


def _turns(
    eligible: Iterable[GroupState], policies: Sequence[PolicyView]
) -> list[tuple[PolicyView, list[GroupState]]]:
    by_policy: defaultdict[str, list[GroupState]] = defaultdict(list)
    for state in eligible:
        by_policy[state.pool.policy].append(state)
    ordered = sorted(policies, key=lambda policy: (policy.created_at, policy.name))
    return [(policy, by_policy[policy.name]) for policy in ordered if by_policy[policy.name]]


def _short(attempt: Buying) -> dict[tuple[int, int], int]:
    """(demand's number, cell) -> how many pods were served there, where that was not the whole lot."""
    return {
        (lot.number, lot.cell): lot.demand.count - left.count
        for lot, left in zip(attempt.lots, attempt.left, strict=True)
        if lot.cell is not None and left.count
    }
