"""The best node of a type: what is found is feasible and good, and what is proven holds for every filling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from springtide.planning.optimizer import Problem
from springtide.planning.optimizer.generation import EFFORTS, lagrangian_bound
from springtide.planning.optimizer.instance import Instance, reduce
from springtide.planning.optimizer.knapsack import Effort, Relaxations, outlook, search
from springtide.planning.optimizer.linear import highs
from springtide.planning.optimizer.problem import Floats
from tests.unit.planning.optimizer.optimizer_cases import (
    least_cost,
    patterns_of,
    problem,
    small_problems,
)


def instance_of(given_problem: Problem) -> Instance:
    reduction = reduce(given_problem, given_problem.counts)
    assume(reduction is not None)
    assert reduction is not None
    return reduction.instance


def best_worth(instance: Instance, node_type: int, worth: Floats) -> float:
    """By trying everything."""
    pairs = () if instance.conflicts is None else np.argwhere(instance.conflicts)
    plain = problem(
        counts=instance.counts.tolist(),
        demands=instance.demands.tolist(),
        capacities=instance.capacities.tolist(),
        prices=instance.prices.tolist(),
        fits=instance.fits.tolist(),
        per_node=instance.caps.tolist(),
        conflicts=[(int(a), int(b)) for a, b in pairs],
    )
    return max((float(np.array(pods) @ worth) for pods in patterns_of(plain, node_type)), default=0.0)


worths = st.lists(st.floats(0.0, 5.0), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(small_problems(), worths, st.sampled_from([Effort(1, 1), Effort(2, 2), *EFFORTS]), st.booleans())
def test_what_is_found_is_feasible_and_what_is_proven_holds(
    small: Problem, worths_drawn: list[float], effort: Effort, shuffled: bool
) -> None:
    instance = instance_of(small)
    worth = np.array(worths_drawn[: instance.items])
    relaxations = Relaxations(instance, highs)
    for node_type in range(instance.types):
        best = best_worth(instance, node_type, worth)
        view = outlook(instance, node_type, worth, relaxations.prices(node_type, worth, seconds=9.0))
        assert best <= view.most + 1e-6
        for target in (0.0, best / 2, best + 0.1):
            lot = np.random.default_rng(1) if shuffled else None
            found = search(instance, view, worth, target=target, effort=effort, lot=lot)
            assert best <= max(found.most, target) + 1e-6
            for pods in found.fillings:
                assert instance.holds(node_type, pods)
                assert target < pods @ worth <= best + 1e-9


@settings(max_examples=40, deadline=None)
@given(small_problems(), worths)
def test_a_thorough_search_of_a_small_node_is_exact(small: Problem, worths_drawn: list[float]) -> None:
    instance = instance_of(small)
    worth = np.array(worths_drawn[: instance.items])
    relaxations = Relaxations(instance, highs)
    for node_type in range(instance.types):
        best = best_worth(instance, node_type, worth)
        assume(best > 1e-6)
        view = outlook(instance, node_type, worth, relaxations.prices(node_type, worth, seconds=9.0))
        found = search(instance, view, worth, target=best * 0.99, effort=EFFORTS[-1], lot=None)
        assert found.fillings[0] @ worth == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(small_problems(), worths)
def test_any_worth_of_pods_gives_a_bound(small: Problem, worths_drawn: list[float]) -> None:
    instance = instance_of(small)
    assume(instance.counts.sum() == small.counts.sum() and small.prices.all())
    least = least_cost(small)
    assume(least is not None)
    assert least is not None
    worth = np.array(worths_drawn[: instance.items])
    most = np.array([best_worth(instance, node_type, worth) for node_type in range(instance.types)])
    # The search adds a millionth of the cheapest price to each node.
    surcharges = 1e-6 * float(small.prices.max()) * float(small.counts.sum())
    assert lagrangian_bound(instance, worth, most) <= least + surcharges + 1e-9
