"""Equivalence: do our shapes tell apart pods that Cluster Autoscaler treats as one group? Reported only: shapes know no
controllers, and read of a pod what scheduling reads, so the two sort differently on purpose."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.manifests import pod_from_manifest
from tests.conformance.corpus import Case


def judge(case: Case) -> Mapping[str, str]:
    """Two lines: whether no group of theirs is split by our shapes, and whether we have no more shapes than groups."""
    pods = [pod_from_manifest(manifest) for manifest in case["pods"]]
    shapes = {pod.key: pod.shape.number for pod in pods}
    split = [group for group in case["answer"] if len({shapes[key] for key in group}) > 1]
    ours, theirs = len(set(shapes.values())), len(case["answer"])
    return {
        "equivalence": f"{len(split)} of {theirs} groups have pods of several shapes, e.g. {split[0]}"
        if split
        else "",
        "equivalence-fewer": f"{ours} shapes, recorded {theirs} groups" if ours > theirs else "",
    }
