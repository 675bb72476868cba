"""The least-cost search as a whole: a plan to start from, and ever better ones until the time is up or none is left.

Greedy plans by several recipes first; then turns of column generation, each series twice as long as the last and
followed by a dive for whole nodes; a first dive comes early, because purchases wait for it. All of it may be
interrupted at any step and goes on where it stopped."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np

from springtide.planning.optimizer.bounds import true_bound
from springtide.planning.optimizer.deadline import Deadline
from springtide.planning.optimizer.diving import dive
from springtide.planning.optimizer.filling import fill
from springtide.planning.optimizer.generation import Generation
from springtide.planning.optimizer.greedy import RECIPES, Packer, Packing
from springtide.planning.optimizer.instance import Bought, Reduction, reduce
from springtide.planning.optimizer.linear import OutOfTime, Solver, SolverError, highs
from springtide.planning.optimizer.problem import (
    Lot,
    Problem,
    Solution,
    cost_of,
    placed_by,
    verify,
)
from springtide.planning.optimizer.volume import VolumeBound, volume_bound

GOOD_ENOUGH: Final = 1e-4
"""Of the cost: nobody waits for a gap that is smaller."""

MOST_ITEMS: Final = 1_500
"""Beyond this, only greedy plans are made: the master program has a row an item."""

MOST_TYPES: Final = 48
"""Beyond this, the most promising types take part: each turn solves a knapsack a type."""

_SERIES: Final = (12, 24, 48, 96, 192, 384, 768)
"""Turns of column generation before each dive."""

_DIVE_SHARE: Final = 0.3
"""Of a run's time, kept for the last dive. Measured on workload o, a dive takes 1 s, a turn 0.05 s."""

_EXACT: Final = 1e-9
"""Of a cost: smaller differences are rounding."""

_T = TypeVar("_T")


class Improvement:
    """A search that can be continued: holds the best plan so far, all patterns, and their prices.

    Not safe for use by two threads at once. Equal inputs give equal plans, but for where the time ran out.
    """

    def __init__(
        self,
        problem: Problem,
        start: Sequence[Lot] = (),
        *,
        patterns: Sequence[Lot] = (),
        solver: Solver = highs,
    ) -> None:
        """`start`: the plan to improve; what it places stays placed. Empty: all pods are to be placed.

        `patterns`: nodes worth considering, for example those of a search before (`patterns()`, `carried`); wrong
        ones are ignored.
        """
        self._problem = problem
        self._solver = solver
        self._note = ""
        self._deadline = Deadline(math.inf, lambda: 0.0)
        self._hints = (*start, *patterns)
        self._bound = 0.0
        self._reserve = 0.0
        self._dived = False
        self._best: tuple[Lot, ...] = tuple(start)
        faults = verify(problem, start)
        if faults:
            self._note = f"the plan to start from was ignored: {faults[0]}"
            self._best, self._hints = (), tuple(patterns)
        placed = np.array(placed_by(problem, self._best), dtype=np.int64)
        self._reduction = reduce(problem, placed if self._best else problem.counts)
        self._generation: Generation | None = None
        self._steps: Iterator[None] | None = self._search()

    @property
    def done(self) -> bool:
        """Nothing is left to try."""
        return self._steps is None

    def run(self, *, clock: Callable[[], float], until: float, steps: int | None = None) -> Solution:
        """Search until the clock (monotonic, seconds) says `until`, or for so many steps. Never raises for what the
        solver does: then the best plan so far is returned, with a note."""
        self._deadline = Deadline(until, clock)
        self._reserve = self._deadline.left * _DIVE_SHARE
        self._dived = False
        taken = 0
        while self._steps is not None and not self._deadline.passed and (steps is None or taken < steps):
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
            except SolverError as error:
                self._note = str(error)
                self._steps = None
            taken += 1
        return self.solution

    @property
    def solution(self) -> Solution:
        """The best plan so far."""
        cost = cost_of(self._problem, self._best)
        placed = placed_by(self._problem, self._best)
        return Solution(
            lots=self._best,
            cost=cost,
            lower_bound=min(self._bound, cost),
            unplaced=tuple(
                int(asked) - done for asked, done in zip(self._problem.counts, placed, strict=True)
            ),
            note=self._note,
        )

    def patterns(self) -> tuple[Lot, ...]:
        """All patterns known, by the items and types of the problem, for another search (`nodes` says nothing)."""
        if self._generation is None or self._reduction is None:
            return self._best
        master = self._generation.master
        first = [int(members[0]) for members in self._reduction.members]
        return tuple(
            Lot(
                int(self._reduction.types[node_type]),
                1,
                tuple(sorted((first[item], int(pods[item])) for item in np.flatnonzero(pods))),
            )
            for node_type, pods in zip(master.types, master.pods, strict=True)
        )

    def _search(self) -> Iterator[None]:
        """One step a turn; ends when nothing is left to try."""
        if self._reduction is None:
            return
        started = bool(self._best)
        yield from self._greedy(self._reduction)
        if not started and self._best:
            placed = np.array(placed_by(self._problem, self._best), dtype=np.int64)
            if (placed < self._reduction.wanted).any():
                # Bounds and patterns speak of the pods that can be placed.
                self._reduction = reduce(self._problem, placed)
        if (
            self._reduction is not None
            and self._reduction.instance.items <= MOST_ITEMS
            and not self._good_enough
        ):
            yield from self._columns(self._reduction)
        if started:
            yield from self._place_more()

    @property
    def _good_enough(self) -> bool:
        return bool(self._best) and self.solution.gap <= GOOD_ENOUGH

    def _volume(self, reduction: Reduction) -> VolumeBound:
        volume = volume_bound(reduction.instance, self._solver, seconds=self._deadline.left)
        self._prove(reduction, volume.value)
        return volume

    def _prove(self, reduction: Reduction, value: float) -> None:
        self._bound = max(
            self._bound, true_bound(value, reduction.instance, self._problem.prices[reduction.types])
        )

    def _greedy(self, reduction: Reduction) -> Iterator[None]:
        started = bool(self._best)
        volume = self._volume(reduction)
        yield
        partial: list[Packing] = []
        for recipe in RECIPES:
            packer = Packer(reduction.instance, volume, recipe)
            packing = yield from self._patiently(functools.partial(self._packed, packer))
            self._hints += reduction.expand(packing.bought)
            if not packing.unplaced.any():
                self._offer(reduction, packing.bought)
            partial.append(packing)
            if self._good_enough:
                return
            yield
        if not started and not self._best:
            fullest = min(partial, key=lambda packing: tuple(packing.unplaced.tolist()))
            self._bound = 0.0
            self._offer(reduction, fullest.bought)

    def _packed(self, packer: Packer) -> Packing | None:
        return packer.run(self._deadline)

    def _columns(self, reduction: Reduction) -> Iterator[None]:
        volume = self._volume(reduction)
        narrow = _narrowed(reduction, volume, self._hints)
        generation = self._generation = Generation(narrow.instance, self._solver)
        generation.master.add([(lot.node_type, lot.pods) for lot in narrow.shrink(self._hints)])
        self._hints = ()
        yield
        for turns in _SERIES:
            yield from self._turns(generation, narrow, turns, all_types=narrow is reduction)
            bought = yield from self._patiently(lambda: dive(generation, volume, self._deadline))
            self._offer(narrow, bought)
            if generation.converged or self._good_enough:
                return
            yield

    def _turns(
        self, generation: Generation, reduction: Reduction, turns: int, *, all_types: bool
    ) -> Iterator[None]:
        """A series of turns, cut short when what is left of the time is needed for the dive."""
        for _ in range(turns):
            turn = yield from self._patiently(lambda: generation.turn(self._deadline))
            if all_types:
                self._prove(reduction, turn.bound)
            if generation.converged or self._time_to_dive():
                return
            yield

    def _time_to_dive(self) -> bool:
        """Once in a run, when a third of its time is left."""
        if self._dived or self._deadline.left > self._reserve:
            return False
        self._dived = True
        return True

    def _patiently(self, action: Callable[[], _T | None]) -> Generator[None, None, _T]:
        """The result of an action that may run out of time, and then is tried again in the next run."""
        while True:
            try:
                result = None if self._deadline.passed else action()
            except OutOfTime:
                result = None
            if result is not None:
                return result
            yield

    def _offer(self, reduction: Reduction, bought: Sequence[Bought]) -> None:
        """Take a plan if it holds what it must, breaks no rule, and is cheaper, or as cheap on fewer nodes."""
        if not bought:
            return
        lots = reduction.expand(bought)
        if verify(self._problem, lots):
            return
        cost, nodes = cost_of(self._problem, lots), sum(lot.nodes for lot in lots)
        least = cost_of(self._problem, self._best)
        as_cheap = cost <= least * (1 + _EXACT)
        cheaper = cost < least * (1 - _EXACT)
        if not self._best or cheaper or (as_cheap and nodes < sum(lot.nodes for lot in self._best)):
            self._best = lots

    def _place_more(self) -> Iterator[None]:
        """Pods that the plan to start from left out, on nodes that the better plan leaves to be bought."""
        left = np.array(self.solution.unplaced, dtype=np.int64)
        spare = self._problem.max_nodes.copy()
        for lot in self._best:
            spare[lot.node_type] -= lot.nodes
        rest = dataclasses.replace(self._problem, counts=left, max_nodes=spare)
        reduction = reduce(rest, left)
        if reduction is None:
            return
        volume = volume_bound(reduction.instance, self._solver, seconds=self._deadline.left)
        packer = Packer(reduction.instance, volume, RECIPES[0])
        packing = yield from self._patiently(functools.partial(self._packed, packer))
        more = (*self._best, *reduction.expand(packing.bought))
        if not verify(self._problem, more):
            self._best = more


def _narrowed(reduction: Reduction, volume: VolumeBound, hints: Sequence[Lot]) -> Reduction:
    """The same with the most promising types, if there are very many: where a full node is worth most for its price."""
    instance = reduction.instance
    if instance.types <= MOST_TYPES:
        return reduction
    everything = np.arange(instance.types)
    filled = fill(instance, everything, np.maximum(volume.worth, 1e-12))
    scores = (filled.pods @ volume.worth) / instance.prices
    kept = set(np.argsort(-scores, kind="stable")[:MOST_TYPES].tolist())
    kept |= {lot.node_type for lot in reduction.shrink(hints)}
    # Every item keeps the type where it is cheapest alone.
    alone = np.where(instance.fits, instance.prices / np.maximum(instance.room, 1), np.inf)
    kept |= set(alone.argmin(axis=1).tolist())
    types = np.array(sorted(kept), dtype=np.int64)
    return dataclasses.replace(reduction, instance=instance.of_types(types), types=reduction.types[types])


def improve(
    problem: Problem,
    start: Sequence[Lot] = (),
    *,
    clock: Callable[[], float],
    until: float,
    solver: Solver = highs,
) -> Solution:
    """The best plan found before the clock (monotonic, seconds) says `until`; never dearer than `start`, and placing all
    that it places. For a search to be continued later, see Improvement."""
    return Improvement(problem, start, solver=solver).run(clock=clock, until=until)


def carried(
    patterns: Sequence[Lot], *, items: Mapping[int, int], types: Mapping[int, int]
) -> tuple[Lot, ...]:
    """Patterns of one problem by the items and types of another (old index to new); what has no counterpart is dropped."""
    moved = []
    for lot in patterns:
        pods: dict[int, int] = {}
        for item, number in lot.pods:
            if item in items:
                pods[items[item]] = pods.get(items[item], 0) + number
        if lot.node_type in types and pods:
            moved.append(Lot(types[lot.node_type], 1, tuple(sorted(pods.items()))))
    return tuple(moved)
