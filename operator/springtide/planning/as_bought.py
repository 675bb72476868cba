"""Pods go first onto the nodes that were bought for them, packed as they were when those were bought.

First fit of the same pods in the same order on the same nodes gives the same arrangement, whatever else is pending: so
what was bought for is never bought for again while its nodes are on their way. Known only to the process that bought;
after a restart, and for pods that were not in the purchase, springtide.planning.promises guesses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from springtide.planning.catalog import Candidate
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.offers import Offer
from springtide.planning.pending import Demand
from springtide.planning.plan import PendingOutcome, PendingVerdict
from springtide.planning.promises import share_of_node
from springtide.planning.schedulable import Placed, fits


def place_as_bought(
    landscape: Landscape, demands: Sequence[Demand], promised: Mapping[str, GroupKey]
) -> Placed:
    """Place what was bought for and still finds its node as planned; changes the landscape.

    `promised`: the group whose purchase was for a pod, by the pod's uid.
    """
    verdicts: list[PendingVerdict] = []
    left = list(demands)
    for key in sorted(set(promised.values())):
        if key in landscape.arriving or landscape.imagined.get(key):
            parts = {number: _promised_to(demand, key, promised) for number, demand in enumerate(left)}
            parts = {number: part for number, part in parts.items() if part.count}
            _on_nodes_of(landscape, key, parts, verdicts)
            for number, unplaced in parts.items():
                mine = _promised_to(left[number], key, promised)
                left[number] = left[number].but(mine.but(unplaced))
    return Placed(verdicts=tuple(verdicts), left=tuple(demand for demand in left if demand.count))


def _promised_to(demand: Demand, key: GroupKey, promised: Mapping[str, GroupKey]) -> Demand:
    return replace(demand, pods=tuple(pod for pod in demand.pods if promised.get(pod.uid) == key))


def _on_arriving(
    landscape: Landscape, key: GroupKey, demand: Demand, verdicts: list[PendingVerdict]
) -> Demand:
    """Place what fits the group's nodes that are there already; what is left."""
    simulation = landscape.simulation
    where = np.zeros(simulation.size, dtype=np.bool_)
    where[list(landscape.arriving[key])] = True
    placement = simulation.place(demand.shape, demand.count, only=where)
    if placement.placed:
        ready = bool((placement.indices < landscape.ready_count).all())
        outcome = PendingOutcome.FITS_EXISTING if ready else PendingOutcome.FITS_UPCOMING
        verdicts.append(fits(landscape, demand, placement, outcome))
    return demand.without(placement.placed)


def _on_nodes_of(
    landscape: Landscape, key: GroupKey, parts: dict[int, Demand], verdicts: list[PendingVerdict]
) -> None:
    """Place the parts on the group's arriving nodes, then on imagined ones; what is left of each replaces it."""
    fresh = landscape.fresh.get(key)
    if fresh is None:
        return
    order = sorted(parts, key=lambda number: share_of_node(parts[number], fresh))
    if landscape.arriving.get(key):
        for number in order:
            parts[number] = _on_arriving(landscape, key, parts[number], verdicts)
    rest = [number for number in order if parts[number].count]
    if not rest or not landscape.imagined.get(key):
        return
    demands = [parts[number] for number in rest]
    candidate = Candidate(keys=(key,), fresh=fresh)
    offer = Offer.made(candidate, demands, range(len(demands)), max_nodes=landscape.imagined[key])
    offer.put(landscape, key, offer.nodes())
    landscape.imagined[key] -= offer.packing.nodes
    for number, demand, placed in zip(rest, demands, offer.packing.placed, strict=True):
        if placed:
            verdicts.append(
                PendingVerdict(
                    shape=demand.shape,
                    pods=demand.pods[:placed],
                    outcome=PendingOutcome.FITS_UPCOMING,
                    detail="a node bought for it is on its way",
                )
            )
            parts[number] = demand.without(placed)
