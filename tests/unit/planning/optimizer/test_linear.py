"""The linear solver behind its small face: optima, their duals, and every other outcome as an error."""

from __future__ import annotations

import numpy as np
import pytest

from springtide.planning.optimizer.linear import LinearProgram, OutOfTime, SolverError, highs


def column(
    program: LinearProgram, cost: float, *, row: int = 0, value: float = 1.0, limit: float = np.inf
) -> None:
    program.add_columns(
        costs=np.array([cost]),
        limits=np.array([limit]),
        starts=np.array([0]),
        rows=np.array([row]),
        values=np.array([value]),
    )


def at_least(amount: float) -> LinearProgram:
    return highs(np.array([amount]), np.array([np.inf]))


def test_columns_may_join_after_a_solution() -> None:
    program = at_least(6.0)
    column(program, 5.0)
    assert program.solve(seconds=9.0).value == pytest.approx(30.0)
    column(program, 4.0, value=2.0, limit=2.0)
    optimum = program.solve(seconds=9.0)
    assert optimum.value == pytest.approx(18.0)
    assert optimum.columns == pytest.approx([2.0, 2.0])
    assert optimum.row_duals == pytest.approx([5.0])


def test_rows_and_costs_may_change() -> None:
    program = at_least(6.0)
    column(program, 5.0)
    program.set_rows(lower=np.array([2.0]), upper=np.array([np.inf]))
    program.set_costs(np.array([3.0]))
    assert program.solve(seconds=9.0).value == pytest.approx(6.0)


def test_a_program_without_a_solution_is_an_error() -> None:
    program = at_least(6.0)
    column(program, 5.0, limit=1.0)
    with pytest.raises(SolverError, match="Infeasible"):
        program.solve(seconds=9.0)


def test_a_program_without_a_limit_is_an_error() -> None:
    program = at_least(6.0)
    column(program, -1.0)
    with pytest.raises(SolverError, match="nbounded"):
        program.solve(seconds=9.0)


def test_a_column_in_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(SolverError, match="does not accept"):
        column(at_least(6.0), 1.0, row=3)


def test_no_time_is_not_the_same_as_no_solution() -> None:
    pods = np.arange(400)
    program = highs(np.full(400, 7.0), np.full(400, np.inf))
    for shift in (0, 1, 5):
        program.add_columns(
            costs=1.0 + (pods * 37 % 101) / 100,
            limits=np.full(400, np.inf),
            starts=2 * pods,
            rows=np.sort(np.stack([pods, (pods + 7 * shift + 3) % 400], axis=1), axis=1).ravel(),
            values=np.tile([1.0, 0.5], 400),
        )
    with pytest.raises(OutOfTime):
        program.solve(seconds=0.0)
    assert program.solve(seconds=60.0).value > 0
