"""Making a filled node better: one or two pods out, one or two others in, as long as that makes it worth more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.planning.optimizer.instance import Instance
from springtide.planning.optimizer.problem import Bools, Floats, Ints

_CELLS: Final = 65_536
"""Comparisons made at once: larger tables fall out of the processor's cache."""

_WORTHWHILE: Final = 1e-9
"""Of the worth of the best pair: smaller gains are rounding, and could go round in circles."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """All single pods and pairs of pods, the most valuable first. A second of -1: no second pod."""

    first: Ints
    second: Ints
    demands: Ints
    """(resources, pairs)."""
    worth: Floats

    @classmethod
    def of(cls, instance: Instance, worth: Floats, items: Ints) -> Pairs:
        """Of these items only."""
        a, b = np.triu_indices(len(items))
        first = np.concatenate([items[a], items])
        second = np.concatenate([items[b], np.full(len(items), -1)])
        if instance.conflicts is not None:
            together = (second < 0) | ~instance.conflicts[first, second]
            first, second = first[together], second[together]
        value = worth[first] + np.where(second < 0, 0.0, worth[second])
        order = np.argsort(-value, kind="stable")
        first, second = first[order], second[order]
        demands = instance.demands[first] + np.where(second[:, None] < 0, 0, instance.demands[second])
        return cls(first, second, np.ascontiguousarray(demands.T), value[order])


@dataclass(frozen=True, slots=True, eq=False)
class _Removals:
    """What could leave the node: nothing, one pod, or two (-1: none), and the room and loss that this makes."""

    first: Ints
    second: Ints
    room: Ints
    loss: Floats


def exchange(
    instance: Instance, node_type: int, pods: Ints, pairs: Pairs, worth: Floats, *, most_out: int, rounds: int
) -> Ints:
    """`pods` (items,) of one node after at most so many exchanges, each the best there is; `most_out` is 1 or 2."""
    pods = pods.copy()
    free = instance.capacities[node_type] - pods @ instance.demands
    limit = np.minimum(instance.counts, instance.room[:, node_type])
    least = _WORTHWHILE * float(pairs.worth[0]) if len(pairs.worth) else 0.0
    for _ in range(rounds):
        possible = np.flatnonzero(_available(instance, pods, limit, pairs))
        removals = _removals(instance, pods, free, worth, most_out)
        move = _best_move(pairs, possible, removals, least)
        if move is None:
            break
        out, into = move
        for item, change in (
            (removals.first[out], -1),
            (removals.second[out], -1),
            (pairs.first[into], 1),
            (pairs.second[into], 1),
        ):
            if item >= 0:
                pods[item] += change
                free -= change * instance.demands[item]
    return pods


def _available(instance: Instance, pods: Ints, limit: Ints, pairs: Pairs) -> Bools:
    """Which pairs may join what is on the node, size apart. What leaves first is not counted: simple, and rarely short."""
    spare = limit - pods
    if instance.conflicts is not None:
        spare = np.where(instance.conflicts[pods > 0].any(axis=0), 0, spare)
    first, second = spare[pairs.first], spare[pairs.second]
    twice = np.where(pairs.first == pairs.second, first >= 2, (first >= 1) & (second >= 1))
    return np.where(pairs.second < 0, first >= 1, twice)


def _removals(instance: Instance, pods: Ints, free: Ints, worth: Floats, most_out: int) -> _Removals:
    present = np.flatnonzero(pods)
    nobody = np.full(len(present), -1)
    first, second = [np.array([-1]), present], [np.array([-1]), nobody]
    if most_out > 1:
        a, b = np.triu_indices(len(present))
        two = (a != b) | (pods[present[a]] >= 2)
        first.append(present[a[two]])
        second.append(present[b[two]])
    one, other = np.concatenate(first), np.concatenate(second)
    freed = np.where(one[:, None] < 0, 0, instance.demands[one]) + np.where(
        other[:, None] < 0, 0, instance.demands[other]
    )
    loss = np.where(one < 0, 0.0, worth[one]) + np.where(other < 0, 0.0, worth[other])
    return _Removals(one, other, free + freed, loss)


def _best_move(pairs: Pairs, possible: Ints, removals: _Removals, least: float) -> tuple[int, int] | None:
    """The removal and the pair that gain most. Pairs come most valuable first: the first that fits is a removal's best."""
    best: tuple[int, int] | None = None
    gain = least
    open_ones = np.arange(len(removals.loss))
    at = 0
    while at < len(possible):
        open_ones = open_ones[pairs.worth[possible[at]] - removals.loss[open_ones] > gain]
        if not len(open_ones):
            break
        chunk = possible[at : at + max(64, _CELLS // len(open_ones))]
        at += len(chunk)
        room = removals.room[open_ones]
        fits = pairs.demands[0, chunk][None, :] <= room[:, 0, None]
        for resource in range(1, room.shape[1]):
            fits &= pairs.demands[resource, chunk][None, :] <= room[:, resource, None]
        found = fits.argmax(axis=1)
        hit = fits[np.arange(len(open_ones)), found]
        gains = np.where(hit, pairs.worth[chunk[found]] - removals.loss[open_ones], -np.inf)
        top = int(gains.argmax())
        if gains[top] > gain:
            gain = float(gains[top])
            best = (int(open_ones[top]), int(chunk[found[top]]))
        open_ones = open_ones[~hit]
    return best
