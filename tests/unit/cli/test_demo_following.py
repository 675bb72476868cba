"""Following a collection through an API server that forgets, cuts and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from devcluster.api import ApiError
from springtide.cli.demo.following import follow

pytestmark = pytest.mark.looptime


def thing(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}}


class Server:
    """Answers each list and its watch from a script: the items, the events, and how the watch ends."""

    def __init__(self, *acts: tuple[list[str], list[tuple[str, str]], Exception]) -> None:
        self._acts = list(acts)

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        items, self._events, self._ending = self._acts.pop(0)
        return {"metadata": {"resourceVersion": "1"}, "items": [thing(name) for name in items]}

    async def watch(self, path: str, *, since: str, **params: str) -> AsyncIterator[dict[str, Any]]:
        for kind, name in self._events:
            yield {"type": kind, "object": thing(name)}
        raise self._ending


def refusal(status: int) -> ApiError:
    return ApiError(request="GET /things?watch", status=status, text="{}")


@pytest.mark.parametrize(
    "ending", [refusal(410), aiohttp.ClientPayloadError(), aiohttp.ServerDisconnectedError()]
)
async def test_what_was_missed_is_told_after_the_next_list(ending: Exception) -> None:
    server = Server(
        (["a", "b"], [("ADDED", "c"), ("DELETED", "a")], ending), (["c"], [("MODIFIED", "c")], refusal(403))
    )
    heard: list[tuple[str, str]] = []
    with pytest.raises(ApiError, match="403"):
        await follow(server, "/things", lambda kind, item: heard.append((kind, item["metadata"]["name"])))  # type: ignore[arg-type]
    assert heard == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("ADDED", "c"),
        ("DELETED", "a"),
        ("DELETED", "b"),
        ("ADDED", "c"),
        ("MODIFIED", "c"),
    ]


async def test_it_goes_on_until_cancelled_while_the_server_is_away() -> None:
    class Away:
        asked = 0

        async def get(self, path: str, **params: str) -> dict[str, Any]:
            self.asked += 1
            raise aiohttp.ClientConnectionError

    away = Away()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(follow(away, "/things", lambda kind, item: None), timeout=10)  # type: ignore[arg-type]
    assert away.asked == 20
