"""The master program: how many nodes of each pattern known so far, so that all pods have a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.instance import Bought, Instance
from springtide.planning.optimizer.linear import Solver
from springtide.planning.optimizer.problem import Floats, Ints

_STAND_IN: Final = 4.0
"""Times the dearest node: what a pod without a pattern costs, so that the program always has a solution."""


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """An optimum of the master program."""

    value: float
    nodes: Floats
    """(patterns,): fractions of nodes."""
    worth: Floats
    """(items,): what one more pod of the item would cost."""
    net_prices: Floats
    """(types,): the price, and what it costs that a type's limit of nodes binds."""


class Master:
    """Patterns of one instance. They are kept when counts and limits change, so each optimum starts from the last."""

    def __init__(self, instance: Instance, solver: Solver) -> None:
        self.instance = instance
        items = instance.items
        self._program = solver(*_bounds(instance.counts, instance.max_nodes))
        stand_in = _STAND_IN * float(instance.prices.max()) * np.ones(items)
        self._program.add_columns(
            costs=stand_in,
            limits=np.full(items, np.inf),
            starts=np.arange(items),
            rows=np.arange(items),
            values=np.ones(items),
        )
        self.types = np.empty(0, dtype=np.int64)
        """(patterns,)."""
        self.pods = np.empty((0, items), dtype=np.int64)
        """(patterns, items)."""
        self._known: set[tuple[int, bytes]] = set()

    def add(self, patterns: Sequence[tuple[int, Ints]]) -> int:
        """Patterns as (type, pods); says how many of them are new."""
        new: list[tuple[int, Ints]] = []
        for node_type, pods in patterns:
            key = (node_type, pods.tobytes())
            if key not in self._known:
                self._known.add(key)
                new.append((node_type, pods))
        if new:
            self._append(np.array([node_type for node_type, _ in new]), np.stack([pods for _, pods in new]))
        return len(new)

    def _append(self, types: Ints, pods: Ints) -> None:
        at, items = np.nonzero(pods)
        columns = np.concatenate([at, np.arange(len(types))])
        order = np.argsort(columns, kind="stable")
        self._program.add_columns(
            costs=self.instance.prices[types],
            limits=np.full(len(types), np.inf),
            starts=np.searchsorted(columns[order], np.arange(len(types))),
            rows=np.concatenate([items, self.instance.items + types])[order],
            values=np.concatenate([pods[at, items], np.ones(len(types))])[order],
        )
        self.types = np.concatenate([self.types, types])
        self.pods = np.concatenate([self.pods, pods])

    def ask_for(self, *, counts: Ints, max_nodes: Ints) -> None:
        """Place so many pods on at most so many nodes from now on."""
        lower, upper = _bounds(counts, max_nodes)
        self._program.set_rows(lower=lower, upper=upper)

    def solve(self, *, seconds: float) -> Relaxed:
        """Raises SolverError."""
        optimum = self._program.solve(seconds=seconds)
        items = self.instance.items
        return Relaxed(
            value=optimum.value,
            nodes=optimum.columns[items:],
            worth=np.maximum(optimum.row_duals[:items], 0.0),
            net_prices=self.instance.prices + np.maximum(-optimum.row_duals[items:], 0.0),
        )

    def bought(self, pattern: int, nodes: int) -> Bought:
        return Bought(int(self.types[pattern]), nodes, self.pods[pattern])


def _bounds(counts: Ints, max_nodes: Ints) -> tuple[Floats, Floats]:
    lower = np.concatenate([counts.astype(np.float64), np.full(len(max_nodes), -np.inf)])
    upper = np.concatenate([np.full(len(counts), np.inf), max_nodes.astype(np.float64)])
    return lower, upper
