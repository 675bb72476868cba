"""Tallies: how many of the pods that a question means stand on each node, and in each domain of a topology.

A tally is made when its question is first asked, from the pods at the beginning and those placed since, and kept up to
date from then on. Forks share tallies until either side changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, CodeArray, IntArray
from springtide.scheduling.nodes import NodeTable
from springtide.scheduling.question_book import QuestionBook
from springtide.scheduling.questions import Question, matches_labels
from springtide.scheduling.residents import Residents


class PodKind(NamedTuple):
    """What must be known of a pod to count it."""

    shape: PodShape
    terminating: bool = False
    own_labels: tuple[tuple[str, str], ...] = ()
    """Labels of the pod that its shape leaves out."""


class _Layer(NamedTuple):
    """`counts[i]` pods came to node `indices[i]` (negative: left), after those below."""

    indices: IntArray
    counts: IntArray
    below: _Layer | None


@dataclass(slots=True)
class Domains:
    """A tally by the values of one label: index 0 (labels.ABSENT) stands for nodes without the label."""

    codes: CodeArray
    """(size,) Domain of each node."""
    eligible: BoolArray | None
    """(size,) Nodes that count; None = all."""
    counts: IntArray
    """(domains,) Pods on nodes that count."""
    nodes: IntArray
    """(domains,) Nodes that count."""

    def add(self, indices: IntArray, counts: IntArray) -> None:
        eligible = counts if self.eligible is None else counts * self.eligible[indices]
        np.add.at(self.counts, self.codes[indices], eligible)

    def drop(self, index: int, pods: int) -> None:
        """The node is gone, with so many counted pods."""
        if self.eligible is None or self.eligible[index]:
            self.nodes[self.codes[index]] -= 1
            self.counts[self.codes[index]] -= pods

    def copy(self) -> Domains:
        return Domains(self.codes, self.eligible, self.counts.copy(), self.nodes.copy())


class Tally:
    """One subject's pods per node; to be changed by the simulation that owns it only."""

    __slots__ = ("_domains", "by_node", "owner", "vanished")

    def __init__(self, by_node: IntArray, *, owner: object, vanished: int) -> None:
        self.by_node = by_node
        """(size,) Pods on each node."""
        self.owner = owner
        self.vanished = vanished
        """How many of the simulation's vanished nodes are taken off already."""
        self._domains: dict[tuple[str, int], Domains] = {}

    def owned_by(self, owner: object) -> Tally:
        twin = Tally(self.by_node.copy(), owner=owner, vanished=self.vanished)
        twin._domains = {key: domains.copy() for key, domains in self._domains.items()}
        return twin

    def add(self, indices: IntArray, counts: IntArray) -> None:
        self.by_node[indices] += counts
        for domains in self._domains.values():
            domains.add(indices, counts)

    def catch_up(self, size: int, vanished: tuple[int, ...]) -> None:
        """Take note of nodes that have joined since, and of those that are gone."""
        if len(self.by_node) < size:
            more = np.zeros(size - len(self.by_node), dtype=np.int64)
            self.by_node = np.concatenate((self.by_node, more))
            self._domains.clear()
        for index in vanished[self.vanished :]:
            for domains in self._domains.values():
                domains.drop(index, int(self.by_node[index]))
            self.by_node[index] = 0
        self.vanished = len(vanished)

    def domains(
        self, nodes: NodeTable, key: str, eligible: BoolArray | None, vanished: tuple[int, ...]
    ) -> Domains:
        """By the values of the label `key`. `eligible` must be one and the same object for the same nodes."""
        known = self._domains.get((key, id(eligible)))
        if known is None:
            known = self._domains[key, id(eligible)] = self._sum(nodes, key, eligible, vanished)
        return known

    def _sum(
        self, nodes: NodeTable, key: str, eligible: BoolArray | None, vanished: tuple[int, ...]
    ) -> Domains:
        column = nodes.column(key)
        there = np.ones(len(nodes), dtype=np.bool_) if eligible is None else eligible.copy()
        there[list(vanished)] = False
        counts = np.bincount(column.codes, weights=self.by_node * there, minlength=column.width)
        return Domains(
            codes=column.codes,
            eligible=eligible,
            counts=counts.astype(np.int64),
            nodes=np.bincount(column.codes[there], minlength=column.width),
        )


class Tallies:
    """All tallies of a simulation, made on demand; and who was placed since the beginning."""

    __slots__ = ("_owner", "_placed", "_shared", "_size", "_tallies", "_vanished", "book", "residents")

    def __init__(self, residents: Residents, book: QuestionBook) -> None:
        self.residents = residents
        self.book = book
        self._size = residents.size
        self._placed: dict[PodKind, _Layer] = {}
        self._tallies: dict[int, Tally] = {}
        self._vanished: tuple[int, ...] = ()
        self._owner = object()
        self._shared = False

    def fork(self) -> Tallies:
        """The same tallies, from now on independent."""
        twin = Tallies.__new__(Tallies)
        twin.residents, twin.book = self.residents, self.book
        twin._size, twin._vanished = self._size, self._vanished
        twin._placed, twin._tallies = self._placed, self._tallies
        self._owner, twin._owner = object(), object()
        self._shared = twin._shared = True
        return twin

    def extended(self, size: int) -> Tallies:
        """For a simulation with further nodes at the end, `size` in all."""
        twin = self.fork()
        # Shared dictionaries are for equal states only.
        twin._own()
        twin._size = size
        return twin

    @property
    def vanished(self) -> tuple[int, ...]:
        """Indices of the nodes that are gone."""
        return self._vanished

    def vanish(self, index: int) -> None:
        """The node and its pods are in no count any more."""
        if index not in self._vanished:
            self._own()
            self._vanished = (*self._vanished, index)

    def add(self, kind: PodKind, indices: IntArray, counts: IntArray) -> None:
        """Pods of the kind came to nodes, each index once (or left them: counts below zero)."""
        book, shape = self.book, kind.shape
        book.learn(shape)
        self._own()
        self._placed[kind] = _Layer(indices, counts, self._placed.get(kind))
        if not self._tallies:
            return
        if self._vanished:
            counts = counts * ~np.isin(indices, self._vanished)
        for number in book.counted_for(shape):
            if number in self._tallies and not self._leaves_out(number, kind):
                self._writable(number).add(indices, counts)
        for number in book.per_pod:
            if number in self._tallies and self._asks_for(number, kind):
                self._writable(number).add(indices, counts)

    def tally(self, number: int) -> Tally:
        """The subject's tally, up to date. Read only."""
        tally = self._tallies.get(number)
        if tally is None:
            tally = self._tallies[number] = self._count(number)
        elif len(tally.by_node) < self._size or tally.vanished < len(self._vanished):
            tally = self._writable(number)
        return tally

    def domains(self, number: int, nodes: NodeTable, key: str, eligible: BoolArray | None = None) -> Domains:
        """The subject's pods by the values of a label, on the nodes that are eligible. Read only."""
        return self.tally(number).domains(nodes, key, eligible, self._vanished)

    def _own(self) -> None:
        if self._shared:
            self._placed = self._placed.copy()
            self._tallies = self._tallies.copy()
            self._shared = False

    def _writable(self, number: int) -> Tally:
        tally = self._tallies[number]
        if tally.owner is not self._owner:
            self._own()
            tally = self._tallies[number] = tally.owned_by(self._owner)
        tally.catch_up(self._size, self._vanished)
        return tally

    def _count(self, number: int) -> Tally:
        """From the pods at the beginning and everything that happened since."""
        subject = self.book.subject(number)
        if isinstance(subject, Question) and subject.sees_per_pod_labels:
            by_node = self._count_singly(subject)
        else:
            by_node = self._count_shapes(number)
        # Put among shared tallies, it is everybody's: whoever changes it copies it.
        tally = Tally(by_node, owner=None if self._shared else self._owner, vanished=0)
        tally.catch_up(self._size, self._vanished)
        return tally

    def _count_shapes(self, number: int) -> IntArray:
        terminating_too = _counts_terminating(self.book, number)
        meant = self.book.meant(number)
        by_node = self._padded(self.residents.counts(meant, terminating_too=terminating_too))
        if self._placed:
            members = frozenset(meant)
            for kind, layer in self._placed.items():
                if kind.shape in members and (terminating_too or not kind.terminating):
                    _add_layers(by_node, layer)
        return by_node

    def _count_singly(self, question: Question) -> IntArray:
        by_node = np.zeros(self._size, dtype=np.int64)
        for index, pod in self.residents.singly():
            alive = question.counts_terminating or pod.deletion_timestamp is None
            if alive and matches_labels(question, pod.labels, pod.shape.namespace, self.book.namespaces):
                by_node[index] += 1
        number = self.book.number(question)
        for kind, layer in self._placed.items():
            if self._asks_for(number, kind):
                _add_layers(by_node, layer)
        return by_node

    def _padded(self, by_node: IntArray) -> IntArray:
        missing = self._size - len(by_node)
        return np.concatenate((by_node, np.zeros(missing, dtype=np.int64))) if missing else by_node

    def _leaves_out(self, number: int, kind: PodKind) -> bool:
        return kind.terminating and not _counts_terminating(self.book, number)

    def _asks_for(self, number: int, kind: PodKind) -> bool:
        """For questions that look at labels which shapes leave out."""
        question = self.book.subject(number)
        assert isinstance(question, Question)
        if self._leaves_out(number, kind):
            return False
        labels: Mapping[str, str] = {**kind.shape.labels, **dict(kind.own_labels)}
        return matches_labels(question, labels, kind.shape.namespace, self.book.namespaces)


def _counts_terminating(book: QuestionBook, number: int) -> bool:
    subject = book.subject(number)
    return not isinstance(subject, Question) or subject.counts_terminating


def _add_layers(by_node: IntArray, layer: _Layer | None) -> None:
    while layer is not None:
        by_node[layer.indices] += layer.counts
        layer = layer.below
