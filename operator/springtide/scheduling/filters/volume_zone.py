"""VolumeZone: zone and region labels of bound volumes agree with the node's.

A node without any such label passes: that is a cluster of one zone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, PodShape
from springtide.cluster.volumes.needs import ZoneRequirement
from springtide.cluster.zone_labels import TODAYS_LABELS, ZONE_AND_REGION_LABELS
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if shape.volumes is None or not shape.volumes.zones:
        return None
    fits = np.ones(len(state.nodes), dtype=np.bool_)
    for zone in shape.volumes.zones:
        fits &= _agrees(zone, state.nodes)
    return fits


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    assert shape.volumes is not None
    misfits: dict[Misfit, int] = {}
    left = rejected
    for zone in shape.volumes.zones:
        agrees = _agrees(zone, state.nodes)[left]
        if not agrees.all():
            misfit = Misfit(Plugin.VOLUME_ZONE, subject=f"{zone.key} in ({', '.join(zone.values)})")
            misfits[misfit] = int(np.count_nonzero(~agrees))
        left = left[agrees]
    return misfits


def _agrees(zone: ZoneRequirement, nodes: NodeTable) -> BoolArray:
    return nodes.remembered((Plugin.VOLUME_ZONE, zone), lambda: _judge(zone, nodes))


def _judge(zone: ZoneRequirement, nodes: NodeTable) -> BoolArray:
    anywhere = np.ones(len(nodes), dtype=np.bool_)
    for key in ZONE_AND_REGION_LABELS:
        anywhere &= nodes.column(key).satisfies(
            NodeRequirement(key=key, operator=NodeSelectorOperator.DOES_NOT_EXIST)
        )
    agrees = anywhere | _has(zone.key, zone.values, nodes)
    today = TODAYS_LABELS.get(zone.key)
    if today is not None:
        old = nodes.column(zone.key).satisfies(
            NodeRequirement(key=zone.key, operator=NodeSelectorOperator.EXISTS)
        )
        agrees |= ~old & _has(today, zone.values, nodes)
    return agrees


def _has(key: str, values: tuple[str, ...], nodes: NodeTable) -> BoolArray:
    return nodes.column(key).satisfies(
        NodeRequirement(key=key, operator=NodeSelectorOperator.IN, values=values)
    )


FILTER = Filter(plugin=Plugin.VOLUME_ZONE, mask=mask, explain=explain)
