"""A lower bound in milliseconds: pods as liquids, poured over fractions of nodes; and what each pod costs in it.

Every inequality is of the form "the pods of item i on nodes of type g, weighted, are at most the number of nodes of
type g", and holds for every real node: its capacities, how often more than a half, a third or a quarter of it fits
(the dual feasible functions of Fekete and Schepers, "New classes of fast lower bounds for bin packing problems",
Mathematical Programming 91, 2001), and the caps of pods that keep apart from their like. The dual of the linear
program, whatever its quality, is turned into a bound by hand: no tolerance of the solver can make it wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.instance import Instance
from springtide.planning.optimizer.linear import Solver, SolverError
from springtide.planning.optimizer.problem import Bools, Floats, Ints

MARGIN: Final = 1e-9
"""Of a bound, taken off for the rounding of sums of floats (thousands of terms of relative error 1e-16)."""

PAIRS_AT_ONCE: Final = 20_000
"""Of items and types: beyond this the program starts with the most promising pairs, and others join as they matter."""

SHARP_PAIRS: Final = 4_000
"""Up to here the halves, thirds and quarters are counted too: they triple the program."""

_NEAREST: Final = 6
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class VolumeBound:
    """The bound, and prices to steer a search by."""

    value: float
    """By the prices of the search, node surcharge included."""
    worth: Floats
    """(items,): what a pod of the item costs at least; all pods together cost `value`, if no limit of nodes binds."""
    tightness: Floats
    """(resources,): which share of what is bought is asked for, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Inequalities: entry k says that a pod of item[k] on a node of type[k] takes weight[k] of row[k]."""

    row: Ints
    item: Ints
    node_type: Ints
    weight: Floats
    type_of_row: Ints
    """The first row of each resource, of `types` rows, is its capacity; see `_weights`."""
    kinds_per_resource: int


def volume_bound(instance: Instance, solver: Solver, *, seconds: float) -> VolumeBound:
    """The better of the simple bound and the linear program's; the simple one if the solver fails."""
    simple = simple_bound(instance)
    try:
        solved = _solved(instance, solver, seconds)
    except SolverError:
        return simple
    if solved.value >= simple.value:
        return solved
    return VolumeBound(simple.value, solved.worth, solved.tightness)


def simple_bound(instance: Instance) -> VolumeBound:
    """Without a solver: each resource alone, bought where it is cheapest; and each item alone on its own nodes."""
    alone = np.where(instance.fits, instance.prices / np.maximum(instance.room, 1), np.inf).min(axis=1)
    worth = [
        np.where(instance.fits, demand[:, None] * (instance.prices / np.maximum(capacity, 1)), np.inf).min(
            axis=1
        )
        for demand, capacity in zip(instance.demands.T, instance.capacities.T, strict=True)
    ]
    per_resource = [float(instance.counts @ cost) for cost in worth]
    best = max([*per_resource, float((instance.counts * alone).max())])
    tightness = np.array(per_resource) / max(*per_resource, 1e-300)
    return VolumeBound(best * (1 - MARGIN), np.maximum(np.mean(worth, axis=0), 1e-12), tightness)


def _solved(instance: Instance, solver: Solver, seconds: float) -> VolumeBound:
    pairs = instance.fits if instance.fits.sum() <= PAIRS_AT_ONCE else _promising(instance)
    best: VolumeBound | None = None
    for _ in range(_ROUNDS):
        rows = _rows(instance, pairs)
        value, duals, nodes = _program(instance, rows, solver, seconds)
        duals = _spent(instance, rows, duals, nodes)
        everywhere = _costs(instance, rows, duals)
        bound = _safe(instance, everywhere, _paid(rows, duals, instance.types), nodes)
        if best is None or bound.value > best.value:
            best = bound
        missing = (
            instance.fits & ~pairs & (everywhere < np.where(pairs, everywhere, np.inf).min(axis=1)[:, None])
        )
        if not missing.any() or best.value >= value * (1 - 1e-4):
            break
        pairs = pairs | (missing & _smallest(np.where(missing, everywhere, np.inf), _NEAREST))
    assert best is not None  # at least one round
    return best


def _promising(instance: Instance) -> Bools:
    """For each item the types on which it is cheapest, by its largest and by its mean share of a node."""
    largest = np.zeros(instance.fits.shape)
    mean = np.zeros(instance.fits.shape)
    for demand, capacity in zip(instance.demands.T, instance.capacities.T, strict=True):
        share = demand[:, None] / np.maximum(capacity, 1)[None, :]
        np.maximum(largest, share, out=largest)
        mean += share
    blocked = np.where(instance.fits, instance.prices, np.inf)
    return (_smallest(largest * blocked, _NEAREST) | _smallest(mean * blocked, _NEAREST)) & instance.fits


def _smallest(values: Floats, number: int) -> Bools:
    """The cells of the `number` smallest values of each row."""
    number = min(number, values.shape[1])
    chosen = np.argpartition(values, number - 1, axis=1)[:, :number]
    mask = np.zeros(values.shape, dtype=np.bool_)
    np.put_along_axis(mask, chosen, True, axis=1)
    return mask


def _rows(instance: Instance, pairs: Bools) -> _Rows:
    item, node_type = np.nonzero(pairs)
    row: list[Ints] = []
    at: list[Ints] = []
    weights: list[Floats] = []
    type_of_row: list[Ints] = []
    first = 0
    for weight in _weights(instance, item, node_type):
        used = np.flatnonzero(weight > 0)
        row.append(first + node_type[used])
        at.append(used)
        weights.append(weight[used])
        type_of_row.append(np.arange(instance.types))
        first += instance.types
    apart = np.flatnonzero(instance.capped[item])
    row.append(first + np.arange(len(apart)))
    at.append(apart)
    weights.append(1.0 / instance.room[item[apart], node_type[apart]])
    type_of_row.append(node_type[apart])
    entry = np.concatenate(at)
    return _Rows(
        row=np.concatenate(row),
        item=item[entry],
        node_type=node_type[entry],
        weight=np.concatenate(weights),
        type_of_row=np.concatenate(type_of_row),
        kinds_per_resource=_kinds_per_resource(len(item)),
    )


def _kinds_per_resource(pairs: int) -> int:
    return 4 if pairs <= SHARP_PAIRS else 1


def _weights(instance: Instance, item: Ints, node_type: Ints) -> Iterator[Floats]:
    """Weights of the pairs, each kind giving one row a type."""
    for resource in range(instance.demands.shape[1]):
        demand = instance.demands[item, resource]
        capacity = np.maximum(instance.capacities[node_type, resource], 1)
        share = demand / capacity
        yield share
        for parts in range(2, _kinds_per_resource(len(item)) + 1):
            whole, rest = np.divmod(demand * parts, capacity)
            yield np.where(rest == 0, share, whole / (parts - 1))


def _program(instance: Instance, rows: _Rows, solver: Solver, seconds: float) -> tuple[float, Floats, Floats]:
    """The value, how much a unit of each row costs, and how many nodes of each type are bought."""
    items, types, extra = instance.items, instance.types, len(rows.type_of_row)
    lower = np.concatenate([instance.counts.astype(np.float64), np.full(extra, -np.inf)])
    program = solver(lower, np.concatenate([np.full(items, np.inf), np.zeros(extra)]))
    by_type = np.argsort(rows.type_of_row, kind="stable")
    program.add_columns(
        costs=instance.prices,
        limits=instance.max_nodes.astype(np.float64),
        starts=np.searchsorted(rows.type_of_row[by_type], np.arange(types)),
        rows=items + by_type,
        values=np.full(extra, -1.0),
    )
    # One column a pair: first its entry among the pods to place, then those among the inequalities.
    key = rows.item * types + rows.node_type
    pairs, column = np.unique(key, return_inverse=True)
    columns = np.concatenate([np.arange(len(pairs)), column])
    order = np.argsort(columns, kind="stable")
    program.add_columns(
        costs=np.zeros(len(pairs)),
        limits=np.full(len(pairs), np.inf),
        starts=np.searchsorted(columns[order], np.arange(len(pairs))),
        rows=np.concatenate([pairs // types, items + rows.row])[order],
        values=np.concatenate([np.ones(len(pairs)), rows.weight])[order],
    )
    optimum = program.solve(seconds=seconds)
    return optimum.value, np.maximum(-optimum.row_duals[items:], 0.0), optimum.columns[:types]


def _spent(instance: Instance, rows: _Rows, duals: Floats, nodes: Floats) -> Floats:
    """Duals by which every type earns its whole price: the program leaves types without that earn nothing now, though
    nothing forbids it, and they would make pods look cheap. The rest goes to the resources as on the types in use."""
    short = np.maximum(instance.prices - _paid(rows, duals, instance.types), 0.0)
    kinds = instance.demands.shape[1]
    every = rows.kinds_per_resource * instance.types
    by_resource = np.array(
        [float(duals[at * every : at * every + instance.types] @ nodes) for at in range(kinds)]
    )
    if by_resource.sum() <= 0:
        return duals
    raised = duals.copy()
    for at, share in enumerate(by_resource / by_resource.sum()):
        raised[at * every : at * every + instance.types] += short * share
    return raised


def _paid(rows: _Rows, duals: Floats, types: int) -> Floats:
    """(types,): what a node of the type earns by all its inequalities."""
    paid = np.zeros(types)
    np.add.at(paid, rows.type_of_row, duals)
    return paid


def _costs(instance: Instance, rows: _Rows, duals: Floats) -> Floats:
    """(items, types): what a pod pays on a node of the type; infinite where it may not run.

    The capacities count for all pairs, the other inequalities only for pairs in the program: leaving them out elsewhere
    makes those pairs cheaper, so the bound stays one.
    """
    resources, kinds = instance.demands.shape[1], rows.kinds_per_resource
    costs = np.zeros(instance.fits.shape)
    for resource in range(resources):
        at = resource * kinds * instance.types
        price = duals[at : at + instance.types] / np.maximum(instance.capacities[:, resource], 1)
        costs += instance.demands[:, resource, None] * price[None, :]
    kind = rows.row // instance.types
    other = (kind >= resources * kinds) | (kind % kinds != 0)
    np.add.at(costs, (rows.item[other], rows.node_type[other]), rows.weight[other] * duals[rows.row[other]])
    return np.where(instance.fits, costs, np.inf)


def _safe(instance: Instance, costs: Floats, paid: Floats, nodes: Floats) -> VolumeBound:
    """A bound from any prices: items pay the least, and what nodes earn beyond their price is given back at most."""
    # Earning a millionth too much is the solver's tolerance, not a limit of nodes: better scaled than paid back.
    slightly = (paid > instance.prices) & (paid <= instance.prices * (1 + 1e-6))
    scale = np.where(slightly, instance.prices / np.maximum(paid, 1e-300), 1.0)
    worth = (costs * scale).min(axis=1)
    excess = np.maximum(paid * scale - instance.prices, 0.0)
    earned = float(instance.counts @ worth)
    returned = float(instance.max_nodes @ excess)
    bought = np.maximum(nodes @ instance.capacities, 1.0)
    return VolumeBound(
        value=earned - returned - MARGIN * (earned + returned),
        worth=worth,
        tightness=np.clip((instance.counts @ instance.demands.astype(np.float64)) / bought, 0.0, 1.0),
    )
