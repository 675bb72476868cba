"""Drain rules answer as Cluster Autoscaler's do: 800 recorded nodes, each under three sets of options."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from springtide.api.duration import parse_duration
from springtide.api.settings import ScaleDownSettings
from springtide.cluster.manifests import (
    disruption_budget_from_manifest,
    pod_from_manifest,
    workload_from_manifest,
)
from springtide.cluster.records import PodRecord, Workload
from springtide.planning.budgets import BudgetIndex
from springtide.planning.drain_rules import DrainContext, node_drain, pod_verdict

Case = dict[str, Any]
CORPUS = Path(__file__).parent / "data" / "drain.jsonl.gz"
OWNERS = {
    "replicaSets": "ReplicaSet",
    "replicationControllers": "ReplicationController",
    "daemonSets": "DaemonSet",
    "jobs": "Job",
    "statefulSets": "StatefulSet",
}


def corpus() -> list[Case]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


CASES = corpus()


def owned(pod: PodRecord) -> PodRecord:
    """The corpus gives controllers of one name in several namespaces one uid; no API server would."""
    if pod.owner is None:
        return pod
    return replace(pod, owner=replace(pod.owner, uid=f"{pod.owner.kind}/{pod.namespace}/{pod.owner.name}"))


def workloads(case: Case) -> dict[str, Workload]:
    existing = [counted(manifest, kind) for field, kind in OWNERS.items() for manifest in case.get(field, [])]
    return {f"{each.kind}/{each.namespace}/{each.name}": each for each in existing}


def counted(manifest: Case, kind: str) -> Workload:
    """Absent replicas, which the API server never stores, are compared with nothing by Cluster Autoscaler."""
    workload = workload_from_manifest(manifest, kind=kind)
    return workload if "replicas" in manifest["spec"] else replace(workload, replicas=10**6)


def contexts(case: Case) -> list[DrainContext]:
    budgets = BudgetIndex(
        disruption_budget_from_manifest(manifest) for manifest in case.get("podDisruptionBudgets", [])
    )
    return [
        DrainContext(
            now=datetime.fromisoformat(case["now"]),
            workloads=workloads(case),
            budgets=budgets,
            settings=ScaleDownSettings(
                skip_nodes_with_system_pods=options["skipNodesWithSystemPods"],
                skip_nodes_with_local_storage=options["skipNodesWithLocalStorage"],
                skip_nodes_with_custom_controller_pods=options["skipNodesWithCustomControllerPods"],
                min_replica_count=options["minReplicaCount"],
                system_pod_block_timeout=parse_duration(options["bspDisruptionTimeout"]),
            ),
        )
        for options in case["optionSets"]
    ]


def test_the_corpus_is_whole() -> None:
    reasons = Counter(
        answer["blockingPod"]["reason"] if answer["blockingPod"] else None
        for case in CASES
        for answer in case["answer"]
    )
    assert len(CASES) == 800
    assert reasons[None] == 319 + 625
    assert min(reasons.values()) > 100


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_every_pod_and_node_gets_the_recorded_verdict(case: Case) -> None:
    pods = [owned(pod_from_manifest(manifest)) for manifest in case["pods"]]
    for context, answer in zip(contexts(case), case["answer"], strict=True):
        drain = node_drain(pods, context=context)
        assert [per_pod(pod, context) for pod in pods] == answer["perPod"]
        assert {
            "podsToMove": [pod.key for pod in drain.to_evict],
            "daemonSetPods": [pod.key for pod in drain.daemon_pods],
            "onCompletionPods": [pod.key for pod in drain.waiting_for],
            "blockingPod": drain.blocking_pod
            and {"pod": drain.blocking_pod.key, "reason": drain.verdict and drain.verdict.block},
        } == {key: answer[key] for key in ("podsToMove", "daemonSetPods", "onCompletionPods", "blockingPod")}


def per_pod(pod: PodRecord, context: DrainContext) -> dict[str, str]:
    verdict = pod_verdict(pod, context=context)
    recorded = {"pod": pod.key, "outcome": verdict.outcome.value}
    return recorded | ({"reason": verdict.block.value} if verdict.block else {})
