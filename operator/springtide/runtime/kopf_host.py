"""kopf inside our process: its settings, its session, its start and its stop.

kopf watches only our two resources: it runs the timer on policies, calls the event handlers and keeps the finalizer.
It never watches pods or nodes (see docs/decisions/002-kopf-for-crs-only.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import kopf

from springtide.cluster.access import AccessLoader
from springtide.cluster.send_guard import Leave, give_leave, guarded

FINALIZER: Final = "springtide.dev/cleanup"
START_TIMEOUT_SECONDS: Final = 30.0

logger = logging.getLogger(__name__)


class ForgetfulDiffBase(kopf.DiffBaseStorage):
    """Keeps kopf's last-handled essence out of the resources: we handle levels, not differences.

    With kopf's default every NodePool would carry an annotation with a copy of its own spec.
    """

    def fetch(self, *, body: kopf.Body) -> Any:
        # The present state counts as handled, so kopf sees no difference and writes nothing.
        return self.build(body=body)

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        return None


def configure(settings: kopf.OperatorSettings) -> None:
    """Everything that departs from kopf's defaults, and why."""
    # Our recorder writes the events: kopf's are invisible in `kubectl describe` of a cluster-scoped resource.
    settings.posting.enabled = False
    # The CRDs must exist already; this saves two watches and their permissions.
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="springtide.dev")
    settings.persistence.diffbase_storage = ForgetfulDiffBase()
    # A stop takes as long as we let it (kopf's defaults: 2 s, then minutes).
    settings.queueing.exit_timeout = 0.5
    settings.process.ultimate_exiting_timeout = None


def session_login(load_access: AccessLoader, leave: Leave = give_leave) -> Any:
    """A login handler that gives kopf a session of its own (kopf closes it in the end) with our credentials."""

    async def login(**_: Any) -> kopf.AiohttpSession:
        access = await load_access()
        headers = {"Authorization": access.authorization} if access.authorization else {}
        connector = aiohttp.TCPConnector(ssl=access.ssl_context if access.ssl_context is not None else True)
        session = aiohttp.ClientSession(
            headers=headers, connector=connector, proxy=access.proxy, trace_configs=[guarded(leave)]
        )
        return kopf.AiohttpSession(server=access.server, aiohttp_session=session)

    return login


@asynccontextmanager
async def hosted(
    registry: kopf.OperatorRegistry,
    *,
    load_access: AccessLoader,
    memo: object,
    leave: Leave = give_leave,
    listen: Callable[[], None] = lambda: None,
) -> AsyncIterator[asyncio.Future[None]]:
    """Run kopf until the context ends; the yielded future ends when kopf does so by itself (an error).

    kopf.operator() would wait 5 s for every task started after it, ours included; its tasks are run here instead.
    `leave` is asked before kopf changes anything (its finalizers, its marks of progress).
    `listen` installs the signal handlers of the process: kopf has just replaced them by its own, which would end kopf
    and nothing else.
    """
    settings = kopf.OperatorSettings()
    configure(settings)
    kopf.on.login(id="springtide-login", registry=registry)(session_login(load_access, leave))
    ready = asyncio.Event()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        memo=memo,
        clusterwide=True,
        standalone=True,
        ready_flag=ready,
    )
    listen()
    ended = asyncio.ensure_future(_first_failure(list(tasks)))
    try:
        await _until_ready(ready, ended)
        yield ended
    finally:
        await _stop(list(tasks), ended)


async def _until_ready(ready: asyncio.Event, ended: asyncio.Future[None]) -> None:
    waiting: asyncio.Future[Any] = asyncio.ensure_future(ready.wait())
    either: list[asyncio.Future[Any]] = [waiting, ended]
    try:
        await asyncio.wait(either, timeout=START_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
            raise RuntimeError("kopf ended while it was starting")
        if not ready.is_set():
            raise TimeoutError(f"kopf was not ready within {START_TIMEOUT_SECONDS:.0f} s")
    finally:
        waiting.cancel()


async def _first_failure(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait for the first task that ends with an error, or for all."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _stop(tasks: list[asyncio.Task[Any]], ended: asyncio.Future[None]) -> None:
    ended.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, ended, return_exceptions=True)
