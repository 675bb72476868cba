"""Utilization of a node equals Cluster Autoscaler's, with and without DaemonSet and mirror pods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.planning.scale_down.utilization import LeftOut, Utilization, utilization
from tests.conformance.corpus import Case
from tests.conformance.judging import unlike

TOLERANCE: Final = 1e-2
"""Requests are whole milli-CPUs per pod, as the scheduler counts them; the corpus sums finer fractions."""


def judge(case: Case) -> Mapping[str, str]:
    """One line: right when all four ways of counting give the recorded numbers."""
    node = node_from_manifest(case["node"])
    pods = [pod_from_manifest(manifest) for manifest in case["pods"]]
    for answer in case["answer"]:
        left_out = LeftOut(daemon_pods=answer["skipDaemonSetPods"], mirror_pods=answer["skipMirrorPods"])
        found = utilization(
            node,
            pods,
            now=datetime.fromisoformat(case["now"]),
            left_out=left_out,
            gpu_labels=(case["gpuLabel"],),
        )
        difference = _difference(found, answer)
        if difference:
            return {"utilization": f"{left_out}: {difference}"}
    return {"utilization": ""}


def _difference(found: Utilization | None, answer: Case) -> str:
    if found is None or "error" in answer:
        return unlike(found is None, "error" in answer, of="not computable")
    if found.resource != answer["resource"]:
        return unlike(found.resource, answer["resource"], of="the resource that decides")
    parts = {"cpu": found.cpu, "memory": found.memory, "gpu": found.gpu, "utilization": found.value}
    for part, value in parts.items():
        # The corpus writes "+Inf", "-Inf" and "NaN" as text.
        if not _close(value, float(answer[part])):
            return unlike(value, answer[part], of=part)
    return ""


def _close(value: float, recorded: float) -> bool:
    if math.isnan(value) or math.isnan(recorded):
        return math.isnan(value) and math.isnan(recorded)
    return value == recorded or math.isclose(value, recorded, rel_tol=TOLERANCE)
