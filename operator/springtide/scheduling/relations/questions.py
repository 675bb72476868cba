"""Which pods a pod asks about: the question behind an affinity term or a spread constraint, as a value.

A pod with (anti-)affinity or a spread does not ask about nodes but about pods: those with these labels, in these
namespaces. Equal questions are equal values, whoever asks, so their answers (see
springtide.scheduling.relations.tallies) are counted once. *Where* the pods must or must not be, the topology key, is
not part of the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.cluster.shape_table import PER_POD_LABELS

Namespaces = Mapping[str, Mapping[str, str]]
"""Labels of namespaces by name."""

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server sets it on every namespace."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Pods with these labels in these namespaces."""

    selector: LabelSelector | None
    """None selects no pod, one without requirements every pod."""
    namespaces: tuple[str, ...]
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels, besides those by name; None: no others."""

    def holds(self, labels: Mapping[str, str], namespace: str, namespaces: Namespaces) -> bool:
        """Whether it holds for a pod with these labels in this namespace."""
        if self.selector is None or not self.selector.matches(labels):
            return False
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and chosen.matches(labels_of_namespace(namespace, namespaces))


@dataclass(frozen=True, slots=True)
class Question:
    """How many pods for which all conditions hold? Without any condition: none."""

    conditions: tuple[Condition, ...]
    counts_terminating: bool = True
    """Whether pods with a deletion timestamp count: for (anti-)affinity they do, for spread they do not."""

    @property
    def sees_per_pod_labels(self) -> bool:
        """Whether it looks at labels that shapes leave out, so that pods of one shape may get different answers."""
        return any(
            requirement.key in PER_POD_LABELS
            for condition in self.conditions
            if condition.selector is not None
            for requirement in condition.selector.requirements
        )


def matches(question: Question, shape: PodShape, namespaces: Namespaces) -> bool:
    """Whether pods of the shape count, as far as the labels tell that the shape has."""
    return matches_labels(question, shape.labels, shape.namespace, namespaces)


def matches_labels(
    question: Question, labels: Mapping[str, str], namespace: str, namespaces: Namespaces
) -> bool:
    """Whether a pod with these labels in this namespace counts."""
    return bool(question.conditions) and all(
        condition.holds(labels, namespace, namespaces) for condition in question.conditions
    )


def affinity_question(shape: PodShape) -> Question | None:
    """The pods near which a pod of the shape must be; None if it has no affinity.

    Of several terms *all* must hold for one and the same pod, as in the scheduler.
    """
    return Question(tuple(_asked_by_newcomer(t) for t in shape.pod_affinity)) if shape.pod_affinity else None


def anti_affinity_question(term: PodAffinityTerm) -> Question:
    """The pods that a pod with this term of anti-affinity must not come near to."""
    return Question((_asked_by_newcomer(term),))


def repelled_question(term: PodAffinityTerm) -> Question:
    """The pods that must not come near to a pod that is there and has this term of anti-affinity."""
    return Question((Condition(term.selector, term.namespaces, term.namespace_selector),))


def spread_question(constraint: SpreadConstraint, namespace: str) -> Question:
    """The pods that a constraint of a pod in this namespace spreads.

    A selector without requirements counts none (countPodsMatchSelector of kube-scheduler), although it would match
    every pod.
    """
    selector = constraint.selector if constraint.selector and constraint.selector.requirements else None
    return Question((Condition(selector, (namespace,)),), counts_terminating=False)


def labels_of_namespace(name: str, namespaces: Namespaces) -> Mapping[str, str]:
    """A namespace's labels; one that is not known has its name only."""
    labels = namespaces.get(name)
    if labels is None or NAMESPACE_NAME_LABEL not in labels:
        return {**(labels or {}), NAMESPACE_NAME_LABEL: name}
    return labels


def _asked_by_newcomer(term: PodAffinityTerm) -> Condition:
    """A term of the pod that is being scheduled.

    kube-scheduler 1.36 resolves its namespaceSelector to names first, and then still tries the selector itself on
    *no* labels (mergeAffinityTermNamespacesIfNotEmpty clears it in a copy). So a selector that only says what must
    not be (NotIn, DoesNotExist) chooses every namespace here, though not in the terms of pods that are there.
    """
    chosen = term.namespace_selector
    if chosen is not None and chosen.matches({}):
        chosen = LabelSelector()
    return Condition(term.selector, term.namespaces, chosen)
