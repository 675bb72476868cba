"""What nodes are, apart from the pods on them: names, labels, taints, unschedulable; as columns over all
nodes.

A table never changes: adding nodes makes a new one, so forks share tables. What it remembers of past
questions (label columns, masks) is filled in on demand and depends on nothing but the table, so sharing that
is safe, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np

from springtide.cluster.records import NodeRecord, Taint
from springtide.scheduling.arrays import BoolArray, CodeArray
from springtide.scheduling.nodes.labels import LabelColumn

HOSTNAME_LABEL = "kubernetes.io/hostname"


class NodeTable:
    """Immutable facts of nodes, by index."""

    def __init__(
        self,
        *,
        names: tuple[str, ...],
        labels: tuple[Mapping[str, str], ...],
        hostnames: Mapping[int, str],
        taint_codes: CodeArray,
        taint_sets: tuple[tuple[Taint, ...], ...],
        unschedulable: BoolArray,
        columns: Mapping[str, LabelColumn],
    ) -> None:
        self.names = names
        self.taint_codes = taint_codes
        """Which of `taint_sets` each node has."""
        self.taint_sets = taint_sets
        """The distinct taints of nodes, each in the node's own order."""
        self.unschedulable = unschedulable
        """spec.unschedulable (cordoned)."""
        self.any_unschedulable = bool(unschedulable.any())
        self._labels = labels
        self._hostnames = hostnames
        self._index = {name: index for index, name in enumerate(names)}
        self._columns = dict(columns)
        self._masks: dict[Hashable, BoolArray] = {}
        self._interned: dict[bytes, BoolArray] = {}

    @classmethod
    def of(cls, nodes: Sequence[NodeRecord]) -> NodeTable:
        sets: dict[tuple[Taint, ...], int] = {}
        codes = np.fromiter((sets.setdefault(node.taints, len(sets)) for node in nodes), dtype=np.int32)
        return cls(
            names=tuple(node.name for node in nodes),
            labels=tuple(node.labels for node in nodes),
            hostnames={},
            taint_codes=codes,
            taint_sets=tuple(sets),
            unschedulable=np.fromiter((node.unschedulable for node in nodes), dtype=np.bool_),
            columns={},
        )

    def extended(
        self, names: Sequence[str], *, labels: Mapping[str, str], taints: tuple[Taint, ...]
    ) -> NodeTable:
        """A table with further, equal nodes at the end; each has its name as hostname, as the kubelet will set it."""
        sets = self.taint_sets if taints in self.taint_sets else (*self.taint_sets, taints)
        count = len(names)
        added_codes = np.full(count, sets.index(taints), dtype=np.int32)
        return NodeTable(
            names=(*self.names, *names),
            labels=self._labels + (labels,) * count,
            hostnames={**self._hostnames, **{len(self.names) + i: name for i, name in enumerate(names)}},
            taint_codes=np.concatenate((self.taint_codes, added_codes)),
            taint_sets=sets,
            unschedulable=np.concatenate((self.unschedulable, np.zeros(count, dtype=np.bool_))),
            columns={
                key: column.extended(names if key == HOSTNAME_LABEL else [labels.get(key)] * count)
                for key, column in self._columns.items()
            },
        )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Index of the node with this name; KeyError if there is none."""
        return self._index[name]

    def named(self, names: Iterable[str]) -> BoolArray:
        """Which nodes have one of these names."""
        mask = np.zeros(len(self.names), dtype=np.bool_)
        mask[[self._index[name] for name in names if name in self._index]] = True
        return mask

    def column(self, key: str) -> LabelColumn:
        """The values of one label key over all nodes."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = LabelColumn.of(self._values(key))
        return column

    @property
    def questions(self) -> int:
        """How many answers the table remembers: each is about all nodes."""
        return len(self._masks) + len(self._columns) + len(self._interned)

    def remembered(self, question: Hashable, answer: Callable[[], BoolArray]) -> BoolArray:
        """A mask over all nodes that depends on this table only, computed once per question. Not to be written to."""
        mask = self._masks.get(question)
        if mask is None:
            mask = self._masks[question] = answer()
            mask.setflags(write=False)
        return mask

    def interned(self, mask: BoolArray) -> BoolArray:
        """One object for all equal masks. Not to be written to."""
        return self._interned.setdefault(mask.tobytes(), mask)

    def _values(self, key: str) -> Iterable[str | None]:
        if key != HOSTNAME_LABEL or not self._hostnames:
            return (labels.get(key) for labels in self._labels)
        known = enumerate(self._labels)
        return (self._hostnames.get(index, labels.get(key)) for index, labels in known)
