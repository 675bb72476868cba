"""Recorded clusters as simulations: the one place where a case's objects become what scheduling reads."""

from __future__ import annotations

from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.cluster.records import PodRecord
from springtide.scheduling.simulation import Simulation
from tests.conformance.corpus import Case


def pods_of(case: Case, key: str) -> list[PodRecord]:
    """The pods under this key; none if the case has no such key."""
    return [pod_from_manifest(manifest) for manifest in case.get(key, ())]


def simulation_of(case: Case) -> Simulation:
    """The case's nodes with its running pods."""
    by_node: dict[str, list[PodRecord]] = {}
    for pod in pods_of(case, "pods"):
        by_node.setdefault(pod.node_name, []).append(pod)
    return Simulation.of([node_from_manifest(manifest) for manifest in case["nodes"]], by_node)
