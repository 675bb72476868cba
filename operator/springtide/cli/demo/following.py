"""Keep hearing of a collection: list, then watch, and list again when the server forgot where we were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

from devcluster.api import Api, ApiError, Object

Sink = Callable[[str, Object], None]
"""Called with ADDED, MODIFIED or DELETED and the object; what was there at the start is ADDED."""

GONE: Final = 410
RETRY_SECONDS: Final = 0.5


async def follow(api: Api, path: str, sink: Sink, **params: str) -> None:
    """Tell `sink` of every object of the collection at `path` and of its changes, until cancelled."""
    known: dict[str, Object] = {}

    def hear(kind: str, item: Object) -> None:
        uid = item["metadata"]["uid"]
        if kind == "DELETED":
            known.pop(uid, None)
        else:
            known[uid] = item
        sink(kind, item)

    while True:
        try:
            answer = await api.get(path, **params)
            present = {item["metadata"]["uid"] for item in answer["items"]}
            for uid in known.keys() - present:
                hear("DELETED", known[uid])
            for item in answer["items"]:
                hear("ADDED", item)
            async for event in api.watch(path, since=answer["metadata"]["resourceVersion"], **params):
                hear(event["type"], event["object"])
        except ApiError as error:
            if error.status != GONE:
                raise
        except aiohttp.ClientError:
            # Cut off, or the API server is away: a fresh list will show what was missed. Whether it comes back is
            # for whoever watches its process to say.
            await asyncio.sleep(RETRY_SECONDS)
