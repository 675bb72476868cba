"""A tiny API server on a real loopback socket: list, watch, and every way in which those go wrong."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from aiohttp import web

Answer = web.StreamResponse | None
Fault = Callable[[web.Request], Answer | Awaitable[Answer]]
"""Looks at a request and answers it, or returns None to let it pass."""


async def eventually(condition: Callable[[], Any], *, within_seconds: float = 5.0) -> None:
    """Wait until the condition holds; fail the test if it does not in time."""
    async with asyncio.timeout(within_seconds):
        while not condition():  # noqa: ASYNC110 - any condition, also of things that know no events
            await asyncio.sleep(0.002)


def status(code: int, reason: str, message: str = "", **extra: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code} | {
        "reason": reason,
        "message": message or reason,
        **extra,
    }


def refusal(code: int, reason: str, *, retry_after: int | None = None, body: str | None = None) -> Fault:
    """A fault that answers a request with an error."""

    def answer(_request: web.Request) -> web.Response:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        text = json.dumps(status(code, reason)) if body is None else body
        return web.Response(status=code, text=text, headers=headers, content_type="application/json")

    return answer


@dataclass
class KubeApi:
    """Objects by collection path; what was asked is in `requests`, what shall fail next in `faults`."""

    url: str = ""
    resource_version: int = 10
    collections: dict[str, dict[tuple[str, str], dict[str, Any]]] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    list_faults: deque[Fault] = field(default_factory=deque)
    watch_faults: deque[Fault] = field(default_factory=deque)
    any_faults: deque[Fault] = field(default_factory=deque)
    compacted_at: int = 0
    down: bool = False
    """Every request is broken off at the socket."""
    watching: list[web.StreamResponse] = field(default_factory=list)
    _history: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    # --- what tests do to the cluster

    def put(self, path: str, manifest: dict[str, Any], *, silently: bool = False) -> None:
        """Create or change an object; `silently` leaves it out of every watch, like an event that was lost."""
        meta = manifest["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        known = self.collections.setdefault(path, {})
        kind = "MODIFIED" if key in known else "ADDED"
        self.resource_version += 1
        stored = {**manifest, "metadata": {**meta, "resourceVersion": str(self.resource_version)}}
        known[key] = stored
        if not silently:
            self._tell(path, {"type": kind, "object": stored})

    def remove(self, path: str, name: str, namespace: str = "", *, silently: bool = False) -> None:
        gone = self.collections[path].pop((namespace, name))
        self.resource_version += 1
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.resource_version)}}
        if not silently:
            self._tell(path, {"type": "DELETED", "object": gone})

    def bookmark(self, path: str) -> None:
        self.resource_version += 1
        meta = {"resourceVersion": str(self.resource_version)}
        self._tell(path, {"type": "BOOKMARK", "object": {"kind": "Bookmark", "metadata": meta}})

    def send(self, path: str, event: dict[str, Any]) -> None:
        """Send any event to the open watches of a collection."""
        self._tell(path, event)

    def compact(self) -> None:
        """Forget all history: older resourceVersions and page tokens are 410 from now on."""
        self.resource_version += 1
        self.compacted_at = self.resource_version
        self._history.clear()

    async def cut_watches(self, *, leaving: bytes = b"") -> None:
        """Break all open watches at the socket, after `leaving` (part of a line) was sent."""
        for response in self.watching:
            if leaving:
                await response.write(leaving)
                await asyncio.sleep(0)
            transport = response._req.transport if response._req is not None else None
            if transport is not None:
                transport.close() if leaving else transport.abort()
        self.watching.clear()

    def asked(self, kind: str) -> list[web.Request]:
        """Requests so far: "list" or "watch"."""
        return [r for r in self.requests if (r.query.get("watch") == "true") == (kind == "watch")]

    # --- the server

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        self.requests.append(request)
        watch = request.query.get("watch") == "true"
        for faults in (self.any_faults, self.watch_faults if watch else self.list_faults):
            if faults:
                answer = faults.popleft()(request)
                if isawaitable(answer):
                    answer = await answer
                if answer is not None:
                    return answer
        return await self._watch(request) if watch else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        token = request.query.get("continue", "")
        version, start = (int(part) for part in token.split(":")) if token else (self.resource_version, 0)
        if token and version < self.compacted_at:
            return web.json_response(status(410, "Expired"), status=410)
        items = list(self.collections.get(request.path, {}).values())
        limit = int(request.query.get("limit", 0)) or len(items)
        meta = {"resourceVersion": str(version)}
        if start + limit < len(items):
            meta["continue"] = f"{version}:{start + limit}"
        return web.json_response({"kind": "List", "metadata": meta, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        position = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self.watching.append(response)
        if position < self.compacted_at:
            await response.write(line({"type": "ERROR", "object": status(410, "Expired")}))
            return response
        while True:
            for version, path, event in list(self._history):
                if path == request.path and version > position:
                    await response.write(line(event))
                    position = version
            async with self._news:
                await self._news.wait()

    def _tell(self, path: str, event: dict[str, Any]) -> None:
        self._history.append((self.resource_version, path, event))
        asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


@asynccontextmanager
async def serving(api: KubeApi | None = None) -> AsyncIterator[KubeApi]:
    """Serve on a free loopback port."""
    api = api or KubeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        for response in api.watching:
            if response._req is not None and response._req.transport is not None:
                response._req.transport.abort()
        await runner.cleanup()
