"""The pods already on nodes, counted into arrays: one walk over the pods, everything else per shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.ports import PortUse
from springtide.scheduling.resources import ResourceAxis, saturated
from springtide.scheduling.usage import Usage

_FINISHED = (PodPhase.SUCCEEDED, PodPhase.FAILED)


def usage_of(nodes: Sequence[NodeRecord], pods_by_node: Mapping[str, Sequence[PodRecord]]) -> Usage:
    """What is left of the nodes. Finished pods do not count (kube-scheduler never sees them), terminating ones do."""
    axis = ResourceAxis()
    free = allocatable_matrix([node.allocatable for node in nodes], axis)
    shapes, pods = _residents(nodes, pods_by_node)
    free = _minus_requests(free, shapes, pods, axis)
    node_of_pod = np.repeat(np.arange(len(nodes)), np.diff(pods.bounds))
    ports = PortUse()
    for number, shape in enumerate(shapes):
        if shape.host_ports:
            ports.take(shape.host_ports, node_of_pod[pods.shapes == number])
    repels = np.fromiter((shape.repels_others for shape in shapes), dtype=np.bool_, count=len(shapes))
    return Usage(
        axis=axis,
        free=free,
        repelling=pods.sums(repels.astype(np.int64)),
        withdrawn=np.zeros(len(nodes), dtype=np.bool_),
        ports=ports,
    )


def allocatable_matrix(allocatable: Sequence[Mapping[str, int]], axis: ResourceAxis) -> IntArray:
    """(resources, nodes), with a row for every resource that any node has."""
    for name in sorted({name for amounts in allocatable for name in amounts}):
        axis.row(name)
    rows = [[saturated(amounts.get(name, 0)) for amounts in allocatable] for name in axis.names()]
    return np.array(rows, dtype=np.int64).reshape(len(axis), len(allocatable))


class _Residents:
    """Pods in the order of their nodes: `shapes[bounds[i]:bounds[i + 1]]` are the shape numbers on node i."""

    __slots__ = ("bounds", "shapes")

    def __init__(self, shapes: IntArray, bounds: IntArray) -> None:
        self.shapes = shapes
        self.bounds = bounds

    def sums(self, by_shape: IntArray) -> IntArray:
        """Per node, the sum over its pods of a number that each shape has."""
        running = np.concatenate(([0], np.cumsum(by_shape[self.shapes])))
        sums: IntArray = np.diff(running[self.bounds])
        return sums


def _residents(
    nodes: Sequence[NodeRecord], pods_by_node: Mapping[str, Sequence[PodRecord]]
) -> tuple[list[PodShape], _Residents]:
    numbers: dict[PodShape, int] = {}
    per_node = [
        [
            numbers.setdefault(pod.shape, len(numbers))
            for pod in pods_by_node.get(node.name, ())
            if pod.phase not in _FINISHED
        ]
        for node in nodes
    ]
    bounds = np.zeros(len(nodes) + 1, dtype=np.int64)
    np.cumsum([len(pods) for pods in per_node], out=bounds[1:])
    shapes = np.fromiter(chain.from_iterable(per_node), dtype=np.int64, count=int(bounds[-1]))
    return list(numbers), _Residents(shapes, bounds)


def _minus_requests(
    allocatable: IntArray, shapes: list[PodShape], pods: _Residents, axis: ResourceAxis
) -> IntArray:
    demands = [axis.demand(shape) for shape in shapes]
    free = np.zeros((len(axis), allocatable.shape[1]), dtype=np.int64)
    free[: len(allocatable)] = allocatable
    by_shape = np.zeros((len(axis), len(shapes)), dtype=np.int64)
    for number, demand in enumerate(demands):
        for row, amount in demand:
            by_shape[row, number] = amount
    for row, amounts in enumerate(by_shape):
        if amounts.any():
            free[row] -= pods.sums(amounts)
    return free
