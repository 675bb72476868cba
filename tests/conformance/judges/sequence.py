"""Sequence: pods that come one after the other, each to the first node that takes it, stand where kube-scheduler's
filters let them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.scheduling.simulation import Simulation
from tests.conformance.corpus import Case
from tests.conformance.judges.clusters import pods_of, simulation_of


def judge(case: Case) -> Mapping[str, str]:
    """One line: the case is right when every pod stands where it was recorded to."""
    simulation = simulation_of(case)
    for pod, place in zip(pods_of(case, "pendingPods"), case["placements"], strict=True):
        ours = first_fit(simulation, pod)
        if ours != place:
            return {"sequence": f"{pod.key} goes to {ours or 'no node'}, recorded {place or 'no node'}"}
        if place is not None:
            simulation.place_on(pod.shape, simulation.index(place))
    return {"sequence": ""}


def first_fit(simulation: Simulation, pod: PodRecord) -> str | None:
    """The first node that takes the pod."""
    fitting = np.flatnonzero(simulation.feasible(pod.shape))
    return None if pod.gated or not len(fitting) else simulation.name(int(fitting[0]))
