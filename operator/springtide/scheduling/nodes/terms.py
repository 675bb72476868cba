"""Node selector terms over all nodes at once: of pods, of volumes, of topologies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, NodeSelectorTerm
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.nodes.nodes import NodeTable

NAME_FIELD = "metadata.name"
"""The only node field that matchFields can refer to."""


def matches_terms(terms: Iterable[NodeSelectorTerm], nodes: NodeTable, *, named: bool = True) -> BoolArray:
    """(nodes,) Which nodes match any of the terms.

    `named` is false for volumes: kube-scheduler shows them the node's labels alone, and then passes over fields that
    make sense.
    """
    matched = np.zeros(len(nodes), dtype=np.bool_)
    for term in terms:
        if term.expressions or term.fields:  # an empty term matches no node
            matched |= _term(term, nodes, named=named)
    return matched


def _term(term: NodeSelectorTerm, nodes: NodeTable, *, named: bool) -> BoolArray:
    matched = np.ones(len(nodes), dtype=np.bool_)
    for requirement in term.expressions:
        matched &= nodes.column(requirement.key).satisfies(requirement)
    for requirement in term.fields:
        matched &= _field(requirement, nodes, named=named)
    return matched


def _field(requirement: NodeRequirement, nodes: NodeTable, *, named: bool) -> BoolArray:
    """matchFields: In and NotIn with exactly one value; anything else is invalid and matches no node."""
    valid = requirement.operator in (NodeSelectorOperator.IN, NodeSelectorOperator.NOT_IN)
    if not valid or len(requirement.values) != 1:
        return np.zeros(len(nodes), dtype=np.bool_)
    if not named:
        return np.ones(len(nodes), dtype=np.bool_)
    if requirement.key != NAME_FIELD:
        return np.zeros(len(nodes), dtype=np.bool_)
    meant = nodes.named(requirement.values)
    return meant if requirement.operator is NodeSelectorOperator.IN else ~meant
