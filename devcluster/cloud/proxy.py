"""The endpoint that everybody talks to: moto behind it, real manners in front."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Self

from aiohttp import web

from devcluster.cloud.autoscaling import AutoScaling
from devcluster.cloud.backend import Answer, Backend
from devcluster.cloud.calls import OK, Call, CallLog
from devcluster.cloud.definitions import Definitions
from devcluster.cloud.ec2 import Ec2
from devcluster.cloud.failures import Failures
from devcluster.cloud.fleet import Fleet
from devcluster.cloud.gate import Gate
from devcluster.cloud.protocol import AwsError, Request, error_answer, parse_request
from devcluster.traps import Moment, Traps

OWNER_ACCESS_KEY = "devcluster-owner"
"""Calls signed with this key are spared the failure rules: whoever sets the stage must not trip over them."""

Handler = Callable[[Request], Awaitable[Answer]]


class Proxy:
    """An HTTP server on a free loopback port that speaks for AWS."""

    def __init__(self, *, fleet: Fleet, failures: Failures, moto_url: str, region: str) -> None:
        self._backend = Backend(url=moto_url, region=region)
        self._gate = Gate(failures=failures)
        definitions = Definitions(fleet=fleet, backend=self._backend)
        self._handlers: dict[str, dict[str, Handler]] = {
            "autoscaling": {**AutoScaling(fleet=fleet).handlers, **definitions.handlers},
            "ec2": {**Ec2(fleet=fleet, backend=self._backend).handlers, **definitions.ec2_handlers},
        }
        self._runner: web.ServerRunner | None = None
        self.calls = CallLog()
        self.traps: Traps[Request] = Traps()
        """Hold calls of others than the owner, before they are done or before their answer is sent."""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._backend.close()

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        at, started = datetime.now(UTC), time.monotonic()
        body = await http.read()
        request = parse_request(
            authorization=http.headers.get("Authorization", ""), body=body, query=http.query.items()
        )
        governed = request.access_key != OWNER_ACCESS_KEY
        try:
            if governed:
                await self._gate.admit(request)
                if not await self.traps.pass_by(Moment.BEFORE, request):
                    return _broken(http)
            answer = await self._answer(request, http, body)
            outcome = answer.error_code() or OK
        except AwsError as error:
            answer = Answer(error.status, error_answer(request.service, error))
            outcome = error.code
        self.calls.add(
            Call(
                action=request.action or f"{http.method} {http.path}",
                params=request.params,
                outcome=outcome,
                service=request.service,
                access_key=request.access_key,
                monotonic=started,
                at=at,
                duration_s=time.monotonic() - started,
            )
        )
        if governed and await self._answer_is_lost(request, outcome):
            return _broken(http)
        return web.Response(
            status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type}
        )

    async def _answer_is_lost(self, request: Request, outcome: str) -> bool:
        if outcome == OK and not await self.traps.pass_by(Moment.AFTER, request):
            return True
        return self._gate.answer_is_lost(request)

    async def _answer(self, request: Request, http: web.BaseRequest, body: bytes) -> Answer:
        handler = self._handlers.get(request.service, {}).get(request.action)
        if handler is None:
            return await self._backend.forward(
                method=http.method, path=http.raw_path, headers=http.headers, body=body
            )
        return await handler(request)


def _broken(http: web.BaseRequest) -> web.Response:
    """Break the connection; the answer is never seen."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response(status=499)
