"""Utilization of a node: the share of what it can give that its pods have requested. Cluster Autoscaler's
definition: the larger of CPU and memory, or on a node with GPUs the GPUs alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.planning.scale_down.drain_rules import long_terminating
from springtide.scheduling.arrays import IntArray

GPU_RESOURCES: Final = (
    "nvidia.com/gpu",
    "amd.com/gpu",
    "habana.ai/gaudi",
    "gpu.intel.com/xe",
    "microsoft.com/directx",
)
"""Extended resources that are GPUs, in Cluster Autoscaler's order."""
GPU_LABELS: Final = (
    "k8s.amazonaws.com/accelerator",
    "cloud.google.com/gke-accelerator",
    "cluster-api/accelerator",
)
"""Labels that mark a GPU node whose device plugin may not have reported yet."""
_LARGEST_EXACT: Final = 2**52
"""Below this every amount is a float64, and nothing was cut off when requests were counted."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Pods that do not count; what they request is taken from the denominator too."""

    daemon_pods: bool = False
    mirror_pods: bool = False


@dataclass(frozen=True, slots=True)
class Utilization:
    """`value` is the deciding resource's share. Not bounded to 0..1: with pods left out the denominator may
    even become zero or negative, and the value infinite or not a number."""

    resource: str
    value: float
    cpu: float = 0.0
    memory: float = 0.0
    gpu: float = 0.0

    @property
    def is_gpu(self) -> bool:
        return self.resource not in ("cpu", "memory")


def utilization(
    node: NodeRecord,
    pods: Iterable[PodRecord],
    *,
    now: datetime,
    left_out: LeftOut = LeftOut(),
    gpu_labels: tuple[str, ...] = GPU_LABELS,
) -> Utilization | None:
    """The node's utilization; None when it has no allocatable CPU or memory to divide by."""
    counting, aside = _sorted_out(pods, now=now, left_out=left_out)
    gpu = gpu_resource(node, gpu_labels=gpu_labels)
    if gpu is not None:
        share = _share(node, gpu, counting, aside) if node.allocatable.get(gpu) else 0.0
        return Utilization(resource=gpu, value=share, gpu=share)
    if not node.allocatable.get("cpu") or not node.allocatable.get("memory"):
        return None
    cpu = _share(node, "cpu", counting, aside)
    memory = _share(node, "memory", counting, aside)
    return _larger(cpu, memory)


def utilizations(
    nodes: Sequence[NodeRecord], *, free_cpu: IntArray, free_memory: IntArray
) -> list[Utilization | None]:
    """The utilization of many nodes at once, from what their pods leave free of each; every pod counts.

    None: not to be had that way, for GPUs or fractions of huge amounts would decide; ask `utilization`.
    """
    cpu, cpu_share = _shares(nodes, "cpu", free_cpu)
    memory, memory_share = _shares(nodes, "memory", free_memory)
    exact = cpu & memory
    return [
        _larger(cpu_used, memory_used) if is_exact and gpu_resource(node) is None else None
        for node, is_exact, cpu_used, memory_used in zip(
            nodes, exact.tolist(), cpu_share.tolist(), memory_share.tolist(), strict=True
        )
    ]


def gpu_resource(node: NodeRecord, *, gpu_labels: tuple[str, ...] = GPU_LABELS) -> str | None:
    """The GPU resource of the node, if it is a GPU node: it has some, or a label says that it will."""
    for resource in GPU_RESOURCES:
        if node.capacity.get(resource) or node.allocatable.get(resource):
            return resource
    return GPU_RESOURCES[0] if any(label in node.labels for label in gpu_labels) else None


def _larger(cpu: float, memory: float) -> Utilization:
    # A tie says memory, and so does a comparison with "not a number": as in Cluster Autoscaler.
    resource, value = ("cpu", cpu) if cpu > memory else ("memory", memory)
    return Utilization(resource=resource, value=value, cpu=cpu, memory=memory)


def _shares(
    nodes: Sequence[NodeRecord], resource: str, free: IntArray
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(whether the share is exact, the share requested)."""
    amounts = [node.allocatable.get(resource, 0) for node in nodes]
    allocatable = np.array([min(amount, _LARGEST_EXACT) for amount in amounts], dtype=np.int64)
    requested = allocatable - free
    exact = (allocatable > 0) & (allocatable < _LARGEST_EXACT) & (requested < _LARGEST_EXACT)
    return exact, requested / np.maximum(allocatable, 1)


def _sorted_out(
    pods: Iterable[PodRecord], *, now: datetime, left_out: LeftOut
) -> tuple[list[PodRecord], list[PodRecord]]:
    """(pods that count, pods set aside). Pods that should be long gone are neither, unless set aside."""
    counting: list[PodRecord] = []
    aside: list[PodRecord] = []
    for pod in pods:
        if (left_out.daemon_pods and pod.is_daemon) or (left_out.mirror_pods and pod.is_mirror):
            aside.append(pod)
        elif pod.deletion_timestamp is None or not long_terminating(pod, now=now):
            counting.append(pod)
    return counting, aside


def _share(node: NodeRecord, resource: str, counting: list[PodRecord], aside: list[PodRecord]) -> float:
    requested = sum(pod.shape.requests.get(resource, 0) for pod in counting)
    available = node.allocatable[resource] - sum(pod.shape.requests.get(resource, 0) for pod in aside)
    if available == 0:
        return math.nan if requested == 0 else math.inf
    return requested / available
