"""NodeAffinity: nodeSelector and the required terms of node affinity, over labels and metadata.name.

The plugin speaks twice: before all other filters when every term names nodes (PreFilter then leaves the other
nodes out), and in its own place otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, NodeSelectorTerm, PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.terms import NAME_FIELD, matches_terms
from springtide.scheduling.state import State
from springtide.scheduling.verdict import Misfit, Plugin

_LONGEST_SUBJECT = 200
_SYMBOLS = {NodeSelectorOperator.GT: ">", NodeSelectorOperator.LT: "<"}


def names_of_every_term(shape: PodShape) -> frozenset[str] | None:
    """The node names that PreFilter narrows the choice to; None unless every term has "metadata.name In"."""
    if not shape.node_affinity:
        return None
    names: frozenset[str] = frozenset()
    for term in shape.node_affinity:
        asked = [
            frozenset(requirement.values)
            for requirement in term.fields
            if requirement.key == NAME_FIELD and requirement.operator is NodeSelectorOperator.IN
        ]
        if not asked:
            return None
        names |= asked[0].intersection(*asked[1:])
    return names


def prefilter_mask(shape: PodShape, state: State) -> BoolArray | None:
    names = names_of_every_term(shape)
    return None if names is None else state.nodes.named(names)


def mask(shape: PodShape, state: State) -> BoolArray | None:
    if not shape.node_selector and shape.node_affinity is None:
        return None
    question = (Plugin.NODE_AFFINITY, tuple(sorted(shape.node_selector.items())), shape.node_affinity)
    return state.nodes.remembered(question, lambda: _judge(shape, state.nodes))


def _judge(shape: PodShape, nodes: NodeTable) -> BoolArray:
    matched = np.ones(len(nodes), dtype=np.bool_)
    for key, value in shape.node_selector.items():
        matched &= nodes.column(key).satisfies(_equals(key, value))
    if shape.node_affinity is not None:
        matched &= matches_terms(shape.node_affinity, nodes)
    return matched


def _equals(key: str, value: str) -> NodeRequirement:
    return NodeRequirement(key=key, operator=NodeSelectorOperator.IN, values=(value,))


def explain(shape: PodShape, state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    """Nodes by the first pair of nodeSelector that they lack; then those that only the affinity terms reject."""
    misfits: dict[Misfit, int] = {}
    left = rejected
    for key, value in sorted(shape.node_selector.items()):
        satisfied = state.nodes.column(key).satisfies(_equals(key, value))[left]
        _count(misfits, f"{key}={value}", int(np.count_nonzero(~satisfied)))
        left = left[satisfied]
    _count(misfits, affinity_text(shape.node_affinity or ()), len(left))
    return misfits


def explain_prefilter(shape: PodShape, _state: State, rejected: IntArray) -> Mapping[Misfit, int]:
    subject = affinity_text(shape.node_affinity or ())
    return {Misfit(plugin=Plugin.NODE_AFFINITY, subject=subject): len(rejected)}


def _count(misfits: dict[Misfit, int], subject: str, nodes: int) -> None:
    if nodes:
        misfits[Misfit(plugin=Plugin.NODE_AFFINITY, subject=subject)] = nodes


def affinity_text(terms: tuple[NodeSelectorTerm, ...]) -> str:
    """The terms for users, "zone in (a, b), disk or metadata.name in (n1)", cut off when long."""
    text = ""
    for term in terms:
        parts = [_requirement_text(requirement) for requirement in (*term.expressions, *term.fields)]
        text += (" or " if text else "") + (", ".join(parts) or "(an empty term)")
        if len(text) > _LONGEST_SUBJECT:
            return text[: _LONGEST_SUBJECT - 1] + "…"
    return text or "(no term)"


def _requirement_text(requirement: NodeRequirement) -> str:
    match requirement.operator:
        case NodeSelectorOperator.EXISTS:
            return requirement.key
        case NodeSelectorOperator.DOES_NOT_EXIST:
            return f"!{requirement.key}"
        case NodeSelectorOperator.IN:
            return f"{requirement.key} in ({', '.join(requirement.values)})"
        case NodeSelectorOperator.NOT_IN:
            return f"{requirement.key} notin ({', '.join(requirement.values)})"
        case _:
            return f"{requirement.key} {_SYMBOLS[requirement.operator]} {', '.join(requirement.values)}"


PREFILTER = Filter(plugin=Plugin.NODE_AFFINITY, mask=prefilter_mask, explain=explain_prefilter)


def objections(shape: PodShape, state: State, index: int) -> tuple[Misfit, ...]:
    """Every pair of nodeSelector that the node lacks, and the required terms if none matches."""
    nodes = state.nodes
    subjects = [
        f"{key}={value}"
        for key, value in sorted(shape.node_selector.items())
        if not nodes.column(key).satisfies(_equals(key, value))[index]
    ]
    if shape.node_affinity is not None and not matches_terms(shape.node_affinity, nodes)[index]:
        subjects.append(affinity_text(shape.node_affinity))
    return tuple(Misfit(plugin=Plugin.NODE_AFFINITY, subject=subject) for subject in subjects)


FILTER = Filter(plugin=Plugin.NODE_AFFINITY, mask=mask, explain=explain, objections=objections)
