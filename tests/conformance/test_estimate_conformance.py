"""Packing is never worse than Cluster Autoscaler's estimator: at least as many pods on at most as many nodes.

Of the 160 recorded cases, those whose constraints are all simulated and that need no existing nodes.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from springtide.cluster.groups import Template
from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.cluster.records import DaemonSetRecord, Workload
from springtide.scheduling.fresh import FreshNode, fresh_node
from springtide.scheduling.packing import pack

Case = dict[str, Any]
CORPUS = Path(__file__).parent / "data" / "estimate.jsonl.gz"


def corpus() -> list[Case]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def is_simulated(case: Case) -> bool:
    shapes = [pod_from_manifest(group["pod"]).shape for group in case["groups"]]
    return not case.get("existingNodes") and not any(
        shape.unmodelled or shape.repels_others for shape in shapes
    )


ALL = corpus()
CASES = [case for case in ALL if is_simulated(case)]


def fresh(case: Case) -> FreshNode:
    node = node_from_manifest(case["template"])
    daemons = [
        DaemonSetRecord(
            workload=Workload(kind="DaemonSet", namespace="default", name=str(number), uid=str(number)),
            shape=pod_from_manifest(manifest).shape,
        )
        for number, manifest in enumerate(case["templatePods"])
    ]
    template = Template(
        capacity=node.capacity, allocatable=node.allocatable, labels=node.labels, taints=node.taints
    )
    return fresh_node(template, daemons)


def bar(answer: Case) -> tuple[int, int]:
    """(pods, nodes) to beat. Where its runs disagreed with each other, either of its two modes will do."""
    modes = [answer["default"]] if answer["stable"] else [answer["default"], answer["fastpath"]]
    return (
        max(mode["scheduledPodsRange"][0] for mode in modes),
        max(mode["nodeCountRange"][1] for mode in modes),
    )


def test_the_corpus_is_whole() -> None:
    assert len(ALL) == 160
    assert len(CASES) >= 55


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_no_more_nodes_for_no_fewer_pods(case: Case) -> None:
    demands = [(pod_from_manifest(group["pod"]).shape, group["count"]) for group in case["groups"]]
    packing = pack(fresh(case), demands, max_nodes=10_000)
    pods, nodes = bar(case["answer"])
    assert sum(packing.placed) >= pods
    assert packing.nodes <= nodes
