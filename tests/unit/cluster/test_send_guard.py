"""The last look before a change is sent: what may not be sent does not reach the server, not even its first byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from springtide.cluster.access import Access
from springtide.cluster.kube import KubeClient
from springtide.runtime.kopf_host import session_login


class NotNow(Exception):
    """What the guard says in these tests."""


class Server:
    """Counts the bytes that reach it; answers everything with an empty object."""

    def __init__(self) -> None:
        self.url = ""
        self.received = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.received += data
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield made
    listening.close()


class Guard:
    """Lets everything through until it is shut."""

    def __init__(self) -> None:
        self.shut = False

    def __call__(self) -> None:
        if self.shut:
            raise NotNow


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("connected", [False, True], ids=["first request", "on a connection that is open"])
async def test_a_change_that_is_not_allowed_any_more_is_not_sent(
    server: Server, verb: str, connected: bool
) -> None:
    guard = Guard()

    async def load() -> Access:
        return Access(server=server.url, ssl_context=None)

    async with KubeClient(load, leave=guard) as client:
        if connected:
            await client.post("/warm-up", {})
        before, guard.shut = server.received, True
        with pytest.raises(NotNow):
            await getattr(client, verb)("/api/v1/nodes/n", {"spec": {}})
        await client.get("/api/v1/nodes")
        assert verb.upper().encode() not in server.received[len(before) :]
        guard.shut = False
        await getattr(client, verb)("/api/v1/nodes/n", {"spec": {}})
        assert verb.upper().encode() in server.received


async def test_kopf_is_held_back_too(server: Server) -> None:
    guard = Guard()
    guard.shut = True

    async def load() -> Access:
        return Access(server=server.url, ssl_context=None)

    login = await session_login(load, guard)()
    async with login.aiohttp_session as session:
        with pytest.raises(NotNow):
            await session.patch(server.url, json={"metadata": {"finalizers": []}})
        assert server.received == b""
        async with session.get(server.url) as answer:
            assert answer.status == 200
