"""No storm after an outage: how often all informers together ask, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.cluster.kube import KubeClient
from springtide.cluster.watching import ClusterWatch

pytestmark = pytest.mark.looptime

OUTAGE_SECONDS = 600.0
PAGE = b'{"metadata":{"resourceVersion":"5"},"items":[]}'


class Server:
    """An API server that goes away and comes back, and what it was asked when."""

    def __init__(self) -> None:
        self.up = True
        self.forgot: set[str] = set()
        """Kinds (paths) of which it knows no old resourceVersion any more: etcd was compacted meanwhile."""
        self.asked: list[tuple[float, str]] = []
        self._cut = asyncio.Event()

    async def get(self, path: str, params: Any = None, *, timeout_seconds: float) -> bytes:
        self._note("list")
        await asyncio.sleep(0.05)
        self.forgot.discard(path)
        return PAGE

    @asynccontextmanager
    async def stream(
        self, path: str, params: Any = None, *, silence_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self._note("watch")
        if path in self.forgot:
            raise ApiError(status=410, reason="Expired")
        yield self._until_cut()

    async def _until_cut(self) -> AsyncIterator[bytes]:
        cut = self._cut
        while not cut.is_set():
            try:
                async with asyncio.timeout(60):
                    await cut.wait()
            except TimeoutError:
                yield b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"6"}}}\n'
        raise ApiUnreachable("connection reset")

    def _note(self, what: str) -> None:
        self.asked.append((asyncio.get_running_loop().time(), what))
        if not self.up:
            raise ApiUnreachable("connection refused")

    def goes_down(self) -> None:
        self.up = False
        self._cut.set()

    def comes_back(self, *, forgot: set[str]) -> None:
        self.up, self.forgot, self._cut = True, forgot, asyncio.Event()

    def asked_between(self, start: float, end: float) -> Counter[str]:
        return Counter(what for at, what in self.asked if start <= at < end)


async def outage(*, forgot: bool) -> tuple[Server, int, float]:
    """(the server, informers, when it came back)."""
    server = Server()
    watch = ClusterWatch(cast("KubeClient", server))
    watch.start()
    await asyncio.sleep(100)
    server.goes_down()
    await asyncio.sleep(OUTAGE_SECONDS)
    back = asyncio.get_running_loop().time()
    server.comes_back(forgot={each.resource.path for each in watch.informers} if forgot else set())
    await asyncio.sleep(60)
    await watch.stop()
    return server, len(watch.informers), back


async def test_during_an_outage_each_informer_asks_every_ten_seconds_or_so() -> None:
    server, informers, back = await outage(forgot=False)
    asked = server.asked_between(back - OUTAGE_SECONDS + 30, back).total()
    assert asked <= informers * OUTAGE_SECONDS / 5.0
    assert asked >= informers * OUTAGE_SECONDS / 15.0 * 0.8


async def test_when_it_is_back_each_informer_asks_once_and_not_all_in_one_second() -> None:
    server, informers, back = await outage(forgot=False)
    assert server.asked_between(back, back + 60) == {"watch": informers}
    busiest = max(server.asked_between(back + s, back + s + 1).total() for s in range(15))
    assert busiest <= informers / 2
    assert server.asked_between(back + 15, back + 60).total() == 0


async def test_even_when_it_forgot_everything_nobody_asks_more_than_thrice() -> None:
    server, informers, back = await outage(forgot=True)
    asked = server.asked_between(back, back + 60)
    assert asked == {"list": informers, "watch": 2 * informers}
    busiest = max(server.asked_between(back + s, back + s + 1).total() for s in range(15))
    assert busiest <= 1.5 * informers
