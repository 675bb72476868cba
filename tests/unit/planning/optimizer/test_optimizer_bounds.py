"""The cheap bound: never above the optimum, and sharp where pods are large, keep apart, or prices are round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from springtide.planning.optimizer import Problem, volume_bound
from springtide.planning.optimizer.bounds import round_up
from springtide.planning.optimizer.linear import LinearProgram, SolverError
from springtide.planning.optimizer.problem import Floats
from tests.unit.planning.optimizer.optimizer_cases import (
    least_cost,
    problem,
    small_problems,
    workload_a2,
    workload_c,
)


def without_solver(lower: Floats, upper: Floats) -> LinearProgram:
    raise SolverError("not installed")


@settings(max_examples=150, deadline=None)
@given(small_problems())
def test_no_plan_is_cheaper_than_the_bound(small: Problem) -> None:
    least = least_cost(small)
    if least is not None:
        assert volume_bound(small) <= least + 1e-9
        assert volume_bound(small, solver=without_solver) <= least + 1e-9


@pytest.mark.parametrize(
    ("case", "bound"),
    [
        pytest.param(
            problem(counts=[10], demands=[[3]], capacities=[[10]], prices=[1.0]),
            4.0,
            id="three of ten fit a node",
        ),
        pytest.param(
            problem(counts=[3, 3], demands=[[6], [4]], capacities=[[10]], prices=[1.0]),
            3.0,
            id="halves are counted",
        ),
        pytest.param(
            problem(counts=[5], demands=[[1]], capacities=[[10]], prices=[0.5], per_node=[1]),
            2.5,
            id="pods apart",
        ),
        pytest.param(
            problem(counts=[1], demands=[[1]], capacities=[[10], [5]], prices=[0.75, 0.5]),
            0.5,
            id="a whole node",
        ),
        pytest.param(
            problem(counts=[0], demands=[[1]], capacities=[[10]], prices=[1.0]), 0.0, id="nothing to place"
        ),
        pytest.param(
            problem(counts=[9], demands=[[11]], capacities=[[10]], prices=[1.0]), 0.0, id="nothing that fits"
        ),
        pytest.param(
            problem(counts=[9], demands=[[1]], capacities=[[10]], prices=[0.0]), 0.0, id="nodes for nothing"
        ),
        pytest.param(
            problem(
                counts=[4, 4],
                demands=[[5, 0], [0, 5]],
                capacities=[[10, 0], [0, 10]],
                prices=[1.0, 2.0],
            ),
            6.0,
            id="types without one of the resources",
        ),
    ],
)
def test_bound(case: Problem, bound: float) -> None:
    assert volume_bound(case) == pytest.approx(bound)


def test_only_the_pods_that_are_placed_count() -> None:
    given_problem = problem(counts=[10], demands=[[5]], capacities=[[10]], prices=[1.0], max_nodes=[2])
    assert volume_bound(given_problem, placed=np.array([4])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("workload", "bound"),
    [
        pytest.param(workload_a2(), 652 * 0.24, id="a2: 652 nodes"),
        pytest.param(
            workload_c(), 803.76, id="c: the volume of 803.75, rounded up to the cents that prices add up to"
        ),
    ],
)
def test_bounds_of_the_benchmarks(workload: Problem, bound: float) -> None:
    assert volume_bound(workload) == pytest.approx(bound, rel=1e-9)


def test_many_pairs_of_items_and_types_give_the_same_bound() -> None:
    """With 40 × 600 pairs the program starts with the promising ones only."""
    types = range(1, 601)
    many = problem(
        counts=[7] * 40,
        demands=[[100 + 10 * k, 400 - 7 * k] for k in range(40)],
        capacities=[[1000 * g, 1100 * g] for g in types],
        prices=[0.1 * g + 0.001 for g in types],
    )
    largest_alone = problem(
        counts=[7] * 40,
        demands=[[100 + 10 * k, 400 - 7 * k] for k in range(40)],
        capacities=[[600_000, 660_000]],
        prices=[60.001],
    )
    volume = 7 * sum(100 + 10 * k for k in range(40)) / 600_000 * 60.001
    assert volume * (1 - 1e-5) <= volume_bound(many) <= volume_bound(largest_alone)


@pytest.mark.parametrize(
    ("value", "prices", "rounded"),
    [
        pytest.param(6.1, [2.0, 4.0], 8.0, id="all even"),
        pytest.param(6.0, [2.0, 4.0], 6.0, id="a sum already"),
        pytest.param(6.000000001, [2.0], 6.0, id="rounding alone does not make a node"),
        pytest.param(0.5, [0.24, 0.36], 0.6, id="cents"),
        pytest.param(1.0, [float(np.pi), float(np.e)], 1.0, id="no round numbers"),
        pytest.param(4.0, [float(np.pi)], 2 * float(np.pi), id="one price, however odd"),
        pytest.param(1.0, [0.0, 0.7], 1.4, id="what is free does not matter"),
    ],
)
def test_a_bound_is_rounded_up_to_what_prices_add_up_to(
    value: float, prices: list[float], rounded: float
) -> None:
    assert round_up(value, np.array(prices)) == pytest.approx(rounded)
