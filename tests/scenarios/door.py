"""The door of a process: what it says to API server and clouds goes through here, where it can be counted and hindered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from springtide.cluster.api_errors import ApiUnreachable
from springtide.providers.base import AmbiguousError

CALL_SECONDS: Final = 0.01
"""A call takes so long until its effect, and again until its answer."""

CHANGING: ContextVar[bool] = ContextVar("CHANGING", default=False)
"""True inside a change that went through a door: the API server notes changes by processes that did not."""


@dataclass(frozen=True, slots=True)
class Change:
    """One call that is meant to change something. Events are left out: they explain, and are lost without harm."""

    verb: str
    """ "patch Node", "raise target", …: what the points of a story are counted by."""
    subject: str
    to_cloud: bool = False

    def unanswered(self) -> Exception:
        """What the caller sees when the answer does not come: it may have happened or not."""
        message = f"{self.verb} {self.subject}: the answer was lost"
        return AmbiguousError(message) if self.to_cloud else ApiUnreachable(message)

    def __str__(self) -> str:
        return f"{self.verb} {self.subject}"


class Doorkeeper(Protocol):
    """Is told of every change, and may hinder it by raising, by waiting, or by closing the door."""

    async def before(self, change: Change, door: Door) -> None: ...

    async def after(self, change: Change, door: Door) -> None: ...


class Unhindered:
    """Lets everything pass."""

    async def before(self, change: Change, door: Door) -> None:
        pass

    async def after(self, change: Change, door: Door) -> None:
        pass


class Door:
    """A killed process hears nothing any more, and nobody hears it."""

    def __init__(self, keeper: Doorkeeper | None = None) -> None:
        self.closed = False
        self._keeper = keeper or Unhindered()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Around a call that changes nothing that counts: reads, events."""
        await self._way()
        yield
        await self._way()

    @asynccontextmanager
    async def changing(self, verb: str, subject: str, *, to_cloud: bool = False) -> AsyncIterator[None]:
        """Around the effect of a call that changes something: all of those, so that none escapes who counts them."""
        change = Change(verb, subject, to_cloud)
        await self._way()
        await self._keeper.before(change, self)
        self.check()
        inside = CHANGING.set(True)
        try:
            yield
        except Exception:
            # A refusal is an answer, too: it can be lost like any other.
            await self._keeper.after(change, self)
            raise
        finally:
            CHANGING.reset(inside)
        await self._keeper.after(change, self)
        await self._way()

    async def _way(self) -> None:
        self.check()
        await asyncio.sleep(CALL_SECONDS)
        self.check()

    def check(self) -> None:
        if self.closed:
            raise asyncio.CancelledError("the process was killed")
