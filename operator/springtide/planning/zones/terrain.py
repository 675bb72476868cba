"""The terrain: where new nodes could stand, as cells; what they could hold; what keeps groups from growing there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from springtide.cluster.shape import SpreadConstraint
from springtide.cluster.snapshot import PolicyView
from springtide.cluster.zone_labels import ZONE_LABELS
from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.expanders.expanders import choose
from springtide.planning.groups.eligibility import Refusal
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.pods.pending import Demand, closed_to_some
from springtide.planning.scale_up.catalog import Catalog
from springtide.planning.scale_up.offers import Offer
from springtide.planning.zones.bounds import topology_keys
from springtide.planning.zones.census import PodCensus
from springtide.planning.zones.quotas import Ask, Cell, Means
from springtide.scheduling.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class Terrain:
    """The cells of the groups that may grow, for some demands."""

    demands: Sequence[Demand]
    turns: Sequence[tuple[PolicyView, Sequence[GroupState]]]
    """Policies in the order in which they serve, with their groups that may grow."""
    catalog: Catalog
    ledger: Ledger
    refusals: Mapping[GroupKey, Refusal | None]
    """Of all groups; None for those that may grow."""
    most: Mapping[tuple[int, int], int]
    """(demand's index, cell's index) -> most pods that an earlier attempt found room for."""

    _capacities: dict[int, IntArray] = field(default_factory=dict)

    @cached_property
    def asks(self) -> list[Ask]:
        return [Ask(demand.shape, demand.count) for demand in self.demands]

    @cached_property
    def cells(self) -> list[Cell]:
        """In the order in which their first groups stand."""
        found: dict[tuple[str | None, ...], list[GroupKey]] = {}
        for key in self._keys:
            labels = self.catalog.fresh[key].labels
            found.setdefault(tuple(labels.get(each) for each in self._topology), []).append(key)
        return [
            Cell(
                labels={
                    key: value for key, value in zip(self._topology, values, strict=True) if value is not None
                },
                keys=tuple(keys),
            )
            for values, keys in found.items()
        ]

    @cached_property
    def cell_of(self) -> Mapping[GroupKey, int]:
        return {key: number for number, cell in enumerate(self.cells) for key in cell.keys}

    def means(self) -> Means:
        """What quotas ask of the groups."""
        return Means(
            capacity=self.capacity,
            shared=self.shared,
            choose=self.chosen,
            keyless=self.keyless,
            obstacle=self.obstacle,
        )

    # --- capacity -------------------------------------------------------------------------------------------

    def capacity(self, number: int) -> IntArray:
        """(cells,) How many pods of the demand new nodes may hold at most, each cell for itself."""
        if number not in self._capacities:
            self._capacities[number] = self._held(number)
        return self._capacities[number]

    def _held(self, number: int) -> IntArray:
        demand = self.demands[number]
        held = np.minimum(self.catalog.rooms_at(demand.shape, self._numbers), demand.count) * self._nodes
        if demand.closed_pools:
            held = held * np.array([key[0] not in demand.closed_pools for key in self._keys])
        by_cell = np.bincount(self._cell_numbers, weights=held, minlength=len(self.cells))
        capacity: IntArray = np.minimum(by_cell, demand.count).astype(np.int64)
        for cell in range(len(self.cells)) if self.most else ():
            capacity[cell] = min(int(capacity[cell]), self.most.get((number, cell), demand.count))
        return capacity

    def shared(self, number: int, constraint: SpreadConstraint) -> BoolArray:
        """(cells,) Where other demands may get nodes that count as domains for the constraint of this one."""
        shape = self.demands[number].shape
        others = self._takers - self.catalog.fits_at(shape, self._numbers) > 0
        eligible = self._fresh_nodes.eligible(shape, constraint)[self._numbers]
        used = np.zeros(len(self.cells), dtype=np.bool_)
        used[self._cell_numbers[others & eligible & (self._nodes > 0)]] = True
        return used

    @cached_property
    def _takers(self) -> IntArray:
        """(groups,) How many of the demands fit each."""
        takers = np.zeros(len(self._keys), dtype=np.int64)
        for demand in self.demands:
            if demand.count:
                takers += self.catalog.fits_at(demand.shape, self._numbers)
        return takers

    @cached_property
    def _fresh_nodes(self) -> PodCensus:
        return PodCensus(self.catalog.side_by_side[0])

    @cached_property
    def _keys(self) -> list[GroupKey]:
        return [state.key for _, states in self.turns for state in states if state.key in self.catalog.fresh]

    @cached_property
    def _numbers(self) -> IntArray:
        return self.catalog.numbers(self._keys)

    @cached_property
    def _topology(self) -> tuple[str, ...]:
        return tuple(sorted(topology_keys(demand.shape for demand in self.demands)))

    @cached_property
    def _nodes(self) -> IntArray:
        """(groups,) How many nodes each may still get, by itself."""
        return np.array([self.ledger.room(key).nodes for key in self._keys], dtype=np.int64)

    @cached_property
    def _cell_numbers(self) -> IntArray:
        return np.array([self.cell_of[key] for key in self._keys], dtype=np.int64)

    # --- preference -----------------------------------------------------------------------------------------

    def chosen(self, numbers: Sequence[int], cells: Sequence[int]) -> int:
        """The cell whose groups' best offer for these demands the expanders prefer; the first where all offer the
        same nodes."""
        if len({self._assortment(cell) for cell in cells}) == 1:
            return cells[0]
        demands = [self.demands[number] for number in numbers]
        shapes = [demand.shape for demand in demands]
        for policy, states in self.turns:
            appraisal = Appraisal(policy, self.catalog, states, closed_to_some(demands))
            offers: list[tuple[Offer, int]] = []
            for cell in cells:
                here = [state for state in states if self.cell_of.get(state.key) == cell]
                for candidate in self.catalog.candidates(here, shapes, apart=appraisal.apart):
                    asking = [
                        n
                        for n, demand in enumerate(demands)
                        if candidate.pool not in demand.closed_pools
                        and self.catalog.fits(demand.shape, candidate.keys[0])
                    ]
                    room = self.ledger.room(*candidate.keys).nodes
                    offer = appraisal.appraised(Offer.made(candidate, demands, asking, max_nodes=room))
                    if offer.packing.nodes:
                        offers.append((offer, cell))
            if offers:
                # Which cell was lightest decides ties, not the lot.
                choice = choose([offer.option for offer, _ in offers], policy.spec.expanders, seed="")
                return next(cell for offer, cell in offers if offer.option is choice.option)
        return cells[0]

    def _assortment(self, cell: int) -> frozenset[object]:
        return frozenset(
            (self.catalog.fresh[key].size, self._price_of.get(key)) for key in self.cells[cell].keys
        )

    @cached_property
    def _price_of(self) -> Mapping[GroupKey, float | None]:
        return {state.key: state.group.hourly_price for _, states in self.turns for state in states}

    # --- obstacles ------------------------------------------------------------------------------------------

    def keyless(self, topology_key: str) -> str:
        """Why no group's new nodes are known to have a label."""
        wide = [state.group for _, states in self.turns for state in states if len(state.group.zones) > 1]
        if topology_key in ZONE_LABELS and wide:
            zones = ", ".join(wide[0].zones)
            return f"the cloud picks the zone: group {wide[0].id} spans {zones}; use one group for each zone"
        return f"no group adds nodes with the label {topology_key}"

    def obstacle(self, topology_key: str, domain: str) -> str:
        """Why no more nodes come to a domain: what holds its groups back, or that there is none."""
        refusal = ""
        for key, fresh in self.catalog.fresh.items():
            if fresh.labels.get(topology_key) != domain:
                continue
            found = self.refusals.get(key)
            if found is not None:
                refusal = refusal or f"group {key[1]}: {found.refusal.value} {found.detail}".rstrip()
            elif key in self.cell_of:
                room = self.ledger.room(key)
                if room.refusal is None:
                    return ""
                refusal = refusal or f"group {key[1]}: {room.refusal.value} {room.detail}".rstrip()
        return refusal or "no group adds nodes there"
