"""Similarity of two nodes equals Cluster Autoscaler's, by the rules of each kind of provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from springtide.api.policy import SimilaritySettings
from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.planning.groups.similarity import Rules, Sample, difference
from tests.conformance.corpus import Case


def judge(case: Case) -> Mapping[str, str]:
    """One line for each provider's rules, and one for balancing labels."""
    one = _sample(case["nodeA"], case["podsA"])
    other = _sample(case["nodeB"], case["podsB"])
    lines: dict[str, str] = {}
    for kind, similar in case["answer"].items():
        found = difference(one, other, _rules(case, kind))
        wrong = (found is None) != similar
        said = f"{found or 'similar'}, recorded {'similar' if similar else 'not similar'}"
        lines[f"similarity-{kind}"] = said if wrong else ""
    return lines


def _sample(node: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> Sample:
    record = node_from_manifest(node)
    requested: dict[str, int] = {}
    for manifest in pods:
        for resource, amount in pod_from_manifest(manifest).shape.requests.items():
            requested[resource] = requested.get(resource, 0) + amount
    return Sample(record.labels, record.capacity, record.allocatable, requested)


def _rules(case: Case, kind: str) -> Rules:
    settings = SimilaritySettings(
        ignored_labels=tuple(case.get("ignoreLabels", ())),
        balancing_labels=tuple(case["balancingLabels"]) if kind == "label" else (),
    )
    rules = Rules.of(settings, provider=kind)
    ratios = case.get("ratios")
    if ratios is None:
        return rules
    return replace(
        rules,
        allocatable=ratios["MaxAllocatableDifferenceRatio"],
        free=ratios["MaxFreeDifferenceRatio"],
        memory_capacity=ratios["MaxCapacityMemoryDifferenceRatio"],
    )
