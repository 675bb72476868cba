"""Unneeded nodes: spare ones whose pods all fit elsewhere, all of them gone at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from springtide.cluster.quantity import render_quantity
from springtide.cluster.shape import PodShape
from springtide.planning.groups.limits import Allowance, Ledger
from springtide.planning.landscape import Landscape
from springtide.planning.plan import BlockReason, NodeVerdict
from springtide.planning.scale_down.destinations import FILTERS_EFFORT, Stuck, constrained
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.planning.scale_down.removal_simulation import Moves, RemovalSimulation
from springtide.planning.scale_down.victims import FamilyOf, in_order, rotated
from springtide.scheduling.verdict import Misfit, Plugin, PodRule

MAX_EXAMINED: Final = 400_000_000
"""Nodes looked at as destinations in one pass, all pods together: about a second's work. An ordinary cluster of 5,000
nodes needs a hundredth of it."""


@dataclass(frozen=True, slots=True)
class Unneeded:
    """A node that could go now as far as its pods are concerned."""

    spare: Spare
    since: datetime
    moves: Moves

    @property
    def destinations(self) -> Mapping[str, str]:
        """Pod uid -> name of the node it would move to."""
        return self.moves.destinations


@dataclass(frozen=True, slots=True)
class Found:
    """What the search has found."""

    unneeded: tuple[Unneeded, ...]
    """Best victims first. They could all go together."""
    kept: tuple[NodeVerdict, ...]
    """On the other spare nodes."""
    victims: tuple[Spare, ...]
    """All that were asked, in this order."""
    entangled: bool
    """Whether a part of the unneeded nodes need not be able to go because all of them together are."""

    def simulation(self, landscape: Landscape) -> RemovalSimulation:
        """A new simulation that asks the same nodes."""
        return _simulation(self.victims, landscape)


def find(
    spares: Sequence[Spare],
    *,
    landscape: Landscape,
    ledger: Ledger,
    since: Mapping[str, datetime],
    now: datetime,
    families: FamilyOf,
    max_examined: int = MAX_EXAMINED,
) -> Found:
    """The unneeded nodes among the spare ones, and verdicts on the others.

    `max_examined` bounds the work. Nodes that were unneeded before come first, so none loses its timer by it; of the
    others, another one comes first in each pass.
    """
    kept: list[NodeVerdict] = []
    victims: list[Spare] = []
    for spare in in_order(spares, since=since, ledger=ledger, families=families):
        at_min = ledger.min_reached(spare.key)
        if at_min:
            kept.append(spare.verdict(BlockReason.MIN_SIZE_REACHED, detail=at_min))
        else:
            victims.append(spare)
    if not victims:
        return Found(unneeded=(), kept=tuple(kept), victims=(), entangled=False)
    if landscape.simulation.size * _effort(victims) > max_examined:
        victims = rotated(victims, since=since, now=now)
    simulation = _simulation(victims, landscape)
    search = _Search(simulation=simulation, allowance=ledger.allowance(), max_examined=max_examined)
    unneeded = tuple(
        Unneeded(
            spare=spare,
            since=since.get(spare.node.name, now),
            moves=moves,
        )
        for spare, moves in search.run(victims)
    )
    return Found(
        unneeded=unneeded,
        kept=(*kept, *search.verdicts()),
        victims=tuple(victims),
        entangled=simulation.entangled,
    )


def _effort(victims: Sequence[Spare]) -> int:
    """The most that finding places for all these pods may cost, in looks at each node that is there."""
    choosy = {shape for shape in _shapes(victims) if constrained(shape)}
    pods = sum(len(spare.moving) for spare in victims)
    if not choosy:
        return pods
    asking = sum(len(alike) for spare in victims for shape, alike in spare.drain.alike if shape in choosy)
    return pods + asking * FILTERS_EFFORT


def _shapes(victims: Sequence[Spare]) -> set[PodShape]:
    return {shape for spare in victims for shape, _ in spare.drain.alike}


def _simulation(victims: Sequence[Spare], landscape: Landscape) -> RemovalSimulation:
    return RemovalSimulation(
        landscape,
        victims=[spare.node.name for spare in victims],
        shapes=_shapes(victims),
    )


@dataclass
class _Search:
    """Asks one node after the other."""

    simulation: RemovalSimulation
    allowance: Allowance
    max_examined: int
    _received: list[Spare] = field(default_factory=list)
    _stuck: list[tuple[Spare, Stuck]] = field(default_factory=list)
    _not_asked: list[Spare] = field(default_factory=list)

    def run(self, victims: Iterable[Spare]) -> Iterator[tuple[Spare, Moves]]:
        """The nodes that could go, with the moves of their pods. Those beyond what minimum sizes allow come last, or
        their pods would take the room that others need which may really go."""
        beyond: list[Spare] = []
        for spare in victims:
            if not self.allowance.has_room(spare.key):
                beyond.append(spare)
                continue
            moves = self._ask(spare)
            if moves is not None:
                if not spare.drain.waiting_for:
                    self.allowance.take(spare.key)
                yield spare, moves
        for spare in beyond:
            moves = self._ask(spare)
            if moves is not None:
                yield spare, moves

    def verdicts(self) -> Iterator[NodeVerdict]:
        """On the nodes that cannot go, once all have been asked."""
        for spare, stuck in self._stuck:
            yield no_place(spare, stuck, self.simulation)
        for spare in self._received:
            detail = "pods of other unneeded nodes would move here"
            yield spare.verdict(BlockReason.NO_PLACE_TO_MOVE_PODS, detail=detail)
        for spare in self._not_asked:
            detail = (
                f"not examined in this pass, which has compared {self.simulation.examined} places already"
            )
            yield spare.verdict(BlockReason.PARALLELISM, detail=detail)

    def _ask(self, spare: Spare) -> Moves | None:
        if self.simulation.received(spare.node.name):
            self._received.append(spare)
            return None
        if not spare.is_empty and self.simulation.examined > self.max_examined:
            self._not_asked.append(spare)
            return None
        moves = self.simulation.remove(spare.node.name, spare.drain.alike)
        if moves.stuck is not None:
            self._stuck.append((spare, moves.stuck))
            return None
        return moves


def no_place(spare: Spare, stuck: Stuck, simulation: RemovalSimulation) -> NodeVerdict:
    """The verdict on a node one of whose pods has no place."""
    if stuck.misfit is not None:
        detail = f"{misfit_text(stuck.misfit)}, {stuck.view}" if stuck.view else misfit_text(stuck.misfit)
    else:
        fits_alone, misfit = simulation.last_word(spare.node.name, stuck.pod.shape)
        if fits_alone:
            detail = "other nodes have room for some of the node's pods, not for all at once"
        else:
            detail = "no other node takes it" if misfit is None else misfit_text(misfit)
    return spare.verdict(BlockReason.NO_PLACE_TO_MOVE_PODS, pod=stuck.pod, detail=detail)


def misfit_text(misfit: Misfit) -> str:
    """Why a pod has no place, in short."""
    if misfit.plugin is Plugin.NODE_RESOURCES_FIT:
        needed = render_quantity(misfit.subject, misfit.requested)
        free = render_quantity(misfit.subject, misfit.free)
        return f"needs {needed} {misfit.subject}, largest free {free}"
    if misfit.rule is not None:
        return f"{misfit.plugin.value}: {_RULES[misfit.rule].format(misfit=misfit)}"
    return f"{misfit.plugin.value}: {misfit.subject}" if misfit.subject else misfit.plugin.value


_RULES: Final = {
    PodRule.NO_TOPOLOGY: "nodes without label {misfit.topology_key}",
    PodRule.SKEW: "{misfit.topology_key}={misfit.domain} has {misfit.matching} of {misfit.subject}, "
    "the fewest are {misfit.minimum}, maxSkew {misfit.max_skew}",
    PodRule.AFFINITY: "must be near {misfit.subject} by {misfit.topology_key}",
    PodRule.ANTI_AFFINITY: "must not be near {misfit.subject} by {misfit.topology_key}",
    PodRule.REPELLED: "a pod there must not be near {misfit.subject} by {misfit.topology_key}",
}
