"""Recorded clusters as simulations: the one place where a case's objects become what scheduling reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from springtide.cluster.manifests import (
    add_storage,
    node_from_manifest,
    pod_from_manifest,
    with_limits,
    with_volumes,
)
from springtide.cluster.records import PodRecord
from springtide.cluster.volumes.objects import VolumeObjects
from springtide.scheduling.simulation import Simulation
from tests.conformance.corpus import Case

_STORAGE: Final = (
    "persistentVolumes",
    "persistentVolumeClaims",
    "storageClasses",
    "csiNodes",
    "csiDrivers",
    "csiStorageCapacities",
)
_PODS: Final = ("pods", "pendingPods", "nominatedPods")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a case is about."""

    simulation: Simulation
    """Its nodes with its running pods."""
    pods: Mapping[str, Sequence[PodRecord]]
    """By the case's key."""
    pod: PodRecord | None
    """The pending pod, where there is one."""


def cluster_of(case: Case) -> Cluster:
    """The case's objects. Its pods are seen together: volumes that several of them use are shared."""
    objects = VolumeObjects()
    for key in _STORAGE:
        for manifest in case.get(key, ()):
            add_storage(objects, manifest)
    alone = [pod_from_manifest(case["pod"])] if "pod" in case else []
    groups = {key: [pod_from_manifest(manifest) for manifest in case.get(key, ())] for key in _PODS}
    resolved = iter(with_volumes([*alone, *(pod for pods in groups.values() for pod in pods)], objects))
    pod = next(resolved) if alone else None
    pods = {key: [next(resolved) for _ in group] for key, group in groups.items()}
    by_node: dict[str, list[PodRecord]] = {}
    for each in pods["pods"]:
        by_node.setdefault(each.node_name, []).append(each)
    nodes = with_limits((node_from_manifest(manifest) for manifest in case["nodes"]), objects)
    namespaces = {
        each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in case.get("namespaces", ())
    }
    return Cluster(simulation=Simulation.of(nodes, by_node, namespaces), pods=pods, pod=pod)


def pods_of(case: Case, key: str) -> Sequence[PodRecord]:
    """The pods under this key; none if the case has no such key."""
    return cluster_of(case).pods[key]


def simulation_of(case: Case) -> Simulation:
    """The case's nodes with its running pods."""
    return cluster_of(case).simulation
