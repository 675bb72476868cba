"""Unneeded nodes: spare ones whose pods all fit elsewhere, all of them gone at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from springtide.cluster.quantity import render_quantity
from springtide.planning.landscape import GroupKey, Landscape
from springtide.planning.limits import Ledger
from springtide.planning.node_eligibility import Spare
from springtide.planning.plan import BlockReason, NodeVerdict
from springtide.planning.removal_simulation import Moves, RemovalSimulation
from springtide.scheduling.verdict import Misfit, Plugin

MAX_SIMULATED: Final = 500
"""Occupied nodes whose removal is simulated in one pass, about a millisecond each at 5,000 nodes. Nodes that were
unneeded before come first, so none loses its timer by this; maxParallel makes the rest wait anyway."""


@dataclass(frozen=True, slots=True)
class Unneeded:
    """A node that could go now as far as its pods are concerned."""

    spare: Spare
    since: datetime
    destinations: Mapping[str, str]


def find(
    spares: Sequence[Spare],
    *,
    landscape: Landscape,
    ledger: Ledger,
    since: Mapping[str, datetime],
    now: datetime,
) -> tuple[list[Unneeded], list[NodeVerdict]]:
    """(unneeded nodes, best victims first; verdicts on the other spare ones)."""
    simulation = RemovalSimulation(landscape, candidates=(spare.node.name for spare in spares))
    unneeded: list[Unneeded] = []
    kept: list[NodeVerdict] = []
    simulated = 0
    for spare in in_order(spares, since=since, ledger=ledger):
        at_min = ledger.min_reached(spare.key)
        if at_min:
            kept.append(spare.verdict(BlockReason.MIN_SIZE_REACHED, detail=at_min))
            continue
        if not spare.is_empty:
            simulated += 1
        if simulated > MAX_SIMULATED and not spare.is_empty:
            kept.append(spare.verdict(BlockReason.PARALLELISM, detail="not examined in this pass"))
            continue
        outcome = _try(spare, simulation)
        if isinstance(outcome, NodeVerdict):
            kept.append(outcome)
        else:
            began = since.get(spare.node.name, now)
            unneeded.append(Unneeded(spare=spare, since=began, destinations=outcome.destinations))
    return unneeded, kept


def in_order(spares: Iterable[Spare], *, since: Mapping[str, datetime], ledger: Ledger) -> list[Spare]:
    """Best victims first: empty nodes; then those that were unneeded before, so that timers do not start anew;
    then the emptiest. Within each kind the largest groups of a pool give first, so that zones stay balanced."""
    kinds = {
        spare.node.name: (not spare.is_empty, bool(spare.drain.waiting_for), spare.node.name not in since)
        for spare in spares
    }
    emptiest = sorted(spares, key=lambda spare: (kinds[spare.node.name], spare.utilization, spare.node.name))
    given: Counter[GroupKey] = Counter()
    keyed = []
    for order, spare in enumerate(emptiest):
        left_of_group = ledger.target(spare.key) - given[spare.key]
        given[spare.key] += 1
        keyed.append(((kinds[spare.node.name], -left_of_group, order), spare))
    return [spare for _, spare in sorted(keyed, key=lambda entry: entry[0])]


def _try(spare: Spare, simulation: RemovalSimulation) -> Moves | NodeVerdict:
    if simulation.received(spare.node.name):
        return spare.verdict(
            BlockReason.NO_PLACE_TO_MOVE_PODS, detail="pods of other unneeded nodes would move here"
        )
    moves = simulation.remove(spare.node.name, (*spare.drain.to_evict, *spare.drain.waiting_for))
    if moves.stuck is not None:
        return spare.verdict(
            BlockReason.NO_PLACE_TO_MOVE_PODS, pod=moves.stuck, detail=_explained(moves.misfit)
        )
    return moves


def _explained(misfit: Misfit | None) -> str:
    """Why a pod has no place, in short."""
    if misfit is None:
        return "no other node takes it"
    if misfit.plugin is Plugin.NODE_RESOURCES_FIT:
        needed = render_quantity(misfit.subject, misfit.requested)
        free = render_quantity(misfit.subject, misfit.free)
        return f"needs {needed} {misfit.subject}, largest free {free}"
    return f"{misfit.plugin.value}: {misfit.subject}" if misfit.subject else misfit.plugin.value
