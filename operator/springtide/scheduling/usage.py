"""What is left of nodes after the pods counted on them; the only part of a simulation that changes."""

from __future__ import annotations

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.ports import PortUse
from springtide.scheduling.resources import ResourceAxis


class Usage:
    """Free resources, host ports, and who repels others, per node; copied on the first write after a fork."""

    __slots__ = ("_free", "_ports", "_repelling", "_shared", "_withdrawn", "axis")

    def __init__(
        self, *, axis: ResourceAxis, free: IntArray, repelling: IntArray, withdrawn: BoolArray, ports: PortUse
    ) -> None:
        self.axis = axis
        self._free = free
        self._repelling = repelling
        self._withdrawn = withdrawn
        self._ports = ports
        self._shared = False

    def fork(self) -> Usage:
        """The same numbers, from now on independent: whoever writes first, of the two, copies."""
        twin = Usage(
            axis=self.axis,
            free=self._free,
            repelling=self._repelling,
            withdrawn=self._withdrawn,
            ports=self._ports,
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
            repelling=np.concatenate((self._repelling, np.zeros(count, dtype=np.int64))),
            withdrawn=np.concatenate((self._withdrawn, np.zeros(count, dtype=np.bool_))),
            ports=self._ports.copy(),
        )

    @property
    def ports(self) -> PortUse:
        """Read only: writes go through take and release."""
        return self._ports

    @property
    def withdrawn(self) -> BoolArray:
        """Which nodes take no more pods; read only."""
        return self._withdrawn

    @property
    def repelling(self) -> IntArray:
        """How many pods on each node may keep others away; read only."""
        return self._repelling

    def free(self, row: int) -> IntArray:
        """What is free of one resource on every node; negative where overcommitted. Read only."""
        self._widen(row + 1)
        free: IntArray = self._free[row]
        return free

    def take(self, shape: PodShape, indices: IntArray, counts: IntArray) -> None:
        """`counts` pods of the shape are now on the nodes `indices` (each index once)."""
        self._own()
        for row, amount in self.axis.demand(shape):
            self._widen(row + 1)
            self._free[row, indices] -= amount * counts
        if shape.repels_others:
            self._repelling[indices] += counts
        if shape.host_ports:
            self._ports.take(shape.host_ports, np.repeat(indices, counts))

    def release(self, shape: PodShape, index: int, count: int) -> None:
        """`count` pods of the shape have left the node."""
        self._own()
        for row, amount in self.axis.demand(shape):
            self._widen(row + 1)
            self._free[row, index] += amount * count
        if shape.repels_others:
            self._repelling[index] -= count
        if shape.host_ports:
            self._ports.release(shape.host_ports, index, count)

    def withdraw(self, index: int) -> None:
        self._own()
        self._withdrawn[index] = True

    def _own(self) -> None:
        if self._shared:
            self._free = self._free.copy()
            self._repelling = self._repelling.copy()
            self._withdrawn = self._withdrawn.copy()
            self._ports = self._ports.copy()
            self._shared = False

    def _widen(self, rows: int) -> None:
        """Room for resources first seen after the nodes were: no node has any of them."""
        missing = rows - self._free.shape[0]
        if missing > 0:
            empty = np.zeros((missing, self._free.shape[1]), dtype=np.int64)
            self._free = np.concatenate((self._free, empty))
