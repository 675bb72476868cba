"""The benchmarks' workloads, with so much work instead of so much time: costs stay within the targets."""

from __future__ import annotations

import pytest

from springtide.planning.optimizer import Improvement, Problem, verify
from tests.unit.planning.optimizer.optimizer_cases import workload_a2, workload_c, workload_gpu


@pytest.mark.parametrize(
    ("workload", "steps", "most"),
    [
        pytest.param(workload_a2(), 40, 654 * 0.24, id="a2: 652 nodes are the optimum, 660 the target"),
        pytest.param(
            workload_c(), 2, 806.0, id="c: one greedy plan, against a bound of 803.76 and a target of 830"
        ),
        pytest.param(workload_gpu(), 40, 669.0, id="GPUs: within 1.5 % of the bound"),
    ],
)
def test_costs_of_the_benchmarks(workload: Problem, steps: int, most: float) -> None:
    solution = Improvement(workload).run(clock=lambda: 0.0, until=60.0, steps=steps)
    assert verify(workload, solution.lots) == []
    assert not any(solution.unplaced)
    assert solution.lower_bound <= solution.cost <= most


def test_patterns_beat_greedy_plans() -> None:
    """Apps whose pods keep apart leave greedy plans with too many nodes at the end."""
    workload = workload_a2(scale=5)
    greedy = Improvement(workload).run(clock=lambda: 0.0, until=60.0, steps=5)
    patterns = Improvement(workload).run(clock=lambda: 0.0, until=60.0, steps=80)
    assert patterns.cost < greedy.cost
    assert patterns.nodes <= 132
