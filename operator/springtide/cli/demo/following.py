"""Keep hearing of a collection: list, then watch, and list again when the server forgot where we were."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from devcluster.api import Api, ApiError, Object

Sink = Callable[[str, Object], None]
"""Called with ADDED, MODIFIED or DELETED and the object; what was there at the start is ADDED."""

GONE = 410


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
        answer = await api.get(path, **params)
        # The items of a typed list do not name their kind; nothing here needs it.
        present = {item["metadata"]["uid"] for item in answer["items"]}
        for uid in known.keys() - present:
            hear("DELETED", known[uid])
        for item in answer["items"]:
            hear("ADDED", item)
        try:
            async for event in api.watch(path, since=answer["metadata"]["resourceVersion"], **params):
                hear(event["type"], event["object"])
        except ApiError as error:
            if error.status != GONE:
                raise
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            # The connection was cut in the middle of an event; a fresh list shows what was missed.
            continue
