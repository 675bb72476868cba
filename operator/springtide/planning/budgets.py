"""Disruption budgets: which PodDisruptionBudgets cover a pod, and what is left of them as evictions are planned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from springtide.cluster.records import DisruptionBudget, PodRecord
from springtide.cluster.shape import PodShape


class BudgetIndex:
    """Finds the budgets of a pod; remembers the answer per shape, since equal shapes have equal labels."""

    def __init__(self, budgets: Iterable[DisruptionBudget]) -> None:
        self._by_namespace: defaultdict[str, list[DisruptionBudget]] = defaultdict(list)
        for budget in budgets:
            self._by_namespace[budget.namespace].append(budget)
        self._of_shape: dict[PodShape, tuple[DisruptionBudget, ...]] = {}

    def covering(self, pod: PodRecord) -> tuple[DisruptionBudget, ...]:
        """All budgets of the pod's namespace whose selector matches it. An absent selector matches nothing."""
        in_namespace = self._by_namespace.get(pod.namespace)
        if not in_namespace:
            return ()
        known = self._of_shape.get(pod.shape)
        if known is None:
            known = tuple(
                budget
                for budget in in_namespace
                if budget.selector is not None and budget.selector.matches(pod.shape.labels)
            )
            self._of_shape[pod.shape] = known
        return known


class RemainingDisruptions:
    """What the budgets still allow while one plan adds removals to each other.

    The evictions of one node may be made one after another, so a node alone needs no more than one allowed
    disruption of each budget (what Cluster Autoscaler asks too). Nodes that are drained at the same time
    must fit into the budgets together, or their drains would starve each other until they time out.
    """

    def __init__(self, index: BudgetIndex) -> None:
        self._index = index
        self._taken: Counter[tuple[str, str]] = Counter()

    def lacking(self, pods: Sequence[PodRecord]) -> DisruptionBudget | None:
        """The first budget that does not let these pods be evicted besides what was taken already, if any."""
        for budget, needed in self._needs(pods).values():
            taken = self._taken[budget.namespace, budget.name]
            if budget.disruptions_allowed < 1 or (taken and taken + needed > budget.disruptions_allowed):
                return budget
        return None

    def take(self, pods: Sequence[PodRecord]) -> None:
        """Count these evictions."""
        for key, (_, needed) in self._needs(pods).items():
            self._taken[key] += needed

    def _needs(self, pods: Sequence[PodRecord]) -> Mapping[tuple[str, str], tuple[DisruptionBudget, int]]:
        needs: dict[tuple[str, str], tuple[DisruptionBudget, int]] = {}
        for pod in pods:
            for budget in self._index.covering(pod):
                key = (budget.namespace, budget.name)
                needs[key] = (budget, needs[key][1] + 1 if key in needs else 1)
        return needs
