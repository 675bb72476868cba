"""Pods go first onto the nodes that were bought for them, together with those they were to share them with.

However the nodes were filled when they were bought, in whatever order or by whatever search: who was to share a node still
fits one. So what was bought for is never bought for again while its nodes are on their way. The scheduler does not know the
plan: once it has put other pods on some of the nodes, those left over go where there is room. Known only to the process
that bought; after a restart, and for pods that were not in the purchase, springtide.planning.pods.promises guesses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.cluster.snapshot import Promise
from springtide.planning.landscape import GroupKey, Landscape, imagined_prefix
from springtide.planning.plan import PendingOutcome, PendingVerdict
from springtide.planning.pods.pending import Demand
from springtide.planning.pods.promises import share_of_node
from springtide.planning.pods.schedulable import Placed, fits
from springtide.planning.scale_up.catalog import Candidate
from springtide.planning.scale_up.offers import Contents, Offer
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.packing.packing import Bin, Packing, apply_packing, pack

Company = Mapping[int, Sequence[PodRecord]]
"""Pods that were to share a node, by the number of their demand."""


def place_as_bought(
    landscape: Landscape, demands: Sequence[Demand], promised: Mapping[str, Promise]
) -> Placed:
    """Place what was bought for and still finds its node; changes the landscape."""
    if not promised:
        return Placed(verdicts=(), left=tuple(demands))
    companies = _companies(demands, promised)
    placing = _Placing(landscape, demands)
    for key in sorted(companies):
        fresh = landscape.fresh.get(key)
        if fresh is not None and (key in landscape.arriving or landscape.imagined.get(key)):
            placing.place(key, fresh, companies[key])
    left = (
        demand.but_pods(placing.gone[number]) if placing.gone[number] else demand
        for number, demand in enumerate(demands)
    )
    return Placed(verdicts=tuple(placing.verdicts), left=tuple(demand for demand in left if demand.count))


def _companies(
    demands: Sequence[Demand], promised: Mapping[str, Promise]
) -> Mapping[GroupKey, list[Company]]:
    """Who is promised to each group's nodes, the largest companies first."""
    shared: dict[Promise, dict[int, list[PodRecord]]] = {}
    for number, demand in enumerate(demands):
        for pod in demand.pods:
            promise = promised.get(pod.uid)
            if promise is not None:
                shared.setdefault(promise, {}).setdefault(number, []).append(pod)
    by_key: defaultdict[GroupKey, list[Company]] = defaultdict(list)
    for promise in sorted(shared, key=lambda each: (-sum(map(len, shared[each].values())), each)):
        by_key[promise.pool, promise.group].append(shared[promise])
    return by_key


@dataclass
class _Placing:
    landscape: Landscape
    demands: Sequence[Demand]
    verdicts: list[PendingVerdict] = field(default_factory=list)
    gone: defaultdict[int, list[PodRecord]] = field(default_factory=lambda: defaultdict(list))
    """The pods placed, by demand."""

    def place(self, key: GroupKey, fresh: FreshNode, companies: Sequence[Company]) -> None:
        """Whole companies on the group's nodes, first those that are there and empty, then those to come; then whoever
        is left over wherever it fits on the group's nodes."""
        queue = list(companies)
        strays: list[Company] = []
        for index in self._empty(key, fresh):
            if queue:
                strays.append(self._on_existing(queue.pop(0), [index]))
        added, rest = self._on_imagined(key, fresh, queue)
        alone = _together([*strays, *rest])
        anywhere = [*self.landscape.arriving.get(key, ()), *added]
        for number in sorted(alone, key=lambda number: share_of_node(self.demands[number], fresh)):
            alone[number] = self._on_existing({number: alone[number]}, anywhere).get(number, ())
        self._packed_anew(key, fresh, {number: pods for number, pods in alone.items() if pods})

    def _empty(self, key: GroupKey, fresh: FreshNode) -> list[int]:
        """Existing nodes of the group on which only daemon pods run."""
        free, empty = self.landscape.simulation.free("pods"), fresh.alone.free("pods")[0]
        return [index for index in self.landscape.arriving.get(key, ()) if free[index] >= empty]

    def _on_existing(self, company: Company, indices: Sequence[int]) -> Company:
        """Place what fits these nodes; who is left."""
        where = self._only(indices)
        left: dict[int, Sequence[PodRecord]] = {}
        for number, pods in company.items():
            placement = self.landscape.simulation.place(self.demands[number].shape, len(pods), only=where)
            if placement.placed:
                ready = bool((placement.indices < self.landscape.ready_count).all())
                outcome = PendingOutcome.FITS_EXISTING if ready else PendingOutcome.FITS_UPCOMING
                placed = Demand(shape=self.demands[number].shape, pods=tuple(pods[: placement.placed]))
                self.verdicts.append(fits(self.landscape, placed, placement, outcome))
                self.gone[number] += placed.pods
            left[number] = pods[placement.placed :]
        return {number: pods for number, pods in left.items() if pods}

    def _on_imagined(
        self, key: GroupKey, fresh: FreshNode, companies: Sequence[Company]
    ) -> tuple[Sequence[int], list[Company]]:
        """(indices of the nodes that take a company each, the companies without one)."""
        numbers = sorted({number for company in companies for number in company})
        place = {number: position for position, number in enumerate(numbers)}
        known: dict[Contents, bool] = {}
        seated: list[Company] = []
        rest: list[Company] = []
        bins: list[Bin] = []
        for company in companies:
            contents = tuple((place[number], len(pods)) for number, pods in sorted(company.items()))
            if contents not in known:
                known[contents] = self._fits_one(fresh, company)
            if len(seated) < self.landscape.imagined.get(key, 0) and known[contents]:
                seated.append(company)
                bins.append(Bin(nodes=1, contents=contents))
            else:
                rest.append(company)
        if not seated:
            return (), rest
        added = apply_packing(
            self.landscape.simulation,
            fresh,
            [(self.demands[number].shape, 0) for number in numbers],
            Packing(nodes=len(bins), placed=(), bins=tuple(bins)),
            prefix=imagined_prefix(key),
        )
        self.landscape.imagined[key] -= len(bins)
        self._await(_together(seated))
        return added, rest

    def _fits_one(self, fresh: FreshNode, company: Company) -> bool:
        """Whether one node takes them all, as it did when it was bought: its template may have changed since."""
        wanted = [(self.demands[number].shape, len(pods)) for number, pods in sorted(company.items())]
        return sum(pack(fresh, wanted, max_nodes=1).placed) == sum(count for _, count in wanted)

    def _packed_anew(self, key: GroupKey, fresh: FreshNode, alone: Company) -> None:
        """Whoever found no room on the others' nodes, on those of the group that nobody was promised."""
        if not alone or not self.landscape.imagined.get(key):
            return
        numbers = sorted(alone, key=lambda number: share_of_node(self.demands[number], fresh))
        wanted = [Demand(shape=self.demands[number].shape, pods=tuple(alone[number])) for number in numbers]
        candidate = Candidate(keys=(key,), fresh=fresh)
        offer = Offer.made(candidate, wanted, range(len(wanted)), max_nodes=self.landscape.imagined[key])
        offer.put(self.landscape, key, offer.nodes())
        self.landscape.imagined[key] -= offer.packing.nodes
        placed = zip(numbers, offer.packing.placed, strict=True)
        self._await({number: alone[number][:count] for number, count in placed})

    def _await(self, company: Company) -> None:
        """Note that these were placed on nodes to come."""
        for number, pods in company.items():
            if pods:
                self.gone[number] += pods
                self.verdicts.append(
                    PendingVerdict(
                        shape=self.demands[number].shape,
                        pods=tuple(pods),
                        outcome=PendingOutcome.FITS_UPCOMING,
                        detail="a node bought for it is on its way",
                    )
                )

    def _only(self, indices: Sequence[int]) -> BoolArray:
        where = np.zeros(self.landscape.simulation.size, dtype=np.bool_)
        where[list(indices)] = True
        return where


def _together(companies: Iterable[Company]) -> dict[int, Sequence[PodRecord]]:
    together: dict[int, list[PodRecord]] = {}
    for company in companies:
        for number, pods in company.items():
            together.setdefault(number, []).extend(pods)
    return dict(together)
