"""The proxy in front of an API server: what passes, what is recorded, held, cut, and made to go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from devcluster.api_proxy import ApiProxy, ApiRequest, Cut, EventFault, Fault, Faults
from devcluster.traps import Moment

EVENTS = [{"type": "ADDED", "object": {"n": number}} for number in range(3)]
NODE = "/api/v1/nodes/n"


class Server:
    """An API server that counts what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refuses = False
        self.silent_watch = asyncio.Event()
        self.watch_ended = asyncio.Event()

    async def mutate(self, request: web.Request) -> web.Response:
        self.done.append(f"{request.method} {request.path_qs} {(await request.read()).decode()}")
        return web.json_response(
            {"by": request.headers["Authorization"]}, status=409 if self.refuses else 200
        )

    async def watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        for event in EVENTS:
            await answer.write(json.dumps(event).encode() + b"\n")
        try:
            if self.silent_watch.is_set():
                await asyncio.Event().wait()
        finally:
            self.watch_ended.set()
        return answer


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[ApiProxy]:
    application = web.Application()
    application.router.add_get("/api/v1/nodes", server.watch)
    application.router.add_route("*", "/{path:.*}", server.mutate)
    upstream = TestServer(application, handler_cancellation=True)
    await upstream.start_server()
    async with ApiProxy(server=str(upstream.make_url("")).rstrip("/")) as proxy:
        yield proxy
    await upstream.close()


@pytest.fixture
async def client(proxy: ApiProxy) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer of-the-client", "User-Agent": "the-client"}
    # A connection for each request: aiohttp sends again what a reused connection lost.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(proxy.url, headers=headers, connector=connector) as session:
        yield session


async def patch(client: aiohttp.ClientSession) -> int:
    async with client.patch(f"{NODE}?fieldManager=me", data=b'{"spec":{}}') as answer:
        await answer.read()
        return answer.status


async def watched(client: aiohttp.ClientSession) -> bytes:
    """All that a watch delivered, also when it was cut short."""
    received = b""
    async with client.get("/api/v1/nodes?watch=true") as answer:
        try:
            async for chunk in answer.content.iter_any():
                received += chunk
        except aiohttp.ClientPayloadError:
            received += b"<cut>"
    return received


def anything(_: ApiRequest) -> bool:
    return True


async def test_requests_arrive_whole_and_mutations_are_recorded_in_order(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    async with client.patch(f"{NODE}?fieldManager=me", data=b'{"spec":{}}') as answer:
        assert await answer.json() == {"by": "Bearer of-the-client"}
    server.refuses = True
    async with client.delete(NODE):
        pass
    async with client.get(NODE):
        pass
    assert server.done[0] == f'PATCH {NODE}?fieldManager=me {{"spec":{{}}}}'
    first, second = proxy.record
    assert (str(first.request), first.status, first.request.user_agent) == (
        f"PATCH {NODE}",
        200,
        "the-client",
    )
    assert (str(second.request), second.status) == (f"DELETE {NODE}", 409)
    assert first.forwarded_at < second.forwarded_at
    assert first.request.content == {"spec": {}}
    assert proxy.record.accepted(anything) == [first]
    assert proxy.record.reads == 1


async def test_a_watch_streams_and_ends_at_the_server_when_its_client_goes_away(
    server: Server, client: aiohttp.ClientSession
) -> None:
    server.silent_watch.set()
    async with client.get("/api/v1/nodes?watch=true") as answer:
        lines = [json.loads(await answer.content.readline()) for _ in EVENTS]
    assert lines == EVENTS
    await asyncio.wait_for(server.watch_ended.wait(), 5)


@pytest.mark.parametrize(
    ("moment", "effects"),
    [
        pytest.param(Moment.BEFORE, 0, id="before: the server never sees it"),
        pytest.param(Moment.AFTER, 1, id="after: it took effect, the client never hears so"),
    ],
)
async def test_a_trap_holds_the_nth_request_and_drops_it(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession, moment: Moment, effects: int
) -> None:
    trap = proxy.traps.set(lambda request: request.method == "PATCH", moment=moment, nth=2)
    assert await patch(client) == 200
    assert not trap.has_caught
    sent = asyncio.create_task(patch(client))
    assert (await trap.caught(timeout=5)).path == NODE
    assert len(server.done) == 1 + effects
    trap.drop()
    with pytest.raises(aiohttp.ClientError):
        await sent
    assert len(server.done) == 1 + effects
    assert await patch(client) == 200


async def test_a_request_that_is_let_go_is_answered_as_if_nothing_had_been(
    proxy: ApiProxy, client: aiohttp.ClientSession
) -> None:
    trap = proxy.traps.set(anything)
    sent = asyncio.create_task(patch(client))
    await trap.caught(timeout=5)
    trap.let_go()
    assert await sent == 200


async def test_a_held_request_whose_sender_dies_is_never_passed_on(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    trap = proxy.traps.set(anything)
    sent = asyncio.create_task(patch(client))
    await trap.caught(timeout=5)
    sent.cancel()
    await asyncio.gather(sent, return_exceptions=True)
    trap.drop()
    assert await patch(client) == 200
    assert len(server.done) == 1


async def test_after_a_refusal_there_is_no_effect_to_wait_for(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    trap = proxy.traps.set(anything, moment=Moment.AFTER)
    server.refuses = True
    assert await patch(client) == 409
    assert not trap.has_caught


async def test_a_reset_line_breaks_open_watches_and_new_requests_until_it_heals(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    server.silent_watch.set()
    async with client.get("/api/v1/nodes?watch=true") as watch:
        assert json.loads(await watch.content.readline()) == EVENTS[0]
        proxy.cut(Cut.RESET)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await watch.read()
    with pytest.raises(aiohttp.ClientError):
        await patch(client)
    assert server.done == []
    proxy.heal()
    assert await patch(client) == 200


async def test_a_silent_line_says_nothing_and_forgets_its_connections_when_it_heals(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    proxy.cut(Cut.SILENT)
    sent = asyncio.create_task(patch(client))
    done, _ = await asyncio.wait([sent], timeout=0.1)
    assert not done
    proxy.heal()
    with pytest.raises(aiohttp.ClientError):
        await sent
    assert server.done == []
    assert await patch(client) == 200


async def test_a_request_held_while_the_line_is_cut_never_arrives(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession
) -> None:
    trap = proxy.traps.set(anything)
    sent = asyncio.create_task(patch(client))
    await trap.caught(timeout=5)
    proxy.cut(Cut.SILENT)
    trap.let_go()
    proxy.heal()
    with pytest.raises(aiohttp.ClientError):
        await sent
    assert server.done == []


@pytest.mark.parametrize(
    ("fault", "status", "effects", "retry_after"),
    [
        (Fault.CONFLICT, 409, 0, None),
        (Fault.TOO_MANY_REQUESTS, 429, 0, "1"),
        (Fault.PRIORITY_AND_FAIRNESS, 429, 0, "1"),
        (Fault.INTERNAL_ERROR, 500, 0, None),
        (Fault.UNAVAILABLE, 503, 0, "1"),
        (Fault.TIMEOUT, 504, 1, None),
        (Fault.SLOW, 200, 1, None),
    ],
)
async def test_faults_that_are_answers(
    proxy: ApiProxy,
    server: Server,
    client: aiohttp.ClientSession,
    fault: Fault,
    status: int,
    effects: int,
    retry_after: str | None,
) -> None:
    proxy.faults = Faults(rate=1, seed=1, kinds=(fault,), slow_s=0.01)
    async with client.patch(NODE, data=b"{}") as answer:
        assert (answer.status, answer.headers.get("Retry-After")) == (status, retry_after)
    assert len(server.done) == effects
    assert proxy.faults.counts == {fault: 1}


@pytest.mark.parametrize(("fault", "effects"), [(Fault.RESET, 0), (Fault.ANSWER_LOST, 1)])
async def test_faults_that_break_the_connection(
    proxy: ApiProxy, server: Server, client: aiohttp.ClientSession, fault: Fault, effects: int
) -> None:
    proxy.faults = Faults(rate=1, seed=1, kinds=(fault,))
    with pytest.raises(aiohttp.ClientError):
        await patch(client)
    assert len(server.done) == effects


async def test_conflicts_befall_mutations_and_lost_versions_befall_lists(
    proxy: ApiProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = Faults(rate=1, seed=1, kinds=(Fault.CONFLICT, Fault.GONE))
    assert await patch(client) == 409
    async with client.get(NODE) as read, client.get("/api/v1/nodes?limit=500") as listed:
        assert (read.status, listed.status) == (200, 410)


LINES = [json.dumps(event).encode() + b"\n" for event in EVENTS]


@pytest.mark.parametrize(
    ("fault", "received"),
    [
        pytest.param(EventFault.DUPLICATE, b"".join(line * 2 for line in LINES), id="every event twice"),
        pytest.param(
            EventFault.CUT, LINES[0][: len(LINES[0]) // 2] + b"<cut>", id="cut in the middle of a line"
        ),
    ],
)
async def test_what_befalls_watches(
    proxy: ApiProxy, client: aiohttp.ClientSession, fault: EventFault, received: bytes
) -> None:
    proxy.faults = Faults(rate=1, seed=1, kinds=(), event_kinds=(fault,))
    assert await watched(client) == received


async def test_a_watch_may_be_told_that_its_version_is_gone(
    proxy: ApiProxy, client: aiohttp.ClientSession
) -> None:
    proxy.faults = Faults(rate=1, seed=1, kinds=(), event_kinds=(EventFault.GONE,))
    (line,) = (await watched(client)).splitlines()
    event = json.loads(line)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_the_same_seed_draws_the_same_faults_at_about_the_rate() -> None:
    request = ApiRequest(method="PATCH", path=NODE)
    first, second = (Faults(rate=0.05, seed=7) for _ in range(2))
    drawn = [first.for_request(request) for _ in range(4000)]
    assert drawn == [second.for_request(request) for _ in range(4000)]
    assert 120 < sum(fault is not None for fault in drawn) < 280
    assert set(drawn) == {*Fault} - {Fault.GONE} | {None}
