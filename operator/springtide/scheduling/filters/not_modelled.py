"""NotModelled: a pod with a hard constraint that is not simulated fits nowhere, so that nothing is bought for
it.

It stands last: where one of kube-scheduler's own filters rejects, that is what users need to know.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    return np.zeros(len(state.nodes), dtype=np.bool_) if shape.unmodelled else None


def explain(shape: PodShape, _state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    subject = ", ".join(constraint.value for constraint in shape.unmodelled)
    return {Misfit(plugin=Plugin.NOT_MODELLED, subject=subject): len(rejected)}


FILTER = Filter(plugin=Plugin.NOT_MODELLED, mask=mask, explain=explain)
