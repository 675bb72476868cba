"""NodeName: a pod that names its node goes there or nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not shape.required_node_name:
        return None
    return state.nodes.named((shape.required_node_name,))


def explain(shape: PodShape, _state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    return {Misfit(plugin=Plugin.NODE_NAME, subject=shape.required_node_name): len(rejected)}


FILTER = Filter(plugin=Plugin.NODE_NAME, mask=mask, explain=explain)
