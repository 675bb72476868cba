"""Problems are checked when they are stated, plans when they are made."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from springtide.planning.optimizer import Lot, Solution, cost_of, placed_by, verify
from tests.unit.planning.optimizer.optimizer_cases import problem

TWO_ITEMS = problem(
    counts=[4, 2],
    demands=[[2, 1], [5, 1]],
    capacities=[[8, 3], [20, 2]],
    prices=[1.0, 3.0],
    max_nodes=[2, 1],
    fits=[[True, True], [True, False]],
    per_node=[3, 9],
    conflicts=[(0, 1)],
)


@pytest.mark.parametrize(
    ("lots", "fault"),
    [
        pytest.param([], None, id="buying nothing breaks no rule"),
        pytest.param([Lot(0, 1, ((0, 3),)), Lot(0, 1, ((1, 1),))], None, id="full nodes, each of one item"),
        pytest.param([Lot(0, 1, ((0, 4),))], "4 pods of item 0, at most 3 a node", id="more than the cap"),
        pytest.param([Lot(1, 1, ((0, 3),))], "resource 1: 3 of 2", id="too full"),
        pytest.param([Lot(1, 1, ((1, 1),))], "item 1 may not run there", id="a type that is forbidden"),
        pytest.param([Lot(0, 1, ((0, 1), (1, 1)))], "items 0 and 1 share a node", id="a conflict"),
        pytest.param([Lot(0, 3, ((0, 1),))], "type 0: 3 nodes, at most 2", id="too many nodes"),
        pytest.param([Lot(0, 2, ((0, 3),))], "item 0: 6 pods placed of 4", id="pods that do not exist"),
        pytest.param([Lot(0, 1, ())], "no nodes, or nothing on them", id="an empty node"),
        pytest.param([Lot(0, 1, ((0, 1), (0, 1)))], "an item twice", id="an item named twice"),
    ],
)
def test_every_rule_is_verified(lots: list[Lot], fault: str | None) -> None:
    faults = verify(TWO_ITEMS, lots)
    assert (fault is None) == (not faults)
    assert fault is None or any(fault in one for one in faults)


def test_amounts_beyond_floats_are_verified_exactly() -> None:
    huge = (1 << 60) + 1
    given = problem(counts=[1], demands=[[huge]], capacities=[[huge - 1]], prices=[1.0])
    assert verify(given, [Lot(0, 1, ((0, 1),))])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"prices": np.array([1.0])}, "prices has shape", id="a price too few"),
        pytest.param({"prices": np.array([1.0, np.nan])}, "prices holds", id="a price that is no number"),
        pytest.param({"counts": np.array([1, -1])}, "counts holds", id="a negative count"),
        pytest.param({"conflicts": ((0, 2),)}, "conflicts", id="a conflict with nobody"),
        pytest.param({"conflicts": ((1, 1),)}, "conflicts", id="a conflict with itself is a cap"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(TWO_ITEMS, **change)  # type: ignore[arg-type]


def test_a_solution_tells_its_nodes_and_gap() -> None:
    lots = (Lot(0, 2, ((0, 2),)), Lot(1, 1, ((0, 1),)))
    solution = Solution(lots=lots, cost=cost_of(TWO_ITEMS, lots), lower_bound=4.0, unplaced=(0, 2))
    assert solution.nodes == 3
    assert solution.cost == 5.0
    assert solution.gap == pytest.approx(0.2)
    assert placed_by(TWO_ITEMS, lots) == [5, 0]


def test_a_solution_that_costs_nothing_has_no_gap() -> None:
    assert Solution(lots=(), cost=0.0, lower_bound=0.0, unplaced=()).gap == 0.0
