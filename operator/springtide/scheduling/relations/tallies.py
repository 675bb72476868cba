"""All tallies of a simulation, made on demand; and who was placed since the beginning.

A tally is made when its question is first asked, from the pods at the beginning and those placed since, and kept up to
date from then on. Forks share tallies until either side changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.residents import Residents
from springtide.scheduling.relations.question_book import QuestionBook
from springtide.scheduling.relations.questions import Question, matches_labels
from springtide.scheduling.relations.tally import Domains, Tally, Topology


class PodKind(NamedTuple):
    """What must be known of a pod to count it."""

    shape: PodShape
    terminating: bool = False
    own_labels: tuple[tuple[str, str], ...] = ()
    """Labels of the pod that its shape leaves out."""


class _Layer(NamedTuple):
    """`counts[i]` pods of the kind came to node `indices[i]` (negative: left), after those below."""

    kind: PodKind
    indices: IntArray
    counts: IntArray
    below: _Layer | None


class Tallies:
    """Who stands where, as far as questions ask."""

    __slots__ = (
        "_gone",
        "_owner",
        "_placed",
        "_shared",
        "_size",
        "_tallies",
        "_topologies",
        "_vanished",
        "book",
        "residents",
    )

    def __init__(self, residents: Residents, book: QuestionBook) -> None:
        self.residents = residents
        self.book = book
        self._size = residents.size
        self._placed: dict[PodShape, _Layer] = {}
        self._tallies: dict[int, Tally] = {}
        self._topologies: dict[tuple[str, int], Topology] = {}
        self._vanished: tuple[int, ...] = ()
        self._gone: BoolArray = np.zeros(self._size, dtype=np.bool_)
        """(size,) The vanished nodes; replaced, never written to."""
        self._owner = object()
        self._shared = False

    def fork(self) -> Tallies:
        """The same tallies, from now on independent."""
        twin = Tallies(self.residents, self.book)
        twin._size, twin._vanished, twin._gone = self._size, self._vanished, self._gone
        # Dictionaries are shared as long as both are in the same state: what one finds out serves the other.
        twin._placed, twin._tallies, twin._topologies = self._placed, self._tallies, self._topologies
        self._owner = object()
        self._shared = twin._shared = True
        return twin

    def extended(self, size: int) -> Tallies:
        """For a simulation with further nodes at the end, `size` in all."""
        twin = self.fork()
        twin._own()
        twin._topologies = {}
        twin._gone = np.append(self._gone, np.zeros(size - self._size, dtype=np.bool_))
        twin._size = size
        return twin

    @property
    def vanished(self) -> tuple[int, ...]:
        """Indices of the nodes that are gone."""
        return self._vanished

    def vanish(self, index: int) -> None:
        """The node and its pods are in no count any more."""
        if not self._gone[index]:
            self._own()
            self._topologies = {}
            self._vanished = (*self._vanished, index)
            self._gone = self._gone.copy()
            self._gone[index] = True

    def add(self, kind: PodKind, indices: IntArray, counts: IntArray) -> None:
        """Pods of the kind came to nodes, each index once (or left them: counts below zero)."""
        book, shape = self.book, kind.shape
        book.learn(shape)
        self._own()
        self._placed[shape] = _Layer(kind, indices, counts, self._placed.get(shape))
        if not self._tallies:
            return
        if self._vanished:
            counts = counts * ~self._gone[indices]
        for number in book.counted_for(shape):
            if number in self._tallies and self._may_count(number, kind):
                self._writable(number).add(indices, counts)
        for number in book.per_pod:
            if number in self._tallies and self._asks_for(number, kind):
                self._writable(number).add(indices, counts)

    def by_node(self, number: int) -> IntArray:
        """(size,) The subject's pods on each node; a copy."""
        return self._tally(number).by_node()

    def domains(self, number: int, nodes: NodeTable, key: str, eligible: BoolArray | None = None) -> Domains:
        """The subject's pods by the values of a label, on the nodes that are eligible. Read only.

        `eligible` must be one and the same object for the same nodes (see NodeTable.interned).
        """
        return self._tally(number).domains(key, self._topology(nodes, key, eligible))

    def _topology(self, nodes: NodeTable, key: str, eligible: BoolArray | None) -> Topology:
        known = self._topologies.get((key, id(eligible)))
        if known is None:
            column = nodes.column(key)
            there = np.ones(len(nodes), dtype=np.bool_) if eligible is None else eligible.copy()
            there &= ~self._gone
            present = np.bincount(column.codes[there], minlength=column.width)
            known = self._topologies[key, id(eligible)] = Topology(column.codes, eligible, present)
        return known

    def _own(self) -> None:
        if self._shared:
            self._placed = self._placed.copy()
            self._tallies = self._tallies.copy()
            self._topologies = self._topologies.copy()
            self._shared = False

    def _tally(self, number: int) -> Tally:
        """Up to date. Read only."""
        tally = self._tallies.get(number)
        if tally is None:
            tally = self._tallies[number] = self._count(number)
        elif tally.size < self._size or tally.vanished < len(self._vanished):
            tally = self._writable(number)
        return tally

    def _writable(self, number: int) -> Tally:
        tally = self._tallies[number]
        if tally.owner is not self._owner:
            self._own()
            tally = self._tallies[number] = tally.owned_by(self._owner)
        tally.catch_up(self._size, vanished=len(self._vanished), gone=self._gone)
        return tally

    def _count(self, number: int) -> Tally:
        """From the pods at the beginning and everything that happened since."""
        # Put among shared tallies, it is everybody's: whoever changes it copies it.
        tally = Tally(self._size, owner=None if self._shared else self._owner)
        subject = self.book.subject(number)
        if isinstance(subject, Question) and subject.sees_per_pod_labels:
            self._count_singly(tally, number, subject)
        else:
            self._count_shapes(tally, number)
        tally.catch_up(self._size, vanished=len(self._vanished), gone=self._gone)
        return tally

    def _count_shapes(self, tally: Tally, number: int) -> None:
        meant = self.book.meant(number)
        where = self.residents.where(meant, terminating_too=self._counts_terminating(number))
        tally.add(*np.unique(where, return_counts=True))
        # Of the two, the shorter list is gone through.
        fewer = meant if len(meant) <= len(self._placed) else self._placed.keys() & set(meant)
        for shape in fewer:
            layer = self._placed.get(shape)
            while layer is not None:
                if self._may_count(number, layer.kind):
                    tally.add(layer.indices, layer.counts)
                layer = layer.below

    def _count_singly(self, tally: Tally, number: int, question: Question) -> None:
        namespaces = self.book.namespaces
        where = [
            index
            for index, pod in self.residents.singly()
            if (question.counts_terminating or pod.deletion_timestamp is None)
            and matches_labels(question, pod.labels, pod.shape.namespace, namespaces)
        ]
        tally.add(*np.unique(np.array(where, dtype=np.int64), return_counts=True))
        for layer in self._placed.values():
            each: _Layer | None = layer
            while each is not None:
                if self._asks_for(number, each.kind):
                    tally.add(each.indices, each.counts)
                each = each.below

    def _counts_terminating(self, number: int) -> bool:
        subject = self.book.subject(number)
        return not isinstance(subject, Question) or subject.counts_terminating

    def _may_count(self, number: int, kind: PodKind) -> bool:
        return not kind.terminating or self._counts_terminating(number)

    def _asks_for(self, number: int, kind: PodKind) -> bool:
        """For questions that look at labels which shapes leave out."""
        question = self.book.subject(number)
        assert isinstance(question, Question)
        if not self._may_count(number, kind):
            return False
        labels = {**kind.shape.labels, **dict(kind.own_labels)}
        return matches_labels(question, labels, kind.shape.namespace, self.book.namespaces)
