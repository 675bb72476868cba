"""NodeUnschedulable: a cordoned node takes only pods that tolerate being unschedulable."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.records import Taint, TaintEffect
from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.filters.taint_toleration import tolerates
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin

UNSCHEDULABLE_TAINT = Taint(key="node.kubernetes.io/unschedulable", value="", effect=TaintEffect.NO_SCHEDULE)
"""Tolerating it admits to a cordoned node, whether or not the node controller has set the taint yet."""


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not state.nodes.any_unschedulable:
        return None
    if any(tolerates(toleration, UNSCHEDULABLE_TAINT) for toleration in shape.tolerations):
        return None
    return ~state.nodes.unschedulable


def explain(_shape: PodShape, _state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    return {Misfit(plugin=Plugin.NODE_UNSCHEDULABLE): len(rejected)}


FILTER = Filter(plugin=Plugin.NODE_UNSCHEDULABLE, mask=mask, explain=explain)
