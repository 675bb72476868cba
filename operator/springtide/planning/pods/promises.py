"""Promises: pending pods onto nodes that are on their way, or have only just become ready.

The nodes were bought for pods, and those pods may still be pending: whoever puts them in another order on the nodes
finds that some no longer fit, and buys again. So the choices are made as they were made at the purchase: policy after
policy, the expander chain picks a candidate, the candidate is packed, largest shapes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from springtide.cluster.snapshot import PolicyView
from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.expanders.expanders import choose
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import Landscape, imagined_prefix
from springtide.planning.plan import PendingOutcome, PendingVerdict
from springtide.planning.pods.pending import Demand, closed_to_some
from springtide.planning.pods.schedulable import fits
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.planning.scale_up.offers import Offer
from springtide.planning.zones.bounds import has_rules
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.fresh import FreshNode


@dataclass
class Promises:
    """Places demands on arriving and imagined nodes; changes the landscape."""

    landscape: Landscape
    catalog: Catalog
    ledger: Ledger
    """For the rooms that rank candidates; not changed."""
    plan_id: str
    verdicts: list[PendingVerdict] = field(default_factory=list)
    _left: list[Demand] = field(default_factory=list)

    def keep(
        self,
        demands: Sequence[Demand],
        *,
        states: Sequence[GroupState],
        policies: Sequence[PolicyView],
    ) -> tuple[Demand, ...]:
        """Place what fits; what is left, in order."""
        self._left = list(demands)
        if not self.landscape.simulation.size and not self.landscape.imagined:
            return tuple(demands)
        by_policy: defaultdict[str, list[GroupState]] = defaultdict(list)
        for state in states:
            if state.key in self.landscape.arriving or self.landscape.imagined[state.key]:
                by_policy[state.pool.policy].append(state)
        if any(has_rules(demand.shape) for demand in self._left):
            self._by_rules([state for each in by_policy.values() for state in each])
        else:
            for policy in sorted(policies, key=lambda policy: (policy.created_at, policy.name)):
                self._keep_by(policy, by_policy[policy.name])
            self._anywhere()
        return tuple(demand for demand in self._left if demand.count)

    def _keep_by(self, policy: PolicyView, states: Sequence[GroupState]) -> None:
        shapes = [demand.shape for demand in self._left if demand.count]
        appraisal = Appraisal(policy, self.catalog, states, closed_to_some(self._left))
        waiting = self.catalog.candidates(states, shapes, apart=appraisal.apart) if states and shapes else []
        while offers := [offer for each in waiting if (offer := self._ranked(each, appraisal))]:
            choice = choose([offer.option for offer in offers], policy.spec.expanders, seed=self.plan_id)
            chosen = next(offer for offer in offers if offer.option is choice.option)
            waiting = [each for each in waiting if each is not chosen.candidate]
            self._on_arriving(chosen)
            self._on_imagined(chosen.candidate)

    def _ranked(self, candidate: Candidate, appraisal: Appraisal) -> Offer | None:
        """The candidate as it looked before the nodes were bought: as if all of them still were to be."""
        there = sum(len(self.landscape.arriving.get(key, ())) for key in candidate.keys)
        nodes = there + self._imagined(candidate) + self.ledger.room(*candidate.keys).nodes
        asking = self._asking(candidate)
        if not asking:
            return None
        offer = Offer.made(candidate, self._left, asking, max_nodes=nodes)
        return appraisal.appraised(offer) if offer.packing.nodes else None

    def _asking(self, candidate: Candidate) -> list[int]:
        return [
            number
            for number, demand in enumerate(self._left)
            if demand.count and self.catalog.fits(demand.shape, candidate.keys[0])
        ]

    def _imagined(self, candidate: Candidate) -> int:
        return sum(self.landscape.imagined[key] for key in candidate.keys)

    def _on_arriving(self, offer: Offer) -> None:
        """First fit on the candidate's existing nodes, in the order in which they were packed."""
        indices = [i for key in offer.candidate.keys for i in self.landscape.arriving.get(key, ())]
        if not indices:
            return
        where = np.zeros(self.landscape.simulation.size, dtype=np.bool_)
        where[indices] = True
        for number in sorted(offer.asking, key=lambda n: share_of_node(self._left[n], offer.candidate.fresh)):
            self._place(number, where)

    def _on_imagined(self, candidate: Candidate) -> None:
        """Pack the rest on the nodes that do not exist yet."""
        asking, nodes = self._asking(candidate), self._imagined(candidate)
        if not asking or not nodes:
            return
        offer = Offer.made(candidate, self._left, asking, max_nodes=nodes)
        queue = iter(offer.nodes())
        for key in candidate.keys:
            part = list(islice(queue, self.landscape.imagined[key]))
            if part:
                offer.put(self.landscape, key, part)
                self.landscape.imagined[key] -= len(part)
        for number, placed in zip(asking, offer.packing.placed, strict=True):
            self._promise(number, placed)

    def _promise(self, number: int, count: int) -> None:
        demand = self._left[number]
        if count:
            self.verdicts.append(
                PendingVerdict(
                    shape=demand.shape,
                    pods=demand.pods[:count],
                    outcome=PendingOutcome.FITS_UPCOMING,
                    detail="fits upcoming nodes",
                )
            )
            self._left[number] = demand.without(count)

    def _anywhere(self) -> None:
        """What no candidate took may still fit a starting node that is nobody's, or room that is left."""
        where = ~self.landscape.settled
        for number in range(len(self._left)):
            if self._left[number].count and where.any():
                self._place(number, where)

    def _by_rules(self, states: Sequence[GroupState]) -> None:
        """Where pods ask about other pods, nodes to come are like any others: all are added, and pods go where the
        filters let them, the largest first. Even a ready node may let them in by now, since those that are expected
        elsewhere count; and who has a place may let others in."""
        simulation, imagined = self.landscape.simulation, self.landscape.imagined
        for key in (state.key for state in states if imagined[state.key]):
            simulation.add_nodes(self.landscape.fresh[key], imagined[key], prefix=imagined_prefix(key))
            imagined[key] = 0
        asking = sorted(range(len(self._left)), key=lambda number: -_weight(self._left[number]))
        before = -1
        while before != (left := sum(self._left[number].count for number in asking)):
            before = left
            for number in asking:
                ruled = has_rules(self._left[number].shape)
                where = ~self.landscape.settled
                self._place(number, np.ones_like(where) if ruled else where)
            asking = [n for n in asking if self._left[n].count and has_rules(self._left[n].shape)]

    def _place(self, number: int, where: BoolArray) -> None:
        demand, simulation = self._left[number], self.landscape.simulation
        placement = simulation.place(demand.shape, demand.count, only=where)
        if placement.placed:
            all_ready = bool((placement.indices < self.landscape.ready_count).all())
            outcome = PendingOutcome.FITS_EXISTING if all_ready else PendingOutcome.FITS_UPCOMING
            self.verdicts.append(fits(self.landscape, demand, placement, outcome))
            self._left[number] = demand.without(placement.placed)


def _weight(demand: Demand) -> int:
    """How large its pods are, a cpu weighing as much as 4 GiB."""
    return demand.shape.requests.get("cpu", 0) + (demand.shape.requests.get("memory", 0) >> 22)


def share_of_node(demand: Demand, fresh: FreshNode) -> float:
    """Minus the packing's measure of size, so that the largest come first."""
    requests = demand.shape.requests
    return -sum(
        requests.get(resource, 0) / fresh.allocatable[resource]
        for resource in ("cpu", "memory")
        if fresh.allocatable.get(resource)
    )
