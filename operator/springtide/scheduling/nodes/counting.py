"""The pods already on nodes, counted into arrays: everything per shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.nodes.ports import PortUse
from springtide.scheduling.nodes.residents import Residents
from springtide.scheduling.nodes.resources import NO_LIMIT, ResourceAxis, saturated
from springtide.scheduling.nodes.roll import Roll
from springtide.scheduling.nodes.usage import Usage
from springtide.scheduling.nodes.volumes import VolumeUse
from springtide.scheduling.relations.question_book import QuestionBook
from springtide.scheduling.relations.questions import Namespaces
from springtide.scheduling.relations.tallies import Tallies


def usage_of(
    nodes: Sequence[NodeRecord],
    pods_by_node: Mapping[str, Sequence[PodRecord]],
    namespaces: Namespaces,
    roll: Roll | None = None,
) -> Usage:
    """What is left of the nodes. Finished pods do not count (kube-scheduler never sees them), terminating ones do."""
    axis = ResourceAxis()
    residents = Residents(nodes, pods_by_node, roll)
    free = free_matrix([(node.allocatable, node.volume_limits) for node in nodes], axis)
    free = _minus_requests(free, residents, axis)
    ports, volumes = PortUse(), VolumeUse()
    for shape in residents.numbers:
        if shape.host_ports:
            ports.take(shape.host_ports, residents.nodes_of(shape))
        if shape.volumes is not None:
            where = residents.nodes_of(shape)
            for row, indices in volumes.newly_attached(shape.volumes, where, axis):
                free[row, indices] -= 1
            volumes.take(shape.volumes, where)
    return Usage(
        axis=axis,
        free=free,
        withdrawn=np.zeros(len(nodes), dtype=np.bool_),
        ports=ports,
        volumes=volumes,
        tallies=Tallies(residents, QuestionBook(namespaces, residents.numbers)),
    )


Offer = tuple[Mapping[str, int], Mapping[str, int]]
"""(allocatable, volume limits) of an empty node."""


def free_matrix(offers: Sequence[Offer], axis: ResourceAxis) -> IntArray:
    """(resources, nodes) of empty nodes, with a row for every resource that any node has, and every limited driver."""
    for name in sorted({name for allocatable, _ in offers for name in allocatable}):
        axis.row(name)
    for driver in sorted({driver for _, limits in offers for driver in limits}):
        axis.volumes_row(driver)
    matrix = [
        [saturated(allocatable.get(name, 0)) for allocatable, _ in offers]
        if driver is None
        else [limits.get(driver, NO_LIMIT) for _, limits in offers]
        for name, driver in zip(axis.names(), axis.drivers, strict=True)
    ]
    return np.array(matrix, dtype=np.int64).reshape(len(axis), len(offers))


def _minus_requests(allocatable: IntArray, residents: Residents, axis: ResourceAxis) -> IntArray:
    demands = [axis.demand(shape) for shape in residents.numbers]
    absent = np.array(axis.all_absent()[len(allocatable) :], dtype=np.int64)
    free = np.concatenate((allocatable, np.repeat(absent[:, np.newaxis], allocatable.shape[1], axis=1)))
    by_shape = np.zeros((len(axis), len(demands)), dtype=np.int64)
    for number, demand in enumerate(demands):
        for row, amount in demand:
            by_shape[row, number] = amount
    for row, amounts in enumerate(by_shape):
        if amounts.any():
            free[row] -= residents.sums(amounts)
    return free
