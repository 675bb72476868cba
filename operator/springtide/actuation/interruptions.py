"""The two ways in which a removal leaves its path."""

from __future__ import annotations

from springtide.actuation.outcome import RollbackReason
from springtide.cluster.records import PodRecord


class Rollback(Exception):
    """The removal must be undone."""

    def __init__(self, reason: RollbackReason, message: str, *, pod: PodRecord | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.pod = pod


class Stuck(Exception):
    """The removal can neither go on nor be undone now; str() says why. It is resumed later."""
