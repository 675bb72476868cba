"""Drain: which pods of a node move, which keep it, and by which rule, equal Cluster Autoscaler's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from springtide.api.duration import parse_duration
from springtide.api.settings import ScaleDownSettings
from springtide.cluster.manifests import (
    disruption_budget_from_manifest,
    pod_from_manifest,
    workload_from_manifest,
)
from springtide.cluster.records import PodRecord, Workload
from springtide.planning.scale_down.budgets import BudgetIndex
from springtide.planning.scale_down.drain_rules import DrainContext, node_drain, pod_verdict
from tests.conformance.corpus import Case
from tests.conformance.judging import unlike

OWNERS: Final = {
    "replicaSets": "ReplicaSet",
    "replicationControllers": "ReplicationController",
    "daemonSets": "DaemonSet",
    "jobs": "Job",
    "statefulSets": "StatefulSet",
}


def judge(case: Case) -> Mapping[str, str]:
    """One line: right when every pod and the node get the recorded outcome under every set of options."""
    pods = [_owned(pod_from_manifest(manifest)) for manifest in case["pods"]]
    for number, (context, answer) in enumerate(zip(_contexts(case), case["answer"], strict=True)):
        drain = node_drain(pods, context=context)
        ours = {
            "perPod": [_per_pod(pod, context) for pod in pods],
            "podsToMove": [pod.key for pod in drain.to_evict],
            "daemonSetPods": [pod.key for pod in drain.daemon_pods],
            "onCompletionPods": [pod.key for pod in drain.waiting_for],
            "blockingPod": drain.blocking_pod
            and {"pod": drain.blocking_pod.key, "reason": drain.verdict and drain.verdict.block},
        }
        for part, value in ours.items():
            if value != answer[part]:
                return {"drain": unlike(value, answer[part], of=f"options {number}, {part}")}
    return {"drain": ""}


def _owned(pod: PodRecord) -> PodRecord:
    """The corpus gives controllers of one name in several namespaces one uid; no API server would."""
    if pod.owner is None:
        return pod
    return replace(pod, owner=replace(pod.owner, uid=f"{pod.owner.kind}/{pod.namespace}/{pod.owner.name}"))


def _workloads(case: Case) -> dict[str, Workload]:
    existing = [
        _counted(manifest, kind) for field, kind in OWNERS.items() for manifest in case.get(field, [])
    ]
    return {f"{each.kind}/{each.namespace}/{each.name}": each for each in existing}


def _counted(manifest: Case, kind: str) -> Workload:
    """Absent replicas, which the API server never stores, are compared with nothing by Cluster Autoscaler."""
    workload = workload_from_manifest(manifest, kind=kind)
    return workload if "replicas" in manifest["spec"] else replace(workload, replicas=10**6)


def _contexts(case: Case) -> list[DrainContext]:
    budgets = BudgetIndex(
        disruption_budget_from_manifest(manifest) for manifest in case.get("podDisruptionBudgets", [])
    )
    return [
        DrainContext(
            now=datetime.fromisoformat(case["now"]),
            workloads=_workloads(case),
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


def _per_pod(pod: PodRecord, context: DrainContext) -> dict[str, str]:
    verdict = pod_verdict(pod, context=context)
    outcome = {"pod": pod.key, "outcome": verdict.outcome.value}
    return outcome | ({"reason": verdict.block.value} if verdict.block else {})
