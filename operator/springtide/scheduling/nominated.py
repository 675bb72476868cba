"""Verdicts in the presence of nominated pods: those for which the scheduler is making room by preemption.

As RunFilterPluginsWithNominatedPods of kube-scheduler: a node must pass with the nominated pods on it whose priority is
at least the pod's, for they will take their room first, and without them, for they may never come. Only the pods
nominated to the node that is being judged count, wherever else others are nominated; and their anti-affinity only if
InterPodAffinity had something to judge without them (the scheduler skips the plugin for good otherwise).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.filters import inter_pod_affinity
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin

Nominated = Mapping[int, Sequence[PodShape]]
"""Shapes of the pods nominated to a node, by its index."""


def misfit_beside_nominated(
    simulation: Simulation, shape: PodShape, index: int, nominated: Nominated
) -> Misfit | None:
    """Why a pod of the shape does not fit the node, with or without the pods nominated to it; None if it fits."""
    return _crowded_out(simulation, shape, index, nominated) or simulation.misfit(shape, index)


def feasible_beside_nominated(simulation: Simulation, shape: PodShape, nominated: Nominated) -> BoolArray:
    """(size,) Which nodes take one more pod of the shape, whether the pods nominated to them come or not."""
    fits = simulation.feasible(shape)
    for index in nominated:
        if fits[index]:
            fits[index] = _crowded_out(simulation, shape, index, nominated) is None
    return fits


def _crowded_out(simulation: Simulation, shape: PodShape, index: int, nominated: Nominated) -> Misfit | None:
    ahead = [other for other in nominated.get(index, ()) if other.priority >= shape.priority]
    if not ahead:
        return None
    crowded = simulation.fork()
    for other in ahead:
        crowded.place_on(other, index)
    misfit = crowded.misfit(shape, index)
    if misfit is not None and misfit.plugin is Plugin.INTER_POD_AFFINITY:
        return None if inter_pod_affinity.is_skipped(shape, simulation.state) else misfit
    return misfit
