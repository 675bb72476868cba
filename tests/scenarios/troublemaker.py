"""A doorkeeper for random stories: makes the next calls fail, or stops the process at one of them."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from typing import Final

from springtide.cluster.api_errors import ApiError
from tests.scenarios.door import Change, Door


class Trouble(StrEnum):
    """What may befall a call to the API server."""

    CONFLICT = "409"
    OVERLOADED = "429"
    BROKEN = "500"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"


ANSWERS: Final = {
    Trouble.CONFLICT: ApiError(status=409, reason="Conflict", message="the object has been modified"),
    Trouble.OVERLOADED: ApiError(status=429, reason="TooManyRequests", message="slow down", retry_after=2.0),
    Trouble.BROKEN: ApiError(status=500, reason="InternalError", message="etcd is unwell"),
}
LOST_SECONDS: Final = 10.0
"""So long the client waits for an answer."""


class Troublemaker:
    """Hinders by order."""

    def __init__(self) -> None:
        self.troubles: deque[Trouble] = deque()
        """What befalls the next calls to the API server, one each."""
        self.stopped = asyncio.Event()
        self._stop_in = -1
        self._stop_after_effect = False
        self._losing: set[int] = set()
        """Changes (by identity) whose answers get lost."""

    def stop_at(self, number: int, *, after_effect: bool) -> None:
        """Stop the process at its change with this number from now (0: the next)."""
        self.stopped.clear()
        self._stop_in, self._stop_after_effect = number, after_effect

    def let_go(self) -> None:
        """No trouble any more."""
        self._stop_in = -1
        self.troubles.clear()

    async def before(self, change: Change, door: Door) -> None:
        if self._stop_in == 0 and not self._stop_after_effect:
            await self._stop(door)
        if change.to_cloud or not self.troubles:
            return
        trouble = self.troubles.popleft()
        if trouble is Trouble.ANSWER_LOST:
            self._losing.add(id(change))
        elif trouble is Trouble.REQUEST_LOST:
            await asyncio.sleep(LOST_SECONDS)
            raise change.unanswered()
        else:
            raise ANSWERS[trouble]

    async def after(self, change: Change, door: Door) -> None:
        if self._stop_in == 0 and self._stop_after_effect:
            await self._stop(door)
        self._stop_in = max(-1, self._stop_in - 1)
        if id(change) in self._losing:
            self._losing.discard(id(change))
            await asyncio.sleep(LOST_SECONDS)
            raise change.unanswered()

    async def _stop(self, door: Door) -> None:
        self._stop_in = -1
        door.closed = True
        self.stopped.set()
        await asyncio.Event().wait()  # until it is killed
