"""The proxy itself: an HTTP server on a free loopback port that passes requests on to the API server, or does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from devcluster.api_proxy.answers import GONE_EVENT, REFUSALS, Refusal
from devcluster.api_proxy.faults import EventFault, Fault, Faults
from devcluster.api_proxy.line import Cut, Line, reset
from devcluster.api_proxy.requests import ApiRequest, Exchange, Record
from devcluster.ports import LOOPBACK
from devcluster.traps import Moment, Traps

_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NOTHING_DONE = frozenset(
    {
        Fault.CONFLICT,
        Fault.GONE,
        Fault.TOO_MANY_REQUESTS,
        Fault.PRIORITY_AND_FAIRNESS,
        Fault.INTERNAL_ERROR,
        Fault.UNAVAILABLE,
    }
)


class _ConnectionBroken(Exception):
    """The client gets no (whole) answer; its connection is reset already, or shall be."""


class _CutShort(Exception):
    """A watch ends in the middle of a line: what was written is still delivered, unlike at a reset."""


class ApiProxy:
    """Stands between one client and the API server; ``async with`` starts and stops it.

    The client speaks plain HTTP to ``url`` and sends its own credentials, which are passed on.
    """

    def __init__(self, *, server: str, ca_path: Path | None = None) -> None:
        """``server`` is the API server's URL; ``ca_path`` the authority that signed its certificate."""
        self._server = server
        self._ca_path = ca_path
        self._line = Line()
        self._runner: web.ServerRunner | None = None
        self._session: aiohttp.ClientSession
        self.url = ""
        self.record = Record()
        self.traps: Traps[ApiRequest] = Traps()
        self.faults: Faults | None = None
        """What goes wrong from now on; None: nothing."""

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self._ca_path)) if self._ca_path else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding", "Accept"),
            # One watch event is one line; a large object must fit in it.
            read_bufsize=2**21,
        )
        # A client that goes away ends its request: an idle watch would stay open at the API server without it.
        server = web.Server(self._serve, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.traps.clear()
        self._line.heal()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._session.close()

    def cut(self, how: Cut) -> None:
        """Break the client's network to the API server, all its open connections included."""
        self._line.cut(how)

    def heal(self) -> None:
        """Mend it; connections from before the cut are reset."""
        self._line.heal()

    # --- one request ----------------------------------------------------------------------------------------------

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        transport = http.transport
        if transport is None:  # gone already
            return web.Response(status=499)
        with self._line.carrying(transport) as since:
            try:
                return await self._pass_on(http, since)
            except _ConnectionBroken:
                await self._line.swallow(transport)
            except _CutShort:
                transport.close()
            except (aiohttp.ClientError, OSError):
                # The API server broke off, or our client did while we wrote.
                reset(transport)
        # Never seen: the connection is closed.
        return web.Response(status=499)

    async def _pass_on(self, http: web.BaseRequest, since: int) -> web.StreamResponse:
        request = ApiRequest(
            method=http.method,
            path=http.path,
            query=dict(http.query),
            user_agent=http.headers.get("User-Agent", ""),
            body=await http.read(),
        )
        fault = self.faults.for_request(request) if self.faults is not None else None
        await self._befall(fault)
        if fault in _NOTHING_DONE:
            return _refusal(REFUSALS[fault])
        goes_on = await self.traps.pass_by(Moment.BEFORE, request)
        if not goes_on or not self._line.survived(since):
            raise _ConnectionBroken
        if request.is_watch:
            return await self._watch(http, request, since)
        exchange = self.record.passed_on(request)
        try:
            answer = await self._ask(http, request, exchange)
            goes_on = not exchange.accepted or await self.traps.pass_by(Moment.AFTER, request)
        finally:
            exchange.answered = True
        if not goes_on or fault is Fault.ANSWER_LOST or not self._line.survived(since):
            raise _ConnectionBroken
        return _refusal(REFUSALS[fault]) if fault is Fault.TIMEOUT else answer

    async def _befall(self, fault: Fault | None) -> None:
        if fault in (Fault.SLOW, Fault.TIMEOUT) and self.faults is not None:
            await asyncio.sleep(self.faults.seconds())
        if fault is Fault.RESET:
            raise _ConnectionBroken

    async def _ask(self, http: web.BaseRequest, request: ApiRequest, exchange: Exchange) -> web.Response:
        async with self._forward(http, request) as response:
            body = await response.read()
            exchange.status = response.status
            return web.Response(status=response.status, body=body, headers=_end_to_end(response.headers))

    @contextlib.asynccontextmanager
    async def _forward(
        self, http: web.BaseRequest, request: ApiRequest
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = _end_to_end(http.headers)
        url = URL(self._server + http.raw_path, encoded=True)
        data = request.body or None
        async with self._session.request(http.method, url, headers=headers, data=data) as response:
            yield response

    # --- watches --------------------------------------------------------------------------------------------------

    async def _watch(self, http: web.BaseRequest, request: ApiRequest, since: int) -> web.StreamResponse:
        self.record.passed_on(request)
        async with self._forward(http, request) as response:
            answer = web.StreamResponse(status=response.status, headers=_end_to_end(response.headers))
            answer.enable_chunked_encoding()
            if not self._line.survived(since):
                raise _ConnectionBroken
            await answer.prepare(http)
            async for line in response.content:
                if not self._line.survived(since):
                    raise _ConnectionBroken
                if not await self._pass_event(answer, line):
                    break
            await answer.write_eof()
            return answer

    async def _pass_event(self, answer: web.StreamResponse, line: bytes) -> bool:
        """Pass one line of a watch on, unless something befalls it; False when the watch shall end."""
        fault = self.faults.for_event() if self.faults is not None else None
        match fault:
            case EventFault.CUT:
                await answer.write(line[: len(line) // 2])
                raise _CutShort
            case EventFault.GONE:
                await answer.write(GONE_EVENT)
                return False
            case EventFault.DUPLICATE:
                await answer.write(line)
                await answer.write(line)
            case None:
                await answer.write(line)
        return True


def _refusal(refusal: Refusal) -> web.Response:
    return web.Response(
        status=refusal.status,
        body=refusal.body,
        headers={"Content-Type": refusal.content_type, **refusal.headers},
    )


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
