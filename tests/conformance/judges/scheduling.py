"""Scheduling: the verdict on every node, and the plugin that is the first to reject it, equal kube-scheduler's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from springtide.cluster.shape import PodShape
from springtide.scheduling.nominated import misfit_beside_nominated
from springtide.scheduling.verdict import Misfit, Plugin
from tests.conformance.corpus import Case
from tests.conformance.judges.clusters import cluster_of

SCHEDULING_GATES: Final = "SchedulingGates"
"""The scheduler's plugin for pods that are held back: they do not even come to its queue, so no filter is asked."""


def judge(case: Case) -> Mapping[str, str]:
    """One line: the case is right when all its nodes are."""
    ours = verdicts(case)
    differences = [
        f"{result['node']}: {shown(misfit)}, the scheduler says {recorded(result)}"
        for result, misfit in zip(case["results"], ours, strict=True)
        if differs(result, misfit)
    ]
    more = f" (and {len(differences) - 1} more nodes)" if len(differences) > 1 else ""
    return {"scheduling": differences[0] + more if differences else ""}


def verdicts(case: Case) -> list[str | Misfit | None]:
    """For each node: why the pod does not fit, a plugin's name or with numbers; None: it does."""
    cluster = cluster_of(case)
    pod, simulation = cluster.pod, cluster.simulation
    assert pod is not None, "a case of scheduling has a pending pod"
    if pod.gated:
        return [SCHEDULING_GATES for _ in case["nodes"]]
    nominated: dict[int, list[PodShape]] = {}
    for other in cluster.pods["nominatedPods"]:
        nominated.setdefault(simulation.index(other.nominated_node_name), []).append(other.shape)
    return [
        misfit_beside_nominated(simulation, pod.shape, index, nominated) for index in range(simulation.size)
    ]


def differs(result: Mapping[str, Any], misfit: str | Misfit | None) -> bool:
    """Whether this is not the recorded verdict, plugin or short resource."""
    if misfit is None or result["fit"]:
        return bool(result["fit"]) != (misfit is None)
    if isinstance(misfit, str):
        return bool(misfit != result["plugin"])
    return bool(misfit.plugin.value != result["plugin"]) or not _explains(misfit, result["reasons"])


def _explains(misfit: Misfit, reasons: Sequence[str]) -> bool:
    """Whether the resource we name is among those the scheduler calls short."""
    if misfit.plugin is not Plugin.NODE_RESOURCES_FIT:
        return True
    return ("Too many pods" if misfit.subject == "pods" else f"Insufficient {misfit.subject}") in reasons


def shown(misfit: str | Misfit | None) -> str:
    """Our verdict, in short."""
    if misfit is None:
        return "it fits"
    return misfit if isinstance(misfit, str) else f"{misfit.plugin.value} ({misfit.subject})"


def recorded(result: Mapping[str, Any]) -> str:
    """The scheduler's verdict, in short."""
    return "it fits" if result["fit"] else f"{result['plugin']} ({'; '.join(result['reasons'])})"
