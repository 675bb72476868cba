"""Pending pods that need no new node: they fit nodes that are there, or that are on their way. They are placed, so
that neither scale-up nor scale-down gives their room to others.

A pod that fits a ready node waits for the scheduler, not for us, however long: buying for it would only add a second
place it could go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.snapshot import Snapshot
from springtide.planning.groups.readiness import NodeState, Readiness
from springtide.planning.landscape import Landscape
from springtide.planning.plan import PendingOutcome, PendingVerdict
from springtide.planning.pods.pending import Demand
from springtide.scheduling.simulation import Placement


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of the pending pods."""

    verdicts: tuple[PendingVerdict, ...]
    left: tuple[Demand, ...]
    """These fit nowhere."""


def place_nominated(landscape: Landscape, nominated: Iterable[PodRecord]) -> tuple[PendingVerdict, ...]:
    """Count nominated pods where the scheduler has nominated them, whether they fit yet or not: victims leave."""
    verdicts = []
    for pod in nominated:
        landscape.simulation.place_on(pod.shape, landscape.simulation.index(pod.nominated_node_name))
        verdicts.append(
            PendingVerdict(
                shape=pod.shape,
                pods=(pod,),
                outcome=PendingOutcome.FITS_EXISTING,
                detail=f"the scheduler makes room for it on {pod.nominated_node_name}",
            )
        )
    return tuple(verdicts)


def place_displaced(landscape: Landscape, snapshot: Snapshot, readiness: Readiness) -> None:
    """Count the pods that removals in flight are moving where they will go. Those without a place are not bought
    for yet: they pend once they are evicted, if nothing has changed by then."""
    counts: dict[PodShape, int] = {}
    evicted = frozenset(snapshot.recently_evicted)
    for name, state in readiness.states.items():
        if state is NodeState.BEING_DELETED:
            for pod in snapshot.picture.pods_by_node.get(name, ()):
                if _will_return(pod, evicted=evicted):
                    counts[pod.shape] = counts.get(pod.shape, 0) + 1
    for shape in sorted(counts, key=lambda shape: -shape.priority):
        landscape.simulation.place(shape, counts[shape], only=landscape.ready)


def place_demands(landscape: Landscape, demands: Iterable[Demand]) -> Placed:
    """Place the pending pods on ready nodes that the scheduler knows, highest priority first."""
    verdicts: list[PendingVerdict] = []
    left: list[Demand] = []
    settled = landscape.settled
    if not settled.any():
        return Placed(verdicts=(), left=tuple(demands))
    for demand in demands:
        placement = landscape.simulation.place(demand.shape, demand.count, only=settled)
        if placement.placed:
            verdicts.append(fits(landscape, demand, placement, PendingOutcome.FITS_EXISTING))
        if placement.placed < demand.count:
            left.append(demand.without(placement.placed))
    return Placed(verdicts=tuple(verdicts), left=tuple(left))


def fits(
    landscape: Landscape, demand: Demand, placement: Placement, outcome: PendingOutcome
) -> PendingVerdict:
    """The verdict on the first pods of a demand, which found a place."""
    nodes = len(placement.indices)
    where = landscape.name(int(placement.indices[0])) if nodes == 1 else f"{nodes} nodes"
    return PendingVerdict(
        shape=demand.shape,
        pods=demand.pods[: placement.placed],
        outcome=outcome,
        detail=f"fits {where}",
    )


def _will_return(pod: PodRecord, *, evicted: frozenset[str]) -> bool:
    """Whether a controller will start the pod again elsewhere, and has not done so yet."""
    if pod.owner is None or pod.is_daemon or pod.is_mirror or pod.finished:
        return False
    return pod.deletion_timestamp is None or pod.uid in evicted
