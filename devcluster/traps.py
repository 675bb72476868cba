"""Catching one request on its way, and holding it: so that a test can kill whoever sent it exactly there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Generic, TypeVar

R = TypeVar("R")


class Moment(StrEnum):
    """When a request is caught."""

    BEFORE = "before"
    """It has arrived, and nothing was done yet."""
    AFTER = "after"
    """It was accepted and has taken effect; whoever sent it has not heard so."""


class Trap(Generic[R]):
    """Catches the nth request that matches, and only that; it is held until `let_go` or `drop`."""

    def __init__(self, matches: Callable[[R], bool], *, moment: Moment, nth: int) -> None:
        self.moment = moment
        self._matches = matches
        self._left = nth
        loop = asyncio.get_running_loop()
        self._caught: asyncio.Future[R] = loop.create_future()
        self._goes_on: asyncio.Future[bool] = loop.create_future()

    async def caught(self, *, timeout: float) -> R:
        """Wait until the request is held; the request. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await asyncio.shield(self._caught)

    @property
    def has_caught(self) -> bool:
        """Whether a request was caught."""
        return self._caught.done()

    def let_go(self) -> None:
        """The request goes on (or its answer does); later ones are not held."""
        self._decide(goes_on=True)

    def drop(self) -> None:
        """The connection breaks: the request is never seen, or its answer is not."""
        self._decide(goes_on=False)

    def _decide(self, *, goes_on: bool) -> None:
        if not self._goes_on.done():
            self._goes_on.set_result(goes_on)

    async def pass_by(self, moment: Moment, request: R) -> bool:
        """Hold the request if it is the one; False when it shall be dropped."""
        if moment is not self.moment or self._caught.done() or self._goes_on.done():
            return True
        if not self._matches(request):
            return True
        self._left -= 1
        if self._left:
            return True
        self._caught.set_result(request)
        # Shielded: the sender that is killed now cancels its request, and the trap may be asked again later.
        return await asyncio.shield(self._goes_on)


class Traps(Generic[R]):
    """The traps set on one way, and those who look on."""

    def __init__(self) -> None:
        self._traps: list[Trap[R]] = []
        self._onlookers: list[Callable[[R], Awaitable[None]]] = []

    @contextmanager
    def seen_by(self, onlooker: Callable[[R], Awaitable[None]]) -> Iterator[None]:
        """Show every request to `onlooker` before anything is done; it waits until the onlooker has seen enough."""
        self._onlookers.append(onlooker)
        try:
            yield
        finally:
            self._onlookers.remove(onlooker)

    def set(self, matches: Callable[[R], bool], *, moment: Moment = Moment.BEFORE, nth: int = 1) -> Trap[R]:
        """Catch the nth request that matches from now on; AFTER counts only those that were accepted."""
        trap = Trap(matches, moment=moment, nth=nth)
        self._traps.append(trap)
        return trap

    def clear(self) -> None:
        """Take all traps away; what they hold goes on."""
        for trap in self._traps:
            trap.let_go()
        self._traps.clear()

    async def pass_by(self, moment: Moment, request: R) -> bool:
        """Let a request pass all traps; False when one of them drops it."""
        if moment is Moment.BEFORE:
            for onlooker in tuple(self._onlookers):
                await onlooker(request)
        for trap in tuple(self._traps):
            if not await trap.pass_by(moment, request):
                return False
        return True
