"""Problems for the optimiser's tests: small ones by hand, random ones, and the benchmarks' by their formulas; and a
solver that tries everything, for the small ones."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from springtide.planning.optimizer import Problem


def problem(
    *,
    counts: Sequence[int],
    demands: Sequence[Sequence[int]],
    capacities: Sequence[Sequence[int]],
    prices: Sequence[float],
    max_nodes: Sequence[int] | None = None,
    fits: Sequence[Sequence[bool]] | None = None,
    per_node: Sequence[int] | None = None,
    conflicts: Sequence[tuple[int, int]] = (),
) -> Problem:
    """A problem of plain lists; by default every item may run anywhere, and nodes are plentiful."""
    return Problem(
        counts=np.array(counts, dtype=np.int64),
        demands=np.array(demands, dtype=np.int64),
        capacities=np.array(capacities, dtype=np.int64),
        prices=np.array(prices, dtype=np.float64),
        max_nodes=np.array([1000] * len(prices) if max_nodes is None else max_nodes, dtype=np.int64),
        fits=np.ones((len(counts), len(prices)), dtype=np.bool_)
        if fits is None
        else np.array(fits, dtype=np.bool_),
        per_node=None if per_node is None else np.array(per_node, dtype=np.int64),
        conflicts=tuple(conflicts),
    )


def patterns_of(given: Problem, node_type: int) -> list[tuple[int, ...]]:
    """All ways to fill one node of the type."""
    ranges = [
        range(int(min(count, cap)) + 1 if fits else 1)
        for count, cap, fits in zip(given.counts, given.caps, given.fits[:, node_type], strict=True)
    ]
    return [
        pods
        for pods in itertools.product(*ranges)
        if any(pods)
        and (np.array(pods) @ given.demands <= given.capacities[node_type]).all()
        and not any(pods[a] and pods[b] for a, b in given.conflicts)
    ]


def least_cost(given: Problem) -> float | None:
    """By trying everything: what it costs to place all pods; None: impossible. For a handful of pods only."""
    patterns = [patterns_of(given, node_type) for node_type in range(len(given.prices))]

    @functools.cache
    def least(left: tuple[int, ...], spare: tuple[int, ...]) -> float:
        if not any(left):
            return 0.0
        best = float("inf")
        for node_type, nodes in enumerate(spare):
            if nodes:
                fewer = (*spare[:node_type], nodes - 1, *spare[node_type + 1 :])
                for pods in patterns[node_type]:
                    rest = tuple(a - b for a, b in zip(left, pods, strict=True))
                    if min(rest) >= 0:
                        best = min(best, float(given.prices[node_type]) + least(rest, fewer))
        return best

    nodes = tuple(min(int(most), int(given.counts.sum())) for most in given.max_nodes)
    cost = least(tuple(given.counts.tolist()), nodes)
    return None if cost == float("inf") else cost


@st.composite
def small_problems(draw: st.DrawFn) -> Problem:
    """Up to three items of up to three pods, up to two types, with every kind of rule."""
    items, types, resources = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))

    def table(rows: int, columns: int, least: int, most: int) -> list[list[int]]:
        row = st.lists(st.integers(least, most), min_size=columns, max_size=columns)
        return draw(st.lists(row, min_size=rows, max_size=rows))

    pairs = list(itertools.combinations(range(items), 2))
    return problem(
        counts=table(1, items, 0, 3)[0],
        demands=table(items, resources, 0, 6),
        capacities=table(types, resources, 1, 12),
        prices=[price / 4 for price in table(1, types, 0, 12)[0]],
        max_nodes=table(1, types, 0, 4)[0],
        fits=[[cell > 0 for cell in row] for row in table(items, types, 0, 4)],
        per_node=[cap if cap < 4 else 99 for cap in table(1, items, 1, 6)[0]],
        conflicts=draw(st.lists(st.sampled_from(pairs), unique=True, max_size=2)) if pairs else (),
    )


def workload_a2(*, scale: int = 1) -> Problem:
    """5,000 pods of 50 apps (or a `scale`-th of them), each app's pods on different nodes; one node type."""
    return problem(
        counts=[100 // scale] * 50,
        demands=[[100 + 50 * (7 * k % 18), 256 + 128 * (5 * k % 24), 1] for k in range(50)],
        capacities=[[4000, 16 * 1024, 110]],
        prices=[0.24],
        max_nodes=[10_000],
        per_node=[1] * 50,
    )


def workload_c(*, scale: int = 1) -> Problem:
    """15,000 pods of 300 sizes (or a `scale`-th of them), 20 node types whose price is linear in their size."""
    sizes = [(2 << (g % 5), (2 << (g % 5)) * (2 << (g // 5))) for g in range(20)]
    return problem(
        counts=[50 // scale] * 300,
        demands=[[100 + 50 * (7 * k % 40), 128 + 64 * (13 * k % 64), 1] for k in range(300)],
        capacities=[[cpu * 1000, memory * 1024, 110] for cpu, memory in sizes],
        prices=[0.04 * cpu + 0.005 * memory for cpu, memory in sizes],
    )


def workload_gpu() -> Problem:
    """600 pods of 12 sizes, some with a GPU, and six node types with 0 to 8 GPUs, which make up most of the price."""
    sizes = [(32, 64, 0), (64, 256, 0), (8, 32, 1), (64, 256, 2), (32, 128, 4), (96, 384, 8)]
    return problem(
        counts=[20 + 10 * (k % 7) for k in range(12)],
        demands=[
            [3152 + 1130 * (5 * k % 12), 5600 + 4096 * (7 * k % 12), int(k % 3 > 0), 1] for k in range(12)
        ],
        capacities=[[cpu * 1000, memory * 1024, gpus, 110] for cpu, memory, gpus in sizes],
        prices=[0.04 * cpu + 0.005 * memory + gpus for cpu, memory, gpus in sizes],
    )
