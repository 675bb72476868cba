"""What may befall one call of a process: stopped before it, stopped after it, request lost, answer lost."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

from tests.scenarios.door import Change, Door

KUBE_TIMEOUT_SECONDS: Final = 10.0
"""As actuation/node_api.py: so long a caller waits for the API server's answer."""
CLOUD_TIMEOUT_SECONDS: Final = 60.0
"""Longer than actuation waits: there it is the caller who gives up."""


class Mishap(StrEnum):
    STOPPED_BEFORE = "stopped before it"
    STOPPED_AFTER = "stopped after it"
    """It had its effect, but nobody heard the answer."""
    REQUEST_LOST = "request lost"
    """It never arrived; the process goes on, and cannot tell this from a lost answer."""
    ANSWER_LOST = "answer lost"
    """It had its effect; the process goes on."""

    @property
    def stops(self) -> bool:
        return self in (Mishap.STOPPED_BEFORE, Mishap.STOPPED_AFTER)

    @property
    def strikes_before(self) -> bool:
        return self in (Mishap.STOPPED_BEFORE, Mishap.REQUEST_LOST)


class Mischief:
    """A doorkeeper that counts all changes, and lets the mishap befall the one with number `at` (from 0)."""

    def __init__(self, mishap: Mishap | None = None, at: int = -1) -> None:
        self.changes: list[Change] = []
        self.stopped = asyncio.Event()
        """The process heard its last; somebody must kill what is left of it."""
        self.struck: Change | None = None
        self._mishap = mishap
        self._at = at

    async def before(self, change: Change, door: Door) -> None:
        self.changes.append(change)
        if len(self.changes) - 1 == self._at:
            self.struck = change
            if self._mishap is not None and self._mishap.strikes_before:
                await self._strike(change, door)

    async def after(self, change: Change, door: Door) -> None:
        # By identity: two calls may say the same.
        if change is self.struck and self._mishap is not None and not self._mishap.strikes_before:
            await self._strike(change, door)

    async def _strike(self, change: Change, door: Door) -> None:
        if self._mishap is not None and self._mishap.stops:
            door.closed = True
            self.stopped.set()
            await asyncio.Event().wait()  # until it is killed
        await asyncio.sleep(CLOUD_TIMEOUT_SECONDS if change.to_cloud else KUBE_TIMEOUT_SECONDS)
        raise change.unanswered()
