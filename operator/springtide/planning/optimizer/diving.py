"""From fractions of nodes to nodes: buy what is whole, solve again for the rest, with new patterns, until nothing is left.

The rest is small after the first step (fractions of one node per pattern in use), and each time it is also packed
greedily: the best of all these endings is the plan. Where patterns are many this loses next to nothing against the
bound of the patterns (the "integer round-up" property of cutting stock problems)."""

from __future__ import annotations

from typing import Final

import numpy as np

from springtide.planning.optimizer.deadline import Deadline
from springtide.planning.optimizer.generation import EFFORTS, Generation
from springtide.planning.optimizer.greedy import RECIPES, pack
from springtide.planning.optimizer.instance import Bought, cost_of
from springtide.planning.optimizer.linear import OutOfTime
from springtide.planning.optimizer.master import Master, Relaxed
from springtide.planning.optimizer.problem import Floats, Ints
from springtide.planning.optimizer.volume import VolumeBound

_TURNS: Final = 3
"""Of column generation for each rest."""

_ROUNDED_UP: Final = 0.15
"""The share of fractional patterns, the most nearly whole ones, that are rounded up at each step after the first."""

_ENDINGS: Final = 2
"""Recipes tried for each rest."""


def dive(generation: Generation, volume: VolumeBound, deadline: Deadline) -> list[Bought] | None:
    """The best plan for all pods found on the way down; empty: there is none; None: not one before time ran out.

    Leaves the master program as it was, with more patterns. Raises SolverError.
    """
    instance = generation.instance
    descent = _Dive(generation, volume, deadline)
    try:
        descent.run()
    except OutOfTime:
        deadline_hit = True
    else:
        deadline_hit = deadline.passed
    finally:
        generation.master.ask_for(counts=instance.counts, max_nodes=instance.max_nodes)
    if descent.best is None:
        return None if deadline_hit else []
    return descent.best


class _Dive:
    def __init__(self, generation: Generation, volume: VolumeBound, deadline: Deadline) -> None:
        self._generation = generation
        self._volume = volume
        self._deadline = deadline
        self._rest = generation.instance
        self._bought: list[Bought] = []
        self.best: list[Bought] | None = None
        self._least = np.inf

    def run(self) -> None:
        first = True
        while self._rest.counts.any() and not self._deadline.passed:
            relaxed = self._relax()
            if not self._buy(_whole(relaxed.nodes, first=first), relaxed):
                break
            if cost_of(self._rest, self._bought) >= self._least:
                break
            self._end()
            first = False

    def _relax(self) -> Relaxed:
        """The rest's fractions, after a few turns of new patterns for it."""
        generation, rest = self._generation, self._rest
        generation.master.ask_for(counts=rest.counts, max_nodes=rest.max_nodes)
        relaxed = generation.master.solve(seconds=self._deadline.left)
        for _ in range(_TURNS if rest is not generation.instance else 0):
            new, _ = generation.price(rest, relaxed, EFFORTS[0], self._deadline)
            if not new:
                break
            relaxed = generation.master.solve(seconds=self._deadline.left)
        return relaxed

    def _buy(self, nodes: Ints, relaxed: Relaxed) -> bool:
        """Buy patterns as often as asked and as pods are left for them; False: not one more node was bought."""
        counts, spare = self._rest.counts.copy(), self._rest.max_nodes.copy()
        before = len(self._bought)
        for pattern in np.argsort(-relaxed.nodes, kind="stable"):
            if nodes[pattern] <= 0:
                break
            self._buy_pattern(self._generation.master, int(pattern), int(nodes[pattern]), counts, spare)
        self._rest = self._rest.left(counts=counts, max_nodes=spare)
        return len(self._bought) > before

    def _buy_pattern(self, master: Master, pattern: int, nodes: int, counts: Ints, spare: Ints) -> None:
        """Whole nodes while the pods last; then, if nothing was bought yet at this step, one with the pods there are."""
        node_type, pods = int(master.types[pattern]), master.pods[pattern]
        nodes = min(nodes, int(spare[node_type]))
        if nodes < 1:
            return
        held = pods > 0
        full = min(nodes, int((counts[held] // pods[held]).min()))
        if not full:
            pods, full = np.minimum(pods, counts), 1
            # A node that is half empty is better left to the next step, which knows what is left.
            if pods.sum() * 4 < master.pods[pattern].sum() * 3:
                return
        counts -= pods * full
        spare[node_type] -= full
        self._bought.append(Bought(node_type, full, pods))

    def _end(self) -> None:
        """Pack the rest greedily, and keep the whole if it is the cheapest so far."""
        so_far = cost_of(self._rest, self._bought)
        if not self._rest.counts.any():
            self._keep(so_far, [])
        for recipe in RECIPES[:_ENDINGS] if self._rest.counts.any() else ():
            packing = pack(self._rest, self._volume, recipe, self._deadline)
            if packing is not None and not packing.unplaced.any():
                self._keep(so_far + cost_of(self._rest, packing.bought), list(packing.bought))

    def _keep(self, cost: float, ending: list[Bought]) -> None:
        if cost < self._least:
            self._least = cost
            self.best = [*self._bought, *ending]


def _whole(nodes: Floats, *, first: bool) -> Ints:
    """How often each pattern is bought: rounded down; from the second step on some are rounded up."""
    whole = np.floor(nodes + 1e-6).astype(np.int64)
    if first and whole.any():
        return whole
    fraction = nodes - whole
    most = max(1, int((fraction > 1e-6).sum() * _ROUNDED_UP))
    up = np.argsort(-fraction, kind="stable")[:most]
    whole[up[fraction[up] > 0.05]] += 1
    if not whole.any() and len(nodes):
        whole[int(nodes.argmax())] = 1
    return whole
