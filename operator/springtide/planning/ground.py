"""The ground of the landscape: what the nodes and their pods are, kept from pass to pass where it has not changed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from springtide.cluster.groups import Template
from springtide.cluster.records import DaemonSetRecord, NodeRecord, PodRecord
from springtide.scheduling.fresh import FreshNode, fresh_node
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.roll import Roll

MOST_QUESTIONS: Final = 2_000
"""Answers that a table of nodes remembers before it is made anew: each is some bytes for each node."""
_HIGHEST: Final = 2**31
"""No pod's priority is higher."""


class Ground:
    """Remembers what the last pass has asked about."""

    def __init__(self) -> None:
        self.roll = Roll()
        self._nodes: Sequence[NodeRecord] = ()
        self._table: NodeTable | None = None
        self._fresh: dict[Hashable, tuple[Template, Sequence[DaemonSetRecord], FreshNode]] = {}
        self._fresh_before = self._fresh
        self._lowest: dict[str, tuple[Sequence[PodRecord], int]] = {}
        self._lowest_before = self._lowest

    @property
    def remembered_nodes(self) -> frozenset[str]:
        """Names of the nodes of which anything is remembered."""
        of_pods = (*self.roll.nodes, *self._lowest, *self._lowest_before)
        return frozenset((*of_pods, *(node.name for node in self._nodes)))

    def begin_pass(self) -> None:
        """What the last pass has not asked about is forgotten."""
        self._fresh_before, self._fresh = self._fresh, {}
        self._lowest_before, self._lowest = self._lowest, {}

    def table(self, nodes: Sequence[NodeRecord]) -> NodeTable:
        """The table of these nodes."""
        if self._table is None or self._table.questions > MOST_QUESTIONS or self._nodes != nodes:
            self._nodes, self._table = nodes, NodeTable.of(nodes)
        return self._table

    def fresh(self, key: Hashable, template: Template, daemon_sets: Sequence[DaemonSetRecord]) -> FreshNode:
        """A new node of the group with this key."""
        known = self._fresh_before.get(key)
        if known is None or known[0] != template or known[1] != daemon_sets:
            known = (template, daemon_sets, fresh_node(template, daemon_sets))
        self._fresh[key] = known
        return known[2].anew()

    def lowest_priority(self, node: str, pods: Sequence[PodRecord]) -> int:
        """Of a node's pods."""
        known = self._lowest_before.get(node)
        if known is None or known[0] is not pods:
            known = (pods, min((pod.shape.priority for pod in pods), default=_HIGHEST))
        self._lowest[node] = known
        return known[1]
