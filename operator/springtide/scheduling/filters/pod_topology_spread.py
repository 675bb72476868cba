"""PodTopologySpread: no domain may have more of the selected pods than the one with the fewest plus the skew."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import UNLIMITED, Filter
from springtide.scheduling.nodes.labels import ABSENT
from springtide.scheduling.relations.selector_text import selector_text
from springtide.scheduling.relations.spreading import Standing, standings
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin, PodRule


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not shape.spread:
        return None
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for standing in standings(shape, state):
        fits &= _open(standing)[standing.domains.codes]
    return fits


def limit(shape: PodShape, state: State) -> IntArray | None:
    if not shape.spread:
        return None
    room = np.full(len(state.nodes), UNLIMITED)
    for standing in standings(shape, state):
        by_domain = standing.quotas if standing.asked.counts_itself else _open(standing) * UNLIMITED
        by_domain[ABSENT] = 0
        np.minimum(room, by_domain[standing.domains.codes], out=room)
    return room


def lasting(shape: PodShape, state: State) -> BoolArray | None:
    """Which nodes may become open as further pods of the shape are placed; None = all."""
    if not shape.spread:
        return None
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for standing in standings(shape, state):
        codes = standing.domains.codes
        fits &= codes != ABSENT if standing.asked.counts_itself else _open(standing)[codes]
    return fits


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first constraint that they break: without its key; then by too large a skew, telling the least."""
    misfits: dict[Misfit, int] = {}
    left = rejected
    for standing in standings(shape, state):
        codes = standing.domains.codes[left]
        lacking = codes == ABSENT
        if lacking.any():
            misfits[_misfit(standing, PodRule.NO_TOPOLOGY)] = int(np.count_nonzero(lacking))
        skewed = ~lacking & ~_open(standing)[codes]
        if skewed.any():
            misfits[_skew(state, standing, left[skewed])] = int(np.count_nonzero(skewed))
        left = left[~lacking & ~skewed]
    return misfits


def _open(standing: Standing) -> BoolArray:
    """(domains,) Which take one more pod."""
    fits: BoolArray = standing.skews <= standing.constraint.max_skew
    fits[ABSENT] = False
    return fits


def _misfit(standing: Standing, rule: PodRule) -> Misfit:
    return Misfit(
        plugin=Plugin.POD_TOPOLOGY_SPREAD,
        rule=rule,
        subject=selector_text(standing.constraint.selector),
        topology_key=standing.constraint.topology_key,
    )


def _skew(state: State, standing: Standing, indices: IntArray) -> Misfit:
    codes = standing.domains.codes[indices]
    fewest = int(standing.domains.counts[codes].argmin())
    code, index = int(codes[fewest]), int(indices[fewest])
    key = standing.constraint.topology_key
    return Misfit(
        plugin=Plugin.POD_TOPOLOGY_SPREAD,
        rule=PodRule.SKEW,
        subject=selector_text(standing.constraint.selector),
        topology_key=key,
        domain=state.nodes.column(key).value(index),
        matching=int(standing.domains.counts[code]),
        minimum=standing.minimum,
        skew=int(standing.skews[code]),
        max_skew=standing.constraint.max_skew,
    )


FILTER = Filter(plugin=Plugin.POD_TOPOLOGY_SPREAD, mask=mask, explain=explain, limit=limit)
