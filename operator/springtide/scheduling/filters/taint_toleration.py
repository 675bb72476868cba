"""TaintToleration: every NoSchedule and NoExecute taint of the node must be tolerated; PreferNoSchedule never
filters.

Judged once per distinct set of taints, of which a cluster has few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from springtide.cluster.records import Taint, TaintEffect
from springtide.cluster.shape import PodShape, Toleration
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin

_FILTERING = (TaintEffect.NO_SCHEDULE, TaintEffect.NO_EXECUTE)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """As v1helper.ToleratesTaint: an empty effect, or an empty key, stands for every one."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "" | "Equal":
            return toleration.value == taint.value
        case _:  # Gt and Lt are alpha, and off, in 1.36
            return False


def first_untolerated(taints: Iterable[Taint], tolerations: tuple[Toleration, ...]) -> Taint | None:
    """The first taint, in the node's order, that keeps a pod with these tolerations away."""
    return next(untolerated(taints, tolerations), None)


def untolerated(taints: Iterable[Taint], tolerations: tuple[Toleration, ...]) -> Iterator[Taint]:
    """The taints, in the node's order, that keep a pod with these tolerations away."""
    for taint in taints:
        if taint.effect in _FILTERING and not any(tolerates(t, taint) for t in tolerations):
            yield taint


def mask(shape: PodShape, state: State) -> BoolArray | None:
    nodes = state.nodes
    if not any(nodes.taint_sets):
        return None

    def judge() -> BoolArray:
        by_set = [first_untolerated(taints, shape.tolerations) is None for taints in nodes.taint_sets]
        tolerated: BoolArray = np.array(by_set, dtype=np.bool_)[nodes.taint_codes]
        return tolerated

    return nodes.remembered((Plugin.TAINT_TOLERATION, shape.tolerations), judge)


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    by_set = np.bincount(state.nodes.taint_codes[rejected], minlength=len(state.nodes.taint_sets))
    misfits: dict[Misfit, int] = {}
    for code in np.flatnonzero(by_set):
        taint = first_untolerated(state.nodes.taint_sets[code], shape.tolerations)
        if taint is not None:
            misfit = Misfit(plugin=Plugin.TAINT_TOLERATION, subject=taint_text(taint))
            misfits[misfit] = misfits.get(misfit, 0) + int(by_set[code])
    return misfits


def taint_text(taint: Taint) -> str:
    """As kubectl writes taints: key=value:Effect, or key:Effect without a value."""
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect.value}"


def objections(shape: PodShape, state: State, index: int) -> tuple[Misfit, ...]:
    """Every taint of the node that the pod does not tolerate."""
    taints = state.nodes.taint_sets[state.nodes.taint_codes[index]]
    return tuple(
        Misfit(plugin=Plugin.TAINT_TOLERATION, subject=taint_text(taint))
        for taint in untolerated(taints, shape.tolerations)
    )


FILTER = Filter(plugin=Plugin.TAINT_TOLERATION, mask=mask, explain=explain, objections=objections)
