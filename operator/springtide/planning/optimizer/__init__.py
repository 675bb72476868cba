"""Which nodes hold a set of pods at least cost: patterns, column generation, whole nodes, and a proven bound.

Pure: arrays in, a plan out; the only outside help is the linear solver HiGHS (`linear`). See
docs/decisions/008-least-cost.md for the method and what it measures."""

from springtide.planning.optimizer.bounds import volume_bound
from springtide.planning.optimizer.improvement import Improvement, carried, improve
from springtide.planning.optimizer.problem import Lot, Problem, Solution, cost_of, placed_by, verify

__all__ = [
    "Improvement",
    "Lot",
    "Problem",
    "Solution",
    "carried",
    "cost_of",
    "improve",
    "placed_by",
    "verify",
    "volume_bound",
]
