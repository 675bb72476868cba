"""What is left of nodes after the pods counted on them; the only part of a simulation that changes."""

from __future__ import annotations

import numpy as np

from springtide.cluster.volumes.needs import VolumeNeeds
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.ports import PortUse
from springtide.scheduling.nodes.resources import ResourceAxis
from springtide.scheduling.nodes.volumes import VolumeUse
from springtide.scheduling.relations.tallies import PodKind, Tallies


class Usage:
    """Free resources, host ports, volumes and counted pods, per node; copied on the first write after a fork."""

    __slots__ = ("_free", "_ports", "_shared", "_volumes", "_withdrawn", "axis", "tallies")

    def __init__(
        self,
        *,
        axis: ResourceAxis,
        free: IntArray,
        withdrawn: BoolArray,
        ports: PortUse,
        volumes: VolumeUse,
        tallies: Tallies,
    ) -> None:
        self.axis = axis
        self.tallies = tallies
        """Who stands where. Read only: writes go through take, release and vanish."""
        self._free = free
        self._withdrawn = withdrawn
        self._ports = ports
        self._volumes = volumes
        self._shared = False

    def fork(self) -> Usage:
        """The same numbers, from now on independent: whoever writes first, of the two, copies."""
        twin = Usage(
            axis=self.axis,
            free=self._free,
            withdrawn=self._withdrawn,
            ports=self._ports,
            volumes=self._volumes,
            tallies=self.tallies.fork(),
        )
        twin._shared = self._shared = True
        return twin

    def extended(self, free: IntArray) -> Usage:
        """With further nodes at the end; `free` is (resources, new nodes). Always a copy."""
        self._widen(len(self.axis))
        count = free.shape[1]
        return Usage(
            axis=self.axis,
            free=np.concatenate((self._free, free), axis=1),
            withdrawn=np.concatenate((self._withdrawn, np.zeros(count, dtype=np.bool_))),
            ports=self._ports.copy(),
            volumes=self._volumes.copy(),
            tallies=self.tallies.extended(len(self._withdrawn) + count),
        )

    @property
    def ports(self) -> PortUse:
        """Read only: writes go through take and release."""
        return self._ports

    @property
    def volumes(self) -> VolumeUse:
        """Read only: writes go through take, release and promise."""
        return self._volumes

    @property
    def withdrawn(self) -> BoolArray:
        """Which nodes take no more pods; read only."""
        return self._withdrawn

    def free(self, row: int) -> IntArray:
        """What is free of one resource on every node; negative where overcommitted. Read only."""
        self._widen(row + 1)
        free: IntArray = self._free[row]
        return free

    def take(self, kind: PodKind, indices: IntArray, counts: IntArray) -> None:
        """`counts` pods of the kind are now on the nodes `indices` (each index once)."""
        self._own()
        shape = kind.shape
        for row, amount in self.axis.demand(shape):
            self._widen(row + 1)
            self._free[row, indices] -= amount * counts
        if shape.host_ports:
            self._ports.take(shape.host_ports, np.repeat(indices, counts))
        if shape.volumes is not None:
            for row, nodes in self._volumes.newly_attached(shape.volumes, indices, self.axis):
                self._widen(row + 1)
                self._free[row, nodes] -= 1
            self._volumes.take(shape.volumes, np.repeat(indices, counts))
        self.tallies.add(kind, indices, counts)

    def release(self, kind: PodKind, index: int, count: int) -> None:
        """`count` pods of the kind have left the node."""
        self._own()
        shape = kind.shape
        for row, amount in self.axis.demand(shape):
            self._widen(row + 1)
            self._free[row, index] += amount * count
        if shape.host_ports:
            self._ports.release(shape.host_ports, index, count)
        if shape.volumes is not None:
            self._volumes.release(shape.volumes, index, count)
            for row in self._volumes.detached(shape.volumes, index, self.axis):
                self._widen(row + 1)
                self._free[row, index] += 1
        self.tallies.add(kind, np.array([index]), np.array([-count]))

    def promise(self, needs: VolumeNeeds, nodes: NodeTable, index: int) -> None:
        """Bind the claims of a pod that is being placed on the node to the volumes that they get there."""
        self._own()
        self._volumes.promise(needs, nodes, index)

    def withdraw(self, index: int) -> None:
        self._own()
        self._withdrawn[index] = True

    def vanish(self, index: int) -> None:
        self.withdraw(index)
        self.tallies.vanish(index)

    def _own(self) -> None:
        if self._shared:
            self._free = self._free.copy()
            self._withdrawn = self._withdrawn.copy()
            self._ports = self._ports.copy()
            self._volumes = self._volumes.copy()
            self._shared = False

    def _widen(self, rows: int) -> None:
        """Room for resources first seen after the nodes were: no node says anything about them."""
        known, nodes = self._free.shape
        if rows > known:
            absent = np.array(self.axis.all_absent()[known:rows], dtype=np.int64)
            self._free = np.concatenate((self._free, np.repeat(absent[:, np.newaxis], nodes, axis=1)))
