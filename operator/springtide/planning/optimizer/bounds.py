"""Bounds as users read them: by the problem's own prices, rounded up to what prices can add up to."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from springtide.planning.optimizer.instance import NODE_SURCHARGE, Instance, reduce
from springtide.planning.optimizer.linear import Solver, highs
from springtide.planning.optimizer.problem import Floats, Ints, Problem
from springtide.planning.optimizer.volume import volume_bound as bound_of_instance

_DENOMINATOR: Final = 1_000_000
"""Prices are round if they are whole millionths, or fractions as plain."""

_MOST_STEPS: Final = 1e9
"""Of the common measure up to the bound: beyond, rounding of the prices adds up to steps."""


def volume_bound(
    problem: Problem, *, placed: Ints | None = None, seconds: float = 1.0, solver: Solver = highs
) -> float:
    """No purchase that places `placed` (items,) pods, by default all that fit any type, costs less per hour.

    Takes milliseconds (30 ms for 300 items and 20 types). Never raises: without a solver, or if it needs more than
    `seconds`, the bound is weaker.
    """
    reduction = reduce(problem, problem.counts if placed is None else placed)
    if reduction is None:
        return 0.0
    value = bound_of_instance(reduction.instance, solver, seconds=seconds).value
    return true_bound(value, reduction.instance, problem.prices[reduction.types])


def true_bound(value: float, instance: Instance, prices: Floats) -> float:
    """A bound by the prices of the search as one by `prices`, those of the same types in the problem."""
    positive = prices[prices > 0]
    if not len(positive):
        return 0.0
    # A node's surcharge is at most this share of its price; nodes that cost nothing are at most as many as pods.
    free = (
        float(instance.counts.sum()) * NODE_SURCHARGE * float(positive.min())
        if len(positive) < len(prices)
        else 0.0
    )
    value = max(0.0, (value - free) / (1 + NODE_SURCHARGE))
    return round_up(value, prices)


def round_up(value: float, prices: Floats) -> float:
    """The least sum of whole numbers of `prices` that is not below `value`, as far as a common measure shows it."""
    step = _common_measure(prices)
    if step is None or value / step > _MOST_STEPS:
        return value
    return max(value, step * math.ceil(value / step - 1e-6))


def _common_measure(prices: Floats) -> float | None:
    """The largest number of which all prices are multiples; None if they are no round numbers."""
    positive: list[float] = sorted({price for price in prices.tolist() if price > 0})
    if len(positive) == 1:
        return positive[0]
    exact = [Fraction(price).limit_denominator(_DENOMINATOR) for price in positive]
    # Sums and products of round numbers are off by a rounding or two.
    if any(abs(float(one) - price) > 1e-15 * price for one, price in zip(exact, positive, strict=True)):
        return None
    denominator = math.lcm(*(one.denominator for one in exact))
    return math.gcd(*(int(one * denominator) for one in exact)) / denominator
