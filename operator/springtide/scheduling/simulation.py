"""Would it fit, and what if: nodes as arrays with the pods counted on them, to be forked, filled and thrown
away.

Cost follows the number of shapes asked about, each a handful of vector operations over the nodes; never pods
x nodes.

Pods are counted where they are, for those that ask about other pods (affinity, spread). A node that is `withdrawn` takes
no more pods, but it is there: its pods count, and so does its domain in a spread. One that has `vanished` is in no
count any more, neither its pods nor, if it was the last of it, its domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.needs import VolumeNeeds
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters import inter_pod_affinity
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.nodes.counting import free_matrix, usage_of
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.roll import Roll
from springtide.scheduling.nodes.usage import Usage
from springtide.scheduling.placing.placing import counts_on_nodes
from springtide.scheduling.relations.questions import Namespaces, Question
from springtide.scheduling.relations.tallies import PodKind
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit

if TYPE_CHECKING:
    from springtide.scheduling.fresh import FreshNode

_NO_NAMESPACES: Namespaces = {}
_NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where pods of one shape went: `counts[i]` of them to node `indices[i]`; indices ascend."""

    indices: IntArray
    counts: IntArray
    placed: int
    """Sum of counts: how many of the pods found a place."""


class Simulation:
    """Nodes as arrays with the pods counted on them. A node's index is its place in the given order."""

    def __init__(self, nodes: NodeTable, usage: Usage) -> None:
        self.state = State(nodes, usage)
        """What filters read. To be changed through the methods below only."""

    @classmethod
    def of(
        cls,
        nodes: Sequence[NodeRecord],
        pods_by_node: Mapping[str, Sequence[PodRecord]],
        namespaces: Namespaces = _NO_NAMESPACES,
        *,
        table: NodeTable | None = None,
        roll: Roll | None = None,
    ) -> Simulation:
        """The given nodes with their pods, by node name. Finished pods do not count, terminating ones do.

        `namespaces`: labels by name; a namespace that is missing has no labels but its name. `table`: of these very
        nodes, if there is one; `roll`: that of the pass before.
        """
        return cls(table or NodeTable.of(nodes), usage_of(nodes, pods_by_node, namespaces, roll))

    @classmethod
    def empty(cls, namespaces: Namespaces = _NO_NAMESPACES) -> Simulation:
        """No nodes yet."""
        return cls.of((), {}, namespaces)

    def fork(self) -> Simulation:
        """An independent copy: what happens to either leaves no trace in the other. Costs nothing until written to."""
        return Simulation(self.state.nodes, self.state.usage.fork())

    # --- nodes ----------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.state.nodes)

    def name(self, index: int) -> str:
        return self.state.nodes.names[index]

    def index(self, name: str) -> int:
        """Index of the node with this name; KeyError if there is none."""
        return self.state.nodes.index(name)

    def add_nodes(self, node: FreshNode, count: int, *, prefix: str) -> range:
        """Put `count` fresh nodes, with their daemon pods, behind the others; their indices.

        Their names are "<prefix>-<index>": choose a prefix that no real node's name has.
        """
        nodes, usage = self.state.nodes, self.state.usage
        added = range(self.size, self.size + count)
        names = [f"{prefix}-{index}" for index in added]
        axis = usage.axis
        free = np.repeat(free_matrix([(node.allocatable, node.volume_limits)], axis), count, axis=1)
        self.state = State(
            nodes.extended(names, labels=node.labels, taints=node.taints), usage.extended(free)
        )
        each = np.arange(added.start, added.stop)
        for shape in node.daemon_shapes:
            self.state.usage.take(PodKind(shape), each, np.ones(count, dtype=np.int64))
        return added

    def withdraw(self, index: int) -> None:
        """The node takes no more pods (it is being removed, or is not there); the pods on it stay counted."""
        self.state.usage.withdraw(index)

    def vanish(self, index: int) -> None:
        """The node is gone with all its pods: withdrawn, and neither they nor its domain count for others any more.

        Pods that move elsewhere are placed there; nothing needs to be removed here. What is free on it is moot.
        """
        self.state.usage.vanish(index)

    def without(self, indices: Iterable[int]) -> Simulation:
        """A fork in which these nodes have vanished."""
        rest = self.fork()
        for index in indices:
            rest.vanish(index)
        return rest

    @property
    def withdrawn(self) -> BoolArray:
        """(size,) Which nodes were withdrawn, or have vanished."""
        return self.state.usage.withdrawn.copy()

    def free(self, resource: str) -> IntArray:
        """(size,) What is free of a resource: cpu in milli, others in whole units; negative where overcommitted."""
        usage = self.state.usage
        return usage.free(usage.axis.row(resource)).copy()

    def matching(self, question: Question) -> IntArray:
        """(size,) How many of the pods that the question means are on each node."""
        tallies = self.state.usage.tallies
        return tallies.by_node(tallies.book.number(question))

    # --- verdicts -------------------------------------------------------------------------------------------

    def feasible(self, shape: PodShape) -> BoolArray:
        """(size,) Which nodes would take one more pod of the shape now."""
        fits = ~self.state.usage.withdrawn
        for each in FILTERS:
            mask = each.mask(shape, self.state)
            if mask is not None:
                fits &= mask
        return fits

    def room(self, shape: PodShape) -> IntArray:
        """(size,) How many more pods of the shape each node would take; 0 where none fits."""
        state = self.state
        admitted = ~state.usage.withdrawn
        limits: list[IntArray] = []
        for each in FILTERS:
            if each.limit is None:
                mask = each.mask(shape, state)
                if mask is not None:
                    admitted &= mask
            else:
                limit = each.limit(shape, state)
                if limit is not None:
                    limits.append(limit)
        room = admitted * _UNLIMITED
        for limit in limits:
            np.minimum(room, limit, out=room)
        return room

    def misfit(self, shape: PodShape, index: int) -> Misfit | None:
        """The first filter that keeps a pod of the shape off the node, with its numbers; None if it fits.

        Says what the scheduler would say: that a node is withdrawn is no filter's verdict and does not show
        here.
        """
        here = np.array([index])
        for each in FILTERS:
            mask = each.mask(shape, self.state)
            if mask is not None and not mask[index]:
                return next(iter(each.explain(shape, self.state, here)))
        return None

    def misfits(self, shape: PodShape) -> Mapping[Misfit, int]:
        """Misfit -> number of nodes, most frequent first; nodes that would take the pod, or are withdrawn,
        left out.

        Nodes short of the same resource share one misfit, which then tells the largest free amount among
        them.
        """
        found: dict[Misfit, int] = {}
        left = np.flatnonzero(~self.state.usage.withdrawn)
        for each in FILTERS:
            mask = each.mask(shape, self.state)
            if mask is None:
                continue
            passed = mask[left]
            if not passed.all():
                for misfit, count in each.explain(shape, self.state, left[~passed]).items():
                    found[misfit] = found.get(misfit, 0) + count
            left = left[passed]
        return dict(sorted(found.items(), key=lambda entry: -entry[1]))

    # --- changes --------------------------------------------------------------------------------------------

    def place(self, shape: PodShape, count: int, *, only: BoolArray | None = None) -> Placement:
        """Put up to `count` pods on the first nodes that take them, exactly as if one by one, and count them
        there.

        `only` narrows the choice to some nodes.
        """
        if shape.volumes is not None and shape.volumes.one_at_a_time:
            return self._place_singly(shape, shape.volumes, count, only=only)
        if count > 1 and (shape.spread or shape.pod_affinity or shape.pod_anti_affinity):
            return self._place_by_rules(shape, count, only=only)
        if count == 1:
            # Of one pod only whether it fits matters, and comparing costs a fraction of dividing.
            fits = self.feasible(shape)
            placement = first_that_fits(fits if only is None else fits & only)
        else:
            room = self.room(shape)
            placement = first_fit(room if only is None else room * only, count)
        if placement.placed:
            self.state.usage.take(PodKind(shape), placement.indices, placement.counts)
        return placement

    def _place_singly(
        self, shape: PodShape, needs: VolumeNeeds, count: int, *, only: BoolArray | None
    ) -> Placement:
        """Each pod takes volumes away from the next, wherever that may go."""
        counts = np.zeros(self.size, dtype=np.int64)
        for _ in range(count):
            fits = self.feasible(shape)
            one = first_that_fits(fits if only is None else fits & only)
            if not one.placed:
                break
            self.state.usage.promise(needs, self.state.nodes, int(one.indices[0]))
            self.state.usage.take(PodKind(shape), one.indices, one.counts)
            counts[one.indices] += 1
        return _placement(counts)

    def _place_by_rules(self, shape: PodShape, count: int, *, only: BoolArray | None) -> Placement:
        """Each pod may open nodes to the next, or close them."""
        if inter_pod_affinity.is_first(shape, self.state):
            first = self.place(shape, 1, only=only)
            if not first.placed:
                return first
            counts = counts_on_nodes(shape, self.state, count - 1, only=only)
        else:
            first = None
            counts = counts_on_nodes(shape, self.state, count, only=only)
        rest = _placement(counts)
        if rest.placed:
            self.state.usage.take(PodKind(shape), rest.indices, rest.counts)
        if first is not None:
            counts[first.indices] += 1
        return _placement(counts)

    def place_on(
        self,
        shape: PodShape,
        index: int,
        count: int = 1,
        *,
        terminating: bool = False,
        own_labels: Mapping[str, str] = _NO_LABELS,
    ) -> None:
        """Count pods on a node whether they fit or not: they are bound or nominated there.

        Terminating pods do not count for spread. `own_labels`: those of PodRecord.own_labels, if they are known.
        """
        kind = PodKind(shape, terminating, tuple(sorted(own_labels.items())))
        self.state.usage.take(kind, np.array([index]), np.array([count]))

    def place_at(self, shape: PodShape, indices: IntArray, counts: IntArray) -> None:
        """Count pods on several nodes at once, whether they fit or not; each index once."""
        if shape.volumes is not None and shape.volumes.one_at_a_time:
            for index in np.repeat(indices, counts).tolist():
                self.state.usage.promise(shape.volumes, self.state.nodes, index)
        self.state.usage.take(PodKind(shape), indices, counts)

    def remove(
        self,
        shape: PodShape,
        index: int,
        count: int = 1,
        *,
        terminating: bool = False,
        own_labels: Mapping[str, str] = _NO_LABELS,
    ) -> None:
        """Pods that were counted on the node, with the same marks, have left it."""
        kind = PodKind(shape, terminating, tuple(sorted(own_labels.items())))
        self.state.usage.release(kind, index, count)


_UNLIMITED = np.int64(2**62)


def first_fit(room: IntArray, count: int) -> Placement:
    """`count` pods into nodes with this much room each: every node is filled before the next one is used."""
    open_nodes = np.flatnonzero(room) if count > 0 else np.zeros(0, dtype=np.int64)
    # Rooms are cut off at count, so that their sum cannot overflow.
    reached = np.cumsum(np.minimum(room[open_nodes], count))
    used = int(np.searchsorted(reached, count)) + 1
    indices = open_nodes[:used]
    counts = np.minimum(reached[:used], count)
    counts[1:] -= counts[:-1].copy()
    return Placement(indices=indices, counts=counts, placed=int(counts.sum()))


def _placement(counts: IntArray) -> Placement:
    """From the number of pods for each node."""
    indices = np.flatnonzero(counts)
    return Placement(indices=indices, counts=counts[indices], placed=int(counts.sum()))


def first_that_fits(fits: BoolArray) -> Placement:
    """One pod on the first of the nodes that would take it."""
    indices = np.array([fits.argmax()] if fits.any() else [], dtype=np.int64)
    return Placement(indices=indices, counts=np.ones_like(indices), placed=len(indices))
