"""Disruption budgets: which PodDisruptionBudgets cover a pod, and what is left of them as evictions are planned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from springtide.cluster.records import DisruptionBudget, PodRecord
from springtide.cluster.selector import LabelSelector, SelectorOperator
from springtide.cluster.shape import PodShape

_Label = tuple[str, str, str]
"""Namespace, key, value."""
BudgetKey = tuple[str, str]
"""Namespace and name of a PodDisruptionBudget."""
_ANY = ("", "")
"""Stands for no label in particular: no label has an empty key."""


class BudgetIndex:
    """Finds the budgets of a pod; remembers the answer per shape, since equal shapes have equal labels, but for those
    that only one pod has (PodRecord.own_labels)."""

    def __init__(self, budgets: Iterable[DisruptionBudget]) -> None:
        self._namespaces: set[str] = set()
        self._by_label: defaultdict[_Label, list[DisruptionBudget]] = defaultdict(list)
        self._label_keys: set[str] = set()
        for budget in budgets:
            if budget.selector is not None:
                self._namespaces.add(budget.namespace)
                self._label_keys.update(requirement.key for requirement in budget.selector.requirements)
                for label in _one_of(budget.selector):
                    self._by_label[budget.namespace, *label].append(budget)
        self._of_shape: dict[PodShape, tuple[DisruptionBudget, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is any budget at all."""
        return bool(self._namespaces)

    def covering(self, pod: PodRecord) -> tuple[DisruptionBudget, ...]:
        """All budgets of the pod's namespace whose selector matches it. An absent selector matches nothing."""
        if pod.namespace not in self._namespaces:
            return ()
        if self.looks_at(pod.own_labels):
            return self._matching(pod.namespace, pod.labels)
        return self.of_shape(pod.shape)

    def of_shape(self, shape: PodShape) -> tuple[DisruptionBudget, ...]:
        """Those of all pods of the shape, whatever labels they have for themselves."""
        known = self._of_shape.get(shape)
        if known is None:
            known = self._of_shape[shape] = (
                self._matching(shape.namespace, shape.labels) if shape.namespace in self._namespaces else ()
            )
        return known

    def looks_at(self, labels: Iterable[str]) -> bool:
        """Whether any selector reads one of these labels, given by their keys."""
        return not self._label_keys.isdisjoint(labels)

    def _matching(self, namespace: str, labels: Mapping[str, str]) -> tuple[DisruptionBudget, ...]:
        # One look-up for each label, instead of asking each of a namespace's thousand budgets.
        found = (self._by_label.get((namespace, *label), ()) for label in (_ANY, *labels.items()))
        matching = (
            budget
            for budgets in found
            for budget in budgets
            if budget.selector is not None and budget.selector.matches(labels)
        )
        return tuple(sorted(matching, key=lambda budget: budget.name))


def _one_of(selector: LabelSelector) -> list[tuple[str, str]]:
    """Labels of which a pod must have one, and can have only one, to be selected; _ANY when none must be had."""
    for requirement in selector.requirements:
        if requirement.operator is SelectorOperator.IN:
            return [(requirement.key, value) for value in dict.fromkeys(requirement.values)]
    return [_ANY]


@dataclass(frozen=True, slots=True)
class Objection:
    """Why the API server would not evict a pod now."""

    pod: PodRecord
    detail: str


class RemainingDisruptions:
    """What the budgets still allow while one plan adds removals to each other.

    The evictions of one node may be made one after another, so a node alone needs no more than one allowed
    disruption of each budget (what Cluster Autoscaler asks too). Nodes that are drained at the same time
    must fit into the budgets together, or their drains would starve each other until they time out.

    What is allowed has been lowered already for pods that are on their way out: the API server does so with each
    eviction that it grants (disruptedPods).
    """

    def __init__(self, index: BudgetIndex) -> None:
        self._index = index
        self._taken: Counter[BudgetKey] = Counter()
        self._of_shape: dict[PodShape, tuple[BudgetKey, ...]] = {}
        self._allowed: dict[BudgetKey, int] = {}

    @property
    def bounded(self) -> bool:
        """Whether there is any budget at all."""
        return bool(self._index)

    def of_shape(self, shape: PodShape) -> Sequence[BudgetKey]:
        """The budgets of all pods of the shape."""
        known = self._of_shape.get(shape)
        if known is None:
            budgets = self._index.of_shape(shape)
            self._allowed.update(((each.namespace, each.name), each.disruptions_allowed) for each in budgets)
            known = self._of_shape[shape] = tuple((each.namespace, each.name) for each in budgets)
        return known

    def left(self, budget: BudgetKey) -> int:
        """Disruptions that one of these budgets allows besides those that were counted already."""
        return self._allowed[budget] - self._taken[budget]

    def fork(self) -> RemainingDisruptions:
        """An independent copy, for trying out."""
        twin = RemainingDisruptions(self._index)
        twin._taken = self._taken.copy()
        return twin

    def lacking(self, pods: Iterable[PodRecord]) -> Objection | None:
        """The first reason why these pods cannot be evicted besides those that were counted already; None: none."""
        needed: Counter[BudgetKey] = Counter()
        for pod in pods if self._index else ():
            budgets = self._asked(pod)
            if len(budgets) > 1:
                names = ", ".join(budget.name for budget in budgets)
                return Objection(
                    pod, f"several PodDisruptionBudgets cover it ({names}): it cannot be evicted"
                )
            for budget in budgets:
                key = (budget.namespace, budget.name)
                needed[key] += 1
                if budget.disruptions_allowed < 1:
                    return Objection(pod, f"PodDisruptionBudget {key[0]}/{key[1]} allows no disruption")
                taken = self._taken[key]
                if taken and taken + needed[key] > budget.disruptions_allowed:
                    return Objection(
                        pod, f"PodDisruptionBudget {key[0]}/{key[1]} is used up by other removals"
                    )
        return None

    def take(self, pods: Iterable[PodRecord]) -> None:
        """Count these evictions."""
        for pod in pods if self._index else ():
            for budget in self._asked(pod):
                self._taken[budget.namespace, budget.name] += 1

    def _asked(self, pod: PodRecord) -> Sequence[DisruptionBudget]:
        """The budgets that the API server asks when the pod is evicted: none for one that has ended or is on its way
        out (kubernetes pkg/registry/core/pod/storage/eviction.go, canIgnorePDB). It asks none for one that has not
        started either; but by then it may have."""
        if pod.deletion_timestamp is not None or pod.finished:
            return ()
        return self._index.covering(pod)
