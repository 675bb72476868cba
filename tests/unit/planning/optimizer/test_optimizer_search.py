"""The search for cheap nodes: sound on every small problem, never worse than what it was given, stoppable, and calm
when its solver fails."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from springtide.planning.optimizer import (
    Improvement,
    Lot,
    Problem,
    Solution,
    carried,
    cost_of,
    improve,
    placed_by,
    verify,
)
from springtide.planning.optimizer.linear import LinearProgram, Optimum, OutOfTime, SolverError, highs
from springtide.planning.optimizer.problem import Floats, Ints
from tests.unit.planning.optimizer.optimizer_cases import (
    least_cost,
    problem,
    small_problems,
    workload_a2,
    workload_gpu,
)


def searched(given_problem: Problem, start: tuple[Lot, ...] = (), steps: int = 60) -> Solution:
    """So many steps of search, on a clock that stands still."""
    return Improvement(given_problem, start).run(clock=lambda: 0.0, until=60.0, steps=steps)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock on which every look takes so long."""
    looks = itertools.count()
    return lambda: next(looks) * seconds


def one_by_one(given_problem: Problem, nodes: int = 10_000) -> tuple[Lot, ...]:
    """A poor plan: a node for every pod, as far as nodes may be bought, on the first type that takes it."""
    spare = [min(nodes, int(most)) for most in given_problem.max_nodes]
    lots = []
    for item, count in enumerate(given_problem.counts.tolist()):
        left = count
        for node_type in range(len(spare)):
            lot = Lot(node_type, min(left, spare[node_type]), ((item, 1),))
            if lot.nodes and not verify(given_problem, [dataclasses.replace(lot, nodes=1)]):
                lots.append(lot)
                spare[node_type] -= lot.nodes
                left -= lot.nodes
    return tuple(lots)


@settings(max_examples=60, deadline=None)
@given(small_problems())
def test_every_plan_is_sound_and_no_cheaper_than_possible(small: Problem) -> None:
    solution = searched(small)
    assert verify(small, solution.lots) == []
    assert solution.cost == cost_of(small, solution.lots)
    assert solution.note == ""
    least = least_cost(small)
    if least is not None and not any(solution.unplaced):
        assert solution.lower_bound - 1e-9 <= least <= solution.cost + 1e-9


@settings(max_examples=60, deadline=None)
@given(small_problems(), st.integers(0, 3))
def test_a_plan_is_never_made_worse(small: Problem, nodes: int) -> None:
    start = one_by_one(small, nodes)
    assume(start)
    solution = searched(small, start)
    assert verify(small, solution.lots) == []
    before, after = placed_by(small, start), placed_by(small, solution.lots)
    assert all(now >= then for now, then in zip(after, before, strict=True))
    if after == before:
        assert solution.cost <= cost_of(small, start) + 1e-9
        least = least_cost(dataclasses.replace(small, counts=np.array(before)))
        assert least is not None
        assert solution.lower_bound - 1e-9 <= least <= solution.cost + 1e-9


@pytest.mark.parametrize(
    ("case", "cost"),
    [
        pytest.param(
            problem(counts=[6, 6], demands=[[6], [4]], capacities=[[10], [30]], prices=[1.0, 3.5]),
            6.0,
            id="pods that complete each other share nodes",
        ),
        pytest.param(
            problem(counts=[6, 6], demands=[[6], [4]], capacities=[[10], [30]], prices=[1.0, 2.5]),
            5.0,
            id="large nodes when they are cheaper",
        ),
        pytest.param(
            problem(counts=[4, 4], demands=[[2], [2]], capacities=[[8]], prices=[1.0], conflicts=[(0, 1)]),
            2.0,
            id="items in conflict go on nodes of their own",
        ),
        pytest.param(
            problem(
                counts=[3],
                demands=[[1]],
                capacities=[[8], [8]],
                prices=[1.0, 2.0],
                per_node=[1],
                max_nodes=[2, 9],
            ),
            4.0,
            id="dearer nodes where the cheap ones run out",
        ),
        pytest.param(
            problem(
                counts=[2, 2],
                demands=[[5], [5]],
                capacities=[[5], [5]],
                prices=[1.0, 1.5],
                fits=[[1, 1], [0, 1]],
            ),
            5.0,
            id="what may run anywhere takes the cheap nodes",
        ),
    ],
)
def test_the_optimum_is_found(case: Problem, cost: float) -> None:
    assert least_cost(case) == pytest.approx(cost)
    solution = searched(case)
    assert solution.cost == pytest.approx(cost)
    assert solution.unplaced == (0,) * len(case.counts)


def test_of_equally_dear_plans_the_one_with_fewer_nodes_is_taken() -> None:
    case = problem(counts=[8], demands=[[1]], capacities=[[2], [8]], prices=[1.0, 4.0])
    assert searched(case, start=(Lot(0, 4, ((0, 2),)),)).lots == (Lot(1, 1, ((0, 8),)),)


def test_free_nodes_cost_nothing_and_few_are_bought() -> None:
    case = problem(counts=[9], demands=[[1]], capacities=[[3], [9]], prices=[0.0, 0.0])
    solution = searched(case)
    assert (solution.cost, solution.lower_bound, solution.nodes) == (0.0, 0.0, 1)


def test_an_item_that_fits_nowhere_is_said_to_have_no_place() -> None:
    case = problem(counts=[2, 3], demands=[[99], [1]], capacities=[[10]], prices=[1.0])
    solution = searched(case)
    assert solution.unplaced == (2, 0)
    assert solution.cost == 1.0
    assert solution.gap == pytest.approx(0.0)


def test_when_nodes_run_out_earlier_items_come_first() -> None:
    case = problem(counts=[2, 2], demands=[[6], [6]], capacities=[[10]], prices=[1.0], max_nodes=[3])
    assert searched(case, start=(Lot(0, 2, ((0, 1),)), Lot(0, 1, ((1, 1),)))).unplaced == (0, 1)


def test_what_the_start_left_out_is_placed_where_the_better_plan_leaves_nodes() -> None:
    case = problem(counts=[2, 2], demands=[[5], [10]], capacities=[[10]], prices=[1.0], max_nodes=[3])
    wasteful = (Lot(0, 2, ((0, 1),)), Lot(0, 1, ((1, 1),)))
    solution = searched(case, wasteful)
    assert solution.unplaced == (0, 0)
    assert solution.cost == 3.0


def test_items_alike_but_for_their_names_are_planned_as_one_and_told_apart_again() -> None:
    case = problem(counts=[3, 4, 5], demands=[[2]] * 3, capacities=[[8]], prices=[1.0])
    solution = searched(case)
    assert verify(case, solution.lots) == []
    assert placed_by(case, solution.lots) == [3, 4, 5]
    assert solution.cost == 3.0


def test_a_start_that_breaks_a_rule_is_ignored_and_said_to_be() -> None:
    case = problem(counts=[4], demands=[[5]], capacities=[[10]], prices=[1.0])
    solution = searched(case, start=(Lot(0, 1, ((0, 4),)),))
    assert solution.cost == 2.0
    assert "ignored" in solution.note


def test_nothing_to_place_is_done_at_once() -> None:
    improvement = Improvement(problem(counts=[0], demands=[[1]], capacities=[[1]], prices=[1.0]))
    assert improvement.run(clock=lambda: 0.0, until=1.0).lots == ()
    assert improvement.done


def test_amounts_beyond_what_can_be_added_up_leave_the_start_as_it_is() -> None:
    case = problem(counts=[8], demands=[[1 << 60]], capacities=[[1 << 60]], prices=[1.0])
    start = (Lot(0, 8, ((0, 1),)),)
    assert searched(case, start).lots == start


def test_equal_inputs_give_equal_plans() -> None:
    first, second = searched(workload_gpu(), steps=25), searched(workload_gpu(), steps=25)
    assert first == second


def test_before_the_first_look_at_the_clock_the_start_is_the_plan() -> None:
    case = workload_a2(scale=20)
    start = one_by_one(case)
    solution = improve(case, start, clock=lambda: 5.0, until=5.0)
    assert solution.lots == start
    assert solution.lower_bound == 0.0


def test_a_search_goes_on_where_it_stopped_and_only_gets_better() -> None:
    case = workload_gpu()
    improvement = Improvement(case, one_by_one(case))
    clock = ticking(0.001)
    costs, bounds = [math.inf], [0.0]
    for until in range(1, 400):
        solution = improvement.run(clock=clock, until=until * 0.25)
        assert verify(case, solution.lots) == []
        assert not any(solution.unplaced)
        costs.append(solution.cost)
        bounds.append(solution.lower_bound)
        if improvement.done:
            break
    assert improvement.done
    assert costs == sorted(costs, reverse=True)
    assert bounds == sorted(bounds)
    assert costs[-1] <= bounds[-1] * 1.02


def test_patterns_of_one_search_help_another_on_nearly_the_same_problem() -> None:
    first = Improvement(workload_a2(scale=10))
    first.run(clock=lambda: 0.0, until=1.0, steps=60)
    without_an_app = workload_a2(scale=10)
    later = dataclasses.replace(
        without_an_app,
        counts=without_an_app.counts[1:] + 1,
        demands=without_an_app.demands[1:],
        fits=without_an_app.fits[1:],
        per_node=without_an_app.caps[1:],
    )
    patterns = carried(first.patterns(), items={item: item - 1 for item in range(1, 50)}, types={0: 0})
    assert patterns
    second = Improvement(later, patterns=patterns)
    second.run(clock=lambda: 0.0, until=1.0, steps=7)
    known = {lot.pods for lot in second.patterns()}
    assert len({lot.pods for lot in patterns} & known) > len(patterns) / 2


def test_patterns_that_no_longer_fit_are_ignored() -> None:
    case = problem(counts=[4], demands=[[5]], capacities=[[10]], prices=[1.0])
    improvement = Improvement(
        case, patterns=(Lot(0, 1, ((0, 4),)), Lot(7, 1, ((0, 1),)), Lot(0, 1, ((9, 1),)))
    )
    assert improvement.run(clock=lambda: 0.0, until=1.0).cost == 2.0


class _Failing:
    """HiGHS until its so many-th optimum, then an error."""

    def __init__(self, after: int, error: SolverError) -> None:
        self.left = after
        self.error = error

    def __call__(self, lower: Floats, upper: Floats) -> LinearProgram:
        return _FailingProgram(highs(lower, upper), self)


class _FailingProgram:
    def __init__(self, inner: LinearProgram, plan: _Failing) -> None:
        self.inner = inner
        self.plan = plan

    def add_columns(self, *, costs: Floats, limits: Floats, starts: Ints, rows: Ints, values: Floats) -> None:
        self.inner.add_columns(costs=costs, limits=limits, starts=starts, rows=rows, values=values)

    def set_costs(self, costs: Floats) -> None:
        self.inner.set_costs(costs)

    def set_rows(self, *, lower: Floats, upper: Floats) -> None:
        self.inner.set_rows(lower=lower, upper=upper)

    def solve(self, *, seconds: float) -> Optimum:
        self.plan.left -= 1
        if self.plan.left < 0:
            raise self.plan.error
        return self.inner.solve(seconds=seconds)


@pytest.mark.parametrize("after", [0, 1, 2, 7, 20, 40])
def test_a_solver_that_fails_leaves_the_best_plan_so_far_and_a_note(after: int) -> None:
    case = workload_gpu()
    start = one_by_one(case)
    improvement = Improvement(case, start, solver=_Failing(after, SolverError("HiGHS: Solve error")))
    solution = improvement.run(clock=lambda: 0.0, until=60.0)
    assert improvement.done
    assert "Solve error" in solution.note
    assert verify(case, solution.lots) == []
    assert not any(solution.unplaced)
    assert 0 < solution.lower_bound <= solution.cost <= cost_of(case, start)


def test_without_a_solver_greedy_plans_are_tried_all_the_same() -> None:
    def missing(lower: Floats, upper: Floats) -> LinearProgram:
        raise SolverError("the solver HiGHS is not installed")

    case = workload_gpu()
    start = one_by_one(case)
    solution = Improvement(case, start, solver=missing).run(clock=lambda: 0.0, until=60.0)
    assert "not installed" in solution.note
    assert solution.cost < cost_of(case, start) / 2
    assert 0 < solution.lower_bound <= solution.cost


@pytest.mark.parametrize("after", [1, 3, 9, 30])
def test_a_solver_that_runs_out_of_time_is_asked_again(after: int) -> None:
    case = workload_gpu()
    solver = _Failing(after, OutOfTime("HiGHS: out of time"))
    improvement = Improvement(case, one_by_one(case), solver=solver)
    improvement.run(clock=ticking(1.0), until=300.0)
    assert not improvement.done
    solver.left = 1_000_000
    solution = improvement.run(clock=lambda: 0.0, until=60.0, steps=500)
    assert improvement.done
    assert solution.note == ""
    assert solution.gap < 0.02
