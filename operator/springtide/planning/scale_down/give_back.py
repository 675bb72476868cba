"""Giving nodes back, over all pools of one mode: look at each node alone, simulate the removal of the spare ones
together, decide which go now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import numpy as np

from springtide.api.settings import Mode
from springtide.cluster.records import NodeRecord
from springtide.planning.groups.eligibility import removals_forbidden
from springtide.planning.groups.limits import Ledger
from springtide.planning.landscape import Landscape
from springtide.planning.plan import BlockReason, BudgetState, NodeVerdict, Removal
from springtide.planning.scale_down.budgets import BudgetIndex, RemainingDisruptions
from springtide.planning.scale_down.drain_rules import DrainContext
from springtide.planning.scale_down.examined import Examined
from springtide.planning.scale_down.free_room import FreeRoom
from springtide.planning.scale_down.node_eligibility import Spare, examine
from springtide.planning.scale_down.parallelism import Parallelism
from springtide.planning.scale_down.policy_budgets import PolicyBudgets
from springtide.planning.scale_down.scale_down import Departure, Departures
from springtide.planning.scale_down.unneeded import MAX_EXAMINED, find
from springtide.planning.scale_down.utilization import Utilization, utilizations
from springtide.planning.scale_down.victims import families_of
from springtide.planning.situation import Situation


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The outcome for the nodes of one mode's pools."""

    verdicts: Mapping[str, NodeVerdict]
    """By node name."""
    unneeded_since: Mapping[str, datetime]
    removals: tuple[Removal, ...]
    due_at: datetime | None
    """When the first timer that keeps a node ends."""
    budgets: Mapping[str, tuple[BudgetState, ...]] = field(default_factory=dict)
    """Those of the policies, these removals included."""


NOTHING: Final = GivenBack(verdicts={}, unneeded_since={}, removals=(), due_at=None)
"""There are no nodes to judge."""


def give_back(
    situation: Situation,
    *,
    mode: Mode,
    landscape: Landscape,
    free_before: FreeRoom,
    ledger: Ledger,
    bought_for: frozenset[str],
    examined: Examined,
) -> GivenBack:
    """Decide on the nodes of all pools of a mode. Nodes that are no pool's, and those of paused pools, are judged
    with the Active ones.

    `landscape` is that after all purchases; `free_before` what was free before pending
    pods were placed.
    """
    snapshot = situation.snapshot
    index = BudgetIndex(snapshot.picture.disruption_budgets)
    spares, verdicts = _sort(situation, landscape, free_before, index, mode=mode, examined=examined)
    departures = Departures(
        snapshot=snapshot,
        ledger=ledger,
        disruptions=RemainingDisruptions(index),
        budgets=PolicyBudgets(snapshot, situation.readiness),
        parallelism=Parallelism(snapshot.pools),
        forbidden=removals_forbidden(snapshot),
        bought_for=bought_for,
    )
    departures.count_in_flight(situation.readiness.owners)
    found = find(
        spares,
        landscape=landscape,
        ledger=ledger,
        since=snapshot.unneeded_since,
        now=snapshot.now,
        families=families_of(snapshot.policies, situation.states, landscape.fresh),
        max_examined=MAX_EXAMINED >> 2 * snapshot.relief,
    )
    decided = departures.decide_all(found, landscape, situation.states)
    verdicts.update((verdict.node, verdict) for verdict in found.kept)
    verdicts.update((each.verdict.node, each.verdict) for each in decided)
    return GivenBack(
        verdicts=verdicts,
        unneeded_since={node.spare.node.name: node.since for node in found.unneeded},
        removals=tuple(each.removal for each in decided if each.removal is not None),
        due_at=_first_due(decided),
        budgets=departures.budgets.states(),
    )


def as_dry_run(verdict: NodeVerdict) -> NodeVerdict:
    """What stands for "it would go now" on a node of a DryRun pool."""
    if not verdict.removable:
        return verdict
    return replace(verdict, removable=False, block=BlockReason.DRY_RUN, detail="would be removed now")


def _sort(
    situation: Situation,
    landscape: Landscape,
    free_before: FreeRoom,
    index: BudgetIndex,
    *,
    mode: Mode,
    examined: Examined,
) -> tuple[list[Spare], dict[str, NodeVerdict]]:
    """(spare nodes, verdicts on the others)."""
    spares: list[Spare] = []
    verdicts: dict[str, NodeVerdict] = {}
    for node, outcome in _outcomes(situation, landscape, free_before, index, mode=mode, examined=examined):
        if isinstance(outcome, NodeVerdict):
            verdicts[node.name] = outcome
        elif outcome.pool.policy in situation.unhealthy:
            # Its timer starts anew: while so many nodes are unready, being empty proves nothing.
            sick = situation.unhealthy[outcome.pool.policy]
            verdicts[node.name] = outcome.verdict(BlockReason.FORBIDDEN, detail=sick)
        elif situation.outages:
            failed = ", ".join(outage.message for outage in situation.outages.values())
            verdicts[node.name] = outcome.verdict(BlockReason.FORBIDDEN, detail=failed)
        else:
            spares.append(outcome)
    return spares, verdicts


def _outcomes(
    situation: Situation,
    landscape: Landscape,
    free_before: FreeRoom,
    index: BudgetIndex,
    *,
    mode: Mode,
    examined: Examined,
) -> Iterator[tuple[NodeRecord, Spare | NodeVerdict]]:
    """Each node of the mode by itself: recalled, or examined."""
    snapshot, readiness = situation.snapshot, situation.readiness
    promised = _promised(landscape, free_before)
    contexts: dict[str, DrainContext] = {}
    nodes = [node for node in snapshot.picture.nodes if _is_of_mode(situation, node, mode)]
    known = _recalled(nodes, situation, examined, promised)
    used = _utilizations((node for node in nodes if node.name not in known), free_before)
    for node in nodes:
        outcome = known.get(node.name)
        if outcome is None:
            owner, state = readiness.owners.get(node.name), readiness.states[node.name]
            pods = snapshot.picture.pods_by_node.get(node.name, ())
            context = _context(situation, node, index, contexts)
            is_promised = node.name in promised
            outcome = examine(
                node,
                owner=owner,
                state=state,
                pods=pods,
                context=context,
                promised=is_promised,
                known=used.get(node.name),
            )
            if owner is not None and context is not None:
                examined.keep(
                    node,
                    outcome,
                    owner=owner,
                    state=state,
                    pods=pods,
                    promised=is_promised,
                    context=context,
                )
        yield node, outcome


def _recalled(
    nodes: Iterable[NodeRecord], situation: Situation, examined: Examined, promised: frozenset[str]
) -> Mapping[str, Spare | NodeVerdict]:
    """By name, the nodes of which all is known from the pass before."""
    snapshot, readiness = situation.snapshot, situation.readiness
    known: dict[str, Spare | NodeVerdict] = {}
    for node in nodes:
        owner = readiness.owners.get(node.name)
        if owner is None:
            continue
        found = examined.recall(
            node,
            owner=owner,
            state=readiness.states[node.name],
            pods=snapshot.picture.pods_by_node.get(node.name, ()),
            promised=node.name in promised,
            now=snapshot.now,
        )
        if found is not None:
            known[node.name] = found
    return known


def _is_of_mode(situation: Situation, node: NodeRecord, mode: Mode) -> bool:
    owner = situation.readiness.owners.get(node.name)
    in_dry_run = owner is not None and owner.pool.mode is Mode.DRY_RUN
    return in_dry_run == (mode is Mode.DRY_RUN)


def _context(
    situation: Situation, node: NodeRecord, index: BudgetIndex, known: dict[str, DrainContext]
) -> DrainContext | None:
    """The drain rules' context under the settings of the node's pool; None: no pool's."""
    owner = situation.readiness.owners.get(node.name)
    if owner is None:
        return None
    context = known.get(owner.pool.name)
    if context is None:
        settings = owner.pool.settings.scale_down
        # Most pools have the same settings: what one has found out about a workload's pods holds for the others.
        same = (each for each in known.values() if each.settings == settings)
        context = known[owner.pool.name] = next(same, None) or DrainContext(
            now=situation.snapshot.now,
            workloads=situation.snapshot.picture.workloads,
            budgets=index,
            settings=settings,
        )
    return context


def _promised(landscape: Landscape, free_before: FreeRoom) -> frozenset[str]:
    """Ready nodes on which pending or displaced pods were placed."""
    free_now = landscape.simulation.free("pods")[: landscape.ready_count]
    taken = np.flatnonzero(free_now < free_before.pods[: landscape.ready_count])
    return frozenset(landscape.simulation.name(int(number)) for number in taken)


def _utilizations(nodes: Iterable[NodeRecord], free_before: FreeRoom) -> dict[str, Utilization | None]:
    """By name, of the ready nodes."""
    ready = [node for node in nodes if node.name in free_before.ready]
    indices = [free_before.ready[node.name] for node in ready]
    found = utilizations(ready, free_cpu=free_before.cpu[indices], free_memory=free_before.memory[indices])
    return {node.name: used for node, used in zip(ready, found, strict=True)}


def _first_due(decided: list[Departure]) -> datetime | None:
    return min((each.due_at for each in decided if each.due_at is not None), default=None)
