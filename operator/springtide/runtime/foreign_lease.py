"""Whether a Cluster Autoscaler holds its Lease: by what we see it write, for the times in it are another machine's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.records import LeaseRecord

MOST_SKEW: Final = timedelta(minutes=5)
"""Clocks differ by less. One that was renewed longer ago than that, by our clock, was left behind by the dead."""


class ForeignLease:
    """Looked at in each pass."""

    def __init__(self) -> None:
        self._seen: LeaseRecord | None = None
        self._since = 0.0
        """By the loop's clock: since when it is just as we saw it last."""

    def holder(self, lease: LeaseRecord | None, *, wall: datetime, monotonic: float) -> str:
        """Who runs Cluster Autoscaler here; empty when nobody does.

        It is there while its Lease was seen to change within the Lease's duration. One seen for the first time gets that
        long to change, unless it is older than clocks differ.
        """
        first = self._seen is None
        changed = lease is not None and lease != self._seen
        self._seen = lease
        if lease is None or not lease.holder or lease.renewed_at is None:
            return ""
        age, duration = wall - lease.renewed_at, timedelta(seconds=lease.duration_seconds)
        if changed:
            by_the_dead = first and age > MOST_SKEW + duration
            self._since = monotonic - duration.total_seconds() - 1 if by_the_dead else monotonic
        return lease.holder if monotonic - self._since <= duration.total_seconds() else ""
