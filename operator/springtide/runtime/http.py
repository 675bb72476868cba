"""The HTTP endpoints: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from springtide.api.foreign_text import shown

MAX_ANSWER = 2048
"""Characters of a probe's answer."""

Check = Callable[[], str]
"""Returns what is wrong in one line; empty when all is well."""


def make_app(
    *, registry: CollectorRegistry, healthy: Check, ready: Check, role: Callable[[], str] = lambda: ""
) -> web.Application:
    """The application; the checks are asked at every request. `role`: what /readyz says of a process that is ready.

    A standby that is warm is ready: else no rollout of two replicas would ever end.
    """
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    app.router.add_get("/healthz", _probe(healthy))
    app.router.add_get("/readyz", _probe(ready, role))
    return app


def _probe(check: Check, role: Callable[[], str] = lambda: "") -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        # Whoever reaches the port reads it.
        wrong = shown(check(), at_most=MAX_ANSWER)
        if wrong:
            return web.Response(status=503, text=wrong + "\n")
        return web.Response(text=" ".join(filter(None, ("ok", role()))) + "\n")

    return answer


@asynccontextmanager
async def serve(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the context ends; yields the port in use (a free one when `port` is 0).

    Raises OSError when the address cannot be had.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
