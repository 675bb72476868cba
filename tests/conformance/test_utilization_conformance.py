"""Utilization equals Cluster Autoscaler's: 320 recorded nodes, with and without DaemonSet and mirror pods."""

from __future__ import annotations

import gzip
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.planning.utilization import LeftOut, utilization

Case = dict[str, Any]
CORPUS = Path(__file__).parent / "data" / "utilization.jsonl.gz"


def corpus() -> list[Case]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


CASES = corpus()


def number(recorded: float | str) -> float:
    """The corpus writes "+Inf", "-Inf" and "NaN" as text."""
    return float(recorded)


def test_the_corpus_is_whole() -> None:
    answers = [answer for case in CASES for answer in case["answer"]]
    assert len(answers) == 1280
    assert sum("error" in answer for answer in answers) == 56


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_the_recorded_utilization(case: Case) -> None:
    node = node_from_manifest(case["node"])
    pods = [pod_from_manifest(manifest) for manifest in case["pods"]]
    for answer in case["answer"]:
        found = utilization(
            node,
            pods,
            now=datetime.fromisoformat(case["now"]),
            left_out=LeftOut(daemon_pods=answer["skipDaemonSetPods"], mirror_pods=answer["skipMirrorPods"]),
            gpu_labels=(case["gpuLabel"],),
        )
        if "error" in answer:
            assert found is None
            continue
        assert found is not None
        assert found.resource == answer["resource"]
        for part in ("cpu", "memory", "gpu"):
            close_to(getattr(found, part), number(answer[part]))
        close_to(found.value, number(answer["utilization"]))


def close_to(value: float, recorded: float) -> None:
    # Requests are whole milli-CPUs per pod, as the scheduler counts them; the corpus sums finer fractions.
    assert math.isnan(value) == math.isnan(recorded)
    if not math.isnan(recorded):
        assert value == pytest.approx(recorded, rel=1e-2)
