"""Linear programs that grow: the only module that knows HiGHS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from springtide.planning.optimizer.problem import Floats, Ints

if TYPE_CHECKING:
    import highspy

Indices: TypeAlias = npt.NDArray[np.int32]


class SolverError(Exception):
    """The solver is not installed, or did not find an optimum (infeasible, numerical trouble)."""


class OutOfTime(SolverError):
    """The solver was still at work when its time was up."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """An optimal basic solution."""

    value: float
    columns: Floats
    row_duals: Floats
    """How much the least value changes per unit of each row's bound."""


class LinearProgram(Protocol):
    """min cost·x with lower ≤ A·x ≤ upper and 0 ≤ x ≤ limit. Starts with rows only; solved again from its last basis."""

    def add_columns(self, *, costs: Floats, limits: Floats, starts: Ints, rows: Ints, values: Floats) -> None:
        """Columns in compressed form: column j has rows[starts[j]:starts[j+1]] (starts has one entry a column)."""

    def set_costs(self, costs: Floats) -> None:
        """Costs of all columns."""

    def set_rows(self, *, lower: Floats, upper: Floats) -> None:
        """Bounds of all rows."""

    def solve(self, *, seconds: float) -> Optimum:
        """Raises OutOfTime if no optimum is found within so many seconds, SolverError if there is none to be found."""


Solver: TypeAlias = Callable[[Floats, Floats], LinearProgram]
"""Makes a program without columns from the lower and upper bounds of its rows."""


def highs(lower: Floats, upper: Floats) -> LinearProgram:
    """The solver we use. Raises SolverError if it is not installed."""
    try:
        import highspy
    except ImportError as error:
        raise SolverError(f"the solver HiGHS is not installed: {error}") from error
    return _HighsProgram(highspy.Highs(), lower, upper)  # type: ignore[no-untyped-call]  # its constructor alone is untyped


class _HighsProgram:
    def __init__(self, solver: highspy.Highs, lower: Floats, upper: Floats) -> None:
        self._highs = solver
        solver.setOptionValue("output_flag", False)
        # Dual simplex from the last basis is serial; threads of its own would only wait.
        solver.setOptionValue("threads", 1)
        nothing = np.empty(0, dtype=np.int32)
        rows = len(lower)
        _accepted(solver.addRows(rows, lower, upper, 0, np.zeros(rows, dtype=np.int32), nothing, np.empty(0)))
        self._rows = rows
        self._columns = 0

    def add_columns(self, *, costs: Floats, limits: Floats, starts: Ints, rows: Ints, values: Floats) -> None:
        self._columns += len(costs)
        status = self._highs.addCols(
            len(costs),
            costs,
            np.zeros(len(costs)),
            limits,
            len(rows),
            starts.astype(np.int32),
            rows.astype(np.int32),
            values,
        )
        _accepted(status)

    def set_costs(self, costs: Floats) -> None:
        self._highs.changeColsCost(len(costs), _range(len(costs)), costs)

    def set_rows(self, *, lower: Floats, upper: Floats) -> None:
        for row, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
            self._highs.changeRowBounds(row, low, high)

    def solve(self, *, seconds: float) -> Optimum:
        import highspy

        # The solver's own clock adds up all its runs.
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + max(seconds, 0.0))
        self._highs.run()
        status = self._highs.getModelStatus()
        if status == highspy.HighsModelStatus.kTimeLimit:
            raise OutOfTime("HiGHS: out of time")
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(f"HiGHS: {self._highs.modelStatusToString(status)}")
        solution = self._highs.getSolution()
        return Optimum(
            value=float(self._highs.getInfo().objective_function_value),
            columns=np.asarray(solution.col_value, dtype=np.float64),
            row_duals=np.asarray(solution.row_dual, dtype=np.float64),
        )


def _accepted(status: highspy.HighsStatus) -> None:
    import highspy

    # A warning is no harm: entries too tiny to matter are left out.
    if status == highspy.HighsStatus.kError:
        raise SolverError("HiGHS: it does not accept the program")


def _range(size: int) -> Indices:
    return np.arange(size, dtype=np.int32)
