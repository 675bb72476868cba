"""What pods ask about other pods, from the wire: label selectors, affinity terms, spread constraints.

Terms are put into one order of writing, so that equal questions are equal values whatever manifest they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, SpreadConstraint
from springtide.cluster.wire import LabelSelectorWire, PodAffinityTermWire, SpreadWire


def label_selector(wire: LabelSelectorWire | None) -> LabelSelector | None:
    """The selector; None if it is absent, which is not the same as one without requirements."""
    if wire is None:
        return None
    labels = (
        LabelRequirement(key=name, operator=SelectorOperator.IN, values=(value,))
        for name, value in (wire.match_labels or {}).items()
    )
    expressions = (
        LabelRequirement(
            key=r.key, operator=SelectorOperator(r.operator), values=tuple(sorted(set(r.values)))
        )
        for r in wire.match_expressions
    )
    return _in_order((*labels, *expressions))


def affinity_term(wire: PodAffinityTermWire, *, namespace: str) -> PodAffinityTerm:
    """A required term of a pod in this namespace."""
    own = () if wire.namespaces or wire.namespace_selector is not None else (namespace,)
    return PodAffinityTerm(
        topology_key=wire.topology_key,
        selector=label_selector(wire.label_selector),
        namespaces=tuple(sorted({*wire.namespaces, *own})),
        namespace_selector=label_selector(wire.namespace_selector),
    )


def spread_constraint(wire: SpreadWire, *, labels: Mapping[str, str]) -> SpreadConstraint:
    """A hard constraint of a pod with these labels."""
    selector = label_selector(wire.label_selector)
    if selector is not None:
        own = (
            LabelRequirement(key=key, operator=SelectorOperator.IN, values=(labels[key],))
            for key in wire.match_label_keys
            if key in labels
        )
        selector = _in_order((*selector.requirements, *own))
    return SpreadConstraint(
        topology_key=wire.topology_key,
        max_skew=wire.max_skew,
        selector=selector,
        min_domains=1 if wire.min_domains is None else wire.min_domains,
        honors_affinity=wire.node_affinity_policy != "Ignore",
        honors_taints=wire.node_taints_policy == "Honor",
    )


def _in_order(requirements: Iterable[LabelRequirement]) -> LabelSelector:
    distinct = set(requirements)
    return LabelSelector(requirements=tuple(sorted(distinct, key=lambda r: (r.key, r.operator, r.values))))
