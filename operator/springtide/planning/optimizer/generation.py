"""Column generation: new patterns, as long as the master program would use them; and the bound that its prices prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.deadline import Deadline
from springtide.planning.optimizer.instance import Instance
from springtide.planning.optimizer.knapsack import Effort, Outlook, Relaxations, outlook, search
from springtide.planning.optimizer.linear import Solver
from springtide.planning.optimizer.master import Master, Relaxed
from springtide.planning.optimizer.problem import Floats
from springtide.planning.optimizer.volume import MARGIN

EFFORTS: Final = (Effort(beam=50, finished=8), Effort(beam=100, finished=16), Effort(beam=300, finished=24))
"""From quick to thorough: the next one when the last found nothing new."""

_IMPROVES: Final = 1e-6
"""Of a node's price, by which a pattern must be worth more: the tolerance of the solver is a tenth of it."""

_PLENTY: Final = 16
"""Patterns after which the other types wait for the next turn: the prices have changed by then."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn brought."""

    value: float
    """Of the master program before the new patterns; what no integer plan of the patterns known then can undercut."""
    bound: float
    """Proven for all plans whatsoever."""
    new: int


class Generation:
    """Column generation on one master program, resumable at any point."""

    def __init__(self, instance: Instance, solver: Solver) -> None:
        self.instance = instance
        self.master = Master(instance, solver)
        self._relaxations = Relaxations(instance, solver)
        self._lot = np.random.default_rng(0)
        self._level = 0
        self.converged = False
        """The most thorough search found no pattern that would help."""

    def turn(self, deadline: Deadline) -> Turn:
        """One turn: prices, and patterns that beat them. Raises SolverError, also when time is out."""
        relaxed = self.master.solve(seconds=deadline.left)
        new, most = self.price(self.instance, relaxed, EFFORTS[self._level], deadline)
        if new == 0:
            self.converged = self._level == len(EFFORTS) - 1
            self._level = min(self._level + 1, len(EFFORTS) - 1)
        elif new >= _PLENTY // 2:
            self._level = max(self._level - 1, 0)
        return Turn(relaxed.value, lagrangian_bound(self.instance, relaxed.worth, most), new)

    def price(
        self, instance: Instance, relaxed: Relaxed, effort: Effort, deadline: Deadline
    ) -> tuple[int, Floats]:
        """Add patterns that beat the prices, at most for what `instance` still asks.

        Says how many are new, and for each type what no node can be worth more than. Raises SolverError.
        """
        views = self._outlooks(instance, relaxed, deadline)
        most = np.array([view.most for view in views])
        promising = np.argsort(-most / relaxed.net_prices, kind="stable")
        new = 0
        for node_type in promising.tolist():
            if new >= _PLENTY or deadline.passed:
                break
            target = float(relaxed.net_prices[node_type]) * (1 + _IMPROVES)
            if most[node_type] <= target or instance.max_nodes[node_type] == 0:
                continue
            found = search(
                instance, views[node_type], relaxed.worth, target=target, effort=effort, lot=self._lot
            )
            most[node_type] = min(most[node_type], found.most)
            new += self.master.add([(node_type, pods) for pods in found.fillings])
        return new, most

    def _outlooks(self, instance: Instance, relaxed: Relaxed, deadline: Deadline) -> list[Outlook]:
        return [
            outlook(
                instance,
                node_type,
                relaxed.worth,
                self._relaxations.prices(node_type, relaxed.worth, seconds=deadline.left),
            )
            for node_type in range(instance.types)
        ]


def lagrangian_bound(instance: Instance, worth: Floats, most: Floats) -> float:
    """A bound from any worth of pods, given what a node of each type can be worth at most.

    Scaled by t, the worth of all pods is a bound if what nodes are worth beyond their price is paid back for as many
    nodes as may be bought. It is concave and piecewise linear in t, with kinks where a type's nodes are just worth
    their price (Farley, "A note on bounding a class of linear programming problems", Operations Research 38, 1990,
    is the first kink).
    """
    earned = float(instance.counts @ worth)
    kinks = np.unique(np.append(np.minimum(instance.prices / np.maximum(most, 1e-300), 1.0), 1.0))
    excess = np.maximum(kinks[:, None] * most[None, :] - instance.prices[None, :], 0.0)
    returned = excess @ instance.max_nodes.astype(np.float64)
    bounds = kinks * earned - returned
    best = int(bounds.argmax())
    return float(bounds[best] - MARGIN * (earned + returned[best]))
