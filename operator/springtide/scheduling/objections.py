"""Everything that stands between a pod and a node, not only the first filter's no: what users must change.

For nodes that are only being thought of, and stand alone: where other pods are is not asked.
"""

from __future__ import annotations

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.admission import BETWEEN_PODS
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit

_OF_THE_NODE = tuple(each for each in FILTERS if each.plugin not in BETWEEN_PODS)


def rejections(simulation: Simulation, shape: PodShape) -> IntArray:
    """(size,) How many filters reject each node, each asked alone."""
    counts = np.zeros(simulation.size, dtype=np.int64)
    for each in _OF_THE_NODE:
        mask = each.mask(shape, simulation.state)
        if mask is not None:
            counts += ~mask
    return counts


def objections(simulation: Simulation, shape: PodShape, index: int) -> tuple[Misfit, ...]:
    """All that keeps a pod of the shape off one node, in the filters' order; each is a change of its own."""
    found: dict[Misfit, None] = {}
    here = np.array([index])
    for each in _OF_THE_NODE:
        mask = each.mask(shape, simulation.state)
        if mask is None or mask[index]:
            continue
        if each.objections is not None:
            found.update(dict.fromkeys(each.objections(shape, simulation.state, index)))
        else:
            found.update(dict.fromkeys(each.explain(shape, simulation.state, here)))
    return tuple(found)
