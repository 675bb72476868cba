"""Which pods of a node matter to its removal, and the grace they get."""

from __future__ import annotations

from datetime import datetime, timedelta

from springtide.cluster.annotations import ENABLE_DS_EVICTION
from springtide.cluster.records import PodRecord
from springtide.planning.scale_down.drain_rules import long_terminating


def needs_a_place(pod: PodRecord, *, now: datetime, expendable_below: int) -> bool:
    """True for pods that must live on elsewhere: of no DaemonSet, no mirror, not finished, not lost, not expendable."""
    if pod.is_daemon or pod.is_mirror or pod.finished:
        return False
    if pod.shape.priority < expendable_below:
        return False
    return not long_terminating(pod, now=now)


def grace_seconds(pod: PodRecord, *, most: timedelta) -> int:
    """The grace an eviction gives, in seconds: the pod's own, at most `most`."""
    return max(0, min(pod.termination_grace_seconds, int(most.total_seconds())))


def wants_daemon_eviction(pod: PodRecord, *, by_default: bool) -> bool:
    """Whether a DaemonSet's pod is ended gracefully before the node goes; its annotation has the last word."""
    if not pod.is_daemon or pod.is_mirror or pod.finished:
        return False
    said = pod.annotations.get(ENABLE_DS_EVICTION)
    return said == "true" if said in ("true", "false") else by_default
