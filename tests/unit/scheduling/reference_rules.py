"""The scheduler's rules between pods, plain and slow: for one pod and one node, look at every pod of the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.verdict import Plugin
from tests.unit.scheduling.reference import ReferenceNode, rejection, tainted, unwanted


@dataclass
class ReferenceCluster:
    """Nodes in order; gone ones are None, so that the others keep their places."""

    nodes: list[ReferenceNode | None]
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def copy(self) -> ReferenceCluster:
        return ReferenceCluster([node and node.copy() for node in self.nodes], self.namespaces)

    @property
    def there(self) -> Iterator[ReferenceNode]:
        return (node for node in self.nodes if node is not None)

    def rejection(self, shape: PodShape, node: ReferenceNode) -> Plugin | None:
        """The first plugin, in the scheduler's order, that keeps the pod off the node."""
        others_last = rejection(shape, node)
        if others_last not in (None, Plugin.NOT_MODELLED):
            return others_last
        if any(self._skews(shape, constraint, node) for constraint in shape.spread):
            return Plugin.POD_TOPOLOGY_SPREAD
        if self._lonely(shape, node) or self._crowded(shape, node) or self._unwelcome(shape, node):
            return Plugin.INTER_POD_AFFINITY
        return others_last

    def takes(self, shape: PodShape, node: ReferenceNode | None) -> bool:
        return node is not None and not node.withdrawn and self.rejection(shape, node) is None

    def place_one(self, shape: PodShape) -> int | None:
        """Put one pod on the first node that takes it; its index."""
        for index, node in enumerate(self.nodes):
            if node is not None and self.takes(shape, node):
                node.pods.append(shape)
                return index
        return None

    def room(self, shape: PodShape, index: int) -> int:
        """How many more pods the node takes, one after the other, nothing else changing."""
        trial = self.copy()
        placed = 0
        node = trial.nodes[index]
        while node is not None and trial.takes(shape, node):
            node.pods.append(shape)
            placed += 1
        return placed

    # --- PodTopologySpread ----------------------------------------------------------------------------------

    def _skews(self, shape: PodShape, constraint: SpreadConstraint, node: ReferenceNode) -> bool:
        key = constraint.topology_key
        if key not in node.labels:
            return True
        pods: Counter[str] = Counter()
        domains: set[str] = set()
        for other in self.there:
            if self._counts_for(shape, constraint, other):
                domains.add(other.labels[key])
                pods[other.labels[key]] += sum(
                    self._spreads(constraint.selector, shape, pod) for pod in _alive(other)
                )
        fewest = min((pods[domain] for domain in domains), default=0)
        if len(domains) < constraint.min_domains:
            fewest = 0
        one_more = self._spreads(constraint.selector, shape, shape)
        return pods[node.labels[key]] + one_more - fewest > constraint.max_skew

    def _counts_for(self, shape: PodShape, constraint: SpreadConstraint, node: ReferenceNode) -> bool:
        if any(each.topology_key not in node.labels for each in shape.spread):
            return False
        if constraint.honors_affinity and unwanted(shape, node):
            return False
        return not (constraint.honors_taints and tainted(shape, node))

    def _spreads(self, selector: LabelSelector | None, shape: PodShape, pod: PodShape) -> bool:
        if selector is None or not selector.requirements:
            return False
        return pod.namespace == shape.namespace and _selected(selector, pod.labels)

    # --- InterPodAffinity -----------------------------------------------------------------------------------

    def _lonely(self, shape: PodShape, node: ReferenceNode) -> bool:
        terms = shape.pod_affinity
        if any(term.topology_key not in node.labels for term in terms):
            return True
        friends = [(pod, at) for at in self.there for pod in at.pods if self._all_mean(terms, pod)]
        if all(any(_together(term.topology_key, at, node) for _, at in friends) for term in terms):
            return False
        anywhere = any(term.topology_key in at.labels for term in terms for _, at in friends)
        return anywhere or not self._all_mean(terms, shape)

    def _crowded(self, shape: PodShape, node: ReferenceNode) -> bool:
        return any(
            self._newcomer_means(term, pod) and _together(term.topology_key, at, node)
            for term in shape.pod_anti_affinity
            for at in self.there
            for pod in at.pods
        )

    def _unwelcome(self, shape: PodShape, node: ReferenceNode) -> bool:
        return any(
            self._means(term, shape) and _together(term.topology_key, at, node)
            for at in self.there
            for pod in at.pods
            for term in pod.pod_anti_affinity
        )

    def _all_mean(self, terms: tuple[PodAffinityTerm, ...], pod: PodShape) -> bool:
        return bool(terms) and all(self._newcomer_means(term, pod) for term in terms)

    def _newcomer_means(self, term: PodAffinityTerm, pod: PodShape) -> bool:
        """The scheduler also tries a newcomer's namespaceSelector on no labels at all."""
        if self._means(term, pod):
            return True
        everywhere = term.namespace_selector is not None and _selected(term.namespace_selector, {})
        return everywhere and term.selector is not None and _selected(term.selector, pod.labels)

    def _means(self, term: PodAffinityTerm, pod: PodShape) -> bool:
        if term.selector is None or not _selected(term.selector, pod.labels):
            return False
        if pod.namespace in term.namespaces:
            return True
        labels = {"kubernetes.io/metadata.name": pod.namespace, **self.namespaces.get(pod.namespace, {})}
        return term.namespace_selector is not None and _selected(term.namespace_selector, labels)


def _alive(node: ReferenceNode) -> list[PodShape]:
    alive = list(node.pods)
    for pod in node.terminating:
        alive.remove(pod)
    return alive


def _together(key: str, one: ReferenceNode, other: ReferenceNode) -> bool:
    return key in one.labels and one.labels[key] == other.labels.get(key)


def _selected(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    for requirement in selector.requirements:
        there = requirement.key in labels
        chosen = there and labels[requirement.key] in requirement.values
        verdict = {"In": chosen, "NotIn": not chosen, "Exists": there, "DoesNotExist": not there}
        if not verdict[requirement.operator.value]:
            return False
    return True
