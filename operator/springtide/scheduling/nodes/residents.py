"""The pods that are on nodes at the beginning, by shape: one walk over the pods, everything else per shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from springtide.cluster.records import NodeRecord, PodPhase, PodRecord
from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.nodes.roll import Roll

_FINISHED = (PodPhase.SUCCEEDED, PodPhase.FAILED)


class Residents:
    """Pods in the order of their nodes; never changes. Finished pods are left out, terminating ones are not.

    A pod's *kind* is twice the number of its shape, plus one if it is terminating.
    """

    def __init__(
        self,
        nodes: Sequence[NodeRecord],
        pods_by_node: Mapping[str, Sequence[PodRecord]],
        roll: Roll | None = None,
    ) -> None:
        """`roll`: what is known of the pods from the pass before; it changes nothing but the time this takes."""
        self._pods = [pods_by_node.get(node.name, ()) for node in nodes]
        told = (roll if roll is not None else Roll()).call(nodes, pods_by_node)
        self.numbers: dict[PodShape, int] = told.numbers
        """Shape -> its number, dense and in this order."""
        self.size = len(nodes)
        self._bounds = np.zeros(self.size + 1, dtype=np.int64)
        np.cumsum(told.counts, out=self._bounds[1:])
        self._kinds = told.kinds

    def sums(self, by_shape: IntArray) -> IntArray:
        """(size,) Per node, the sum over its pods of a number that each shape has."""
        running = np.concatenate(([0], np.cumsum(by_shape[self._kinds >> 1])))
        sums: IntArray = np.diff(running[self._bounds])
        return sums

    def nodes_of(self, shape: PodShape, *, terminating_too: bool = True) -> IntArray:
        """Indices of the nodes where pods of the shape are, once for every pod."""
        number = self.numbers.get(shape)
        if number is None:
            return np.zeros(0, dtype=np.int64)
        nodes, starts = self._by_kind
        return nodes[starts[2 * number] : starts[2 * number + 1 + terminating_too]]

    def where(self, shapes: Iterable[PodShape], *, terminating_too: bool) -> IntArray:
        """Indices of the nodes where pods of any of these shapes are, once for every pod."""
        parts = [self.nodes_of(shape, terminating_too=terminating_too) for shape in shapes]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def singly(self) -> Iterator[tuple[int, PodRecord]]:
        """(index of its node, pod): for the rare question that shapes cannot answer."""
        for index, pods in enumerate(self._pods):
            for pod in pods:
                if pod.phase not in _FINISHED:
                    yield index, pod

    @cached_property
    def _by_kind(self) -> tuple[IntArray, IntArray]:
        """(nodes of the pods, those of one kind together; where each kind starts)."""
        kinds = 2 * len(self.numbers)
        # numpy sorts short integers by radix, an order of magnitude faster than long ones.
        sortable = self._kinds.astype(np.uint16) if kinds < 2**16 else self._kinds
        order = np.argsort(sortable, kind="stable")
        node_of_pod = np.repeat(np.arange(self.size), np.diff(self._bounds))
        starts = np.zeros(kinds + 1, dtype=np.int64)
        np.cumsum(np.bincount(self._kinds, minlength=kinds), out=starts[1:])
        return node_of_pod[order], starts
