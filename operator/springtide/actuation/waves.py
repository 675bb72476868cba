"""In which order the pods of a node go: by priority, lower first, so that others outlive what they serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from springtide.actuation.residents import grace_seconds
from springtide.cluster.records import PodRecord


def waves(pods: Iterable[PodRecord]) -> Sequence[Sequence[PodRecord]]:
    """The pods by priority, the lowest first; those of equal priority go together. (Cluster Autoscaler's
    --drain-priority-config and the kubelet's graceful shutdown have the same order.)"""
    by_priority: dict[int, list[PodRecord]] = {}
    for pod in pods:
        by_priority.setdefault(pod.shape.priority, []).append(pod)
    return [by_priority[priority] for priority in sorted(by_priority)]


def patience_seconds(pods: Iterable[PodRecord], *, most: timedelta) -> int:
    """How long pods wait for those of lower priority to be gone, altogether: the longest graces of all waves but the
    last, at most `most` (maxGracefulTermination), or many priorities would take hours."""
    earlier = waves(pods)[:-1]
    graces = [max(grace_seconds(pod, most=most) for pod in wave) for wave in earlier]
    return min(sum(graces), int(most.total_seconds()))
