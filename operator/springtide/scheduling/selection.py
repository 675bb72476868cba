"""Which pods a constraint speaks of: selectors with their namespaces, judged on shapes.

The topology key is left out on purpose: the same selection may be counted by node, by zone and by region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint

Namespaces = Mapping[str, Mapping[str, str]]
"""Namespace -> its labels."""

HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Selection:
    """Pods by labels, in namespaces given by name or by labels."""

    selector: LabelSelector
    namespaces: tuple[str, ...]
    namespace_selector: LabelSelector | None = None

    def matches(self, shape: PodShape, known: Namespaces) -> bool:
        """Whether pods of the shape are meant. A namespace of which nothing is known has no labels."""
        return self._speaks_of(shape.namespace, known) and self.selector.matches(shape.labels)

    def _speaks_of(self, namespace: str, known: Namespaces) -> bool:
        if namespace in self.namespaces:
            return True
        selector = self.namespace_selector
        return selector is not None and selector.matches(known.get(namespace, {}))


Question = tuple[Selection, ...]
"""Pods that all of these select. Without any: no pod at all."""


def of_terms(terms: tuple[PodAffinityTerm, ...]) -> Question:
    """The pods that satisfy all the terms: a term without selector, and so the whole, selects no pod."""
    selections = []
    for term in terms:
        if term.selector is None:
            return ()
        selections.append(Selection(term.selector, term.namespaces, term.namespace_selector))
    return tuple(selections)


def of_spread(constraint: SpreadConstraint, *, namespace: str) -> Question:
    """The pods that the constraint counts, for a pod of this namespace.

    An empty selector counts none, although it would match all: so kube-scheduler behaves (countPodsMatchSelector).
    """
    if constraint.selector is None or not constraint.selector.requirements:
        return ()
    return (Selection(constraint.selector, (namespace,)),)


def selects(question: Question, shape: PodShape, known: Namespaces) -> bool:
    """Whether pods of the shape are among those meant."""
    return bool(question) and all(selection.matches(shape, known) for selection in question)
