"""KubeClient: who it says it is, what it sends, and what its errors tell."""

import asyncio
import json
from dataclasses import replace

import pytest
from aiohttp import web

from springtide.cluster.access import Access
from springtide.cluster.kube import JSON_PATCH, MERGE_PATCH, ApiError, ApiUnreachable, KubeClient, NoAccess
from tests.hostile import SECRETS
from tests.kube_api import KubeApi, refusal, serving, status


class Credentials:
    """Counts how often it was read; each reading gives the next token."""

    def __init__(self, server: str, **fields):
        self.access = Access(server=server, ssl_context=None, **fields)
        self.read = 0

    async def __call__(self) -> Access:
        self.read += 1
        return replace(self.access, authorization=f"Bearer token-{self.read}")


@pytest.fixture
async def api():
    async with serving(KubeApi()) as api:
        yield api


@pytest.fixture
async def client(api):
    async with KubeClient(Credentials(api.url)) as client:
        yield client


def echo(request_log: list):
    """Answers with 200 and remembers the body."""

    async def answer(request: web.Request) -> web.Response:
        request_log.append((request.method, request.headers.get("Content-Type"), await request.read()))
        return web.json_response({"kind": "Echo"})

    return answer


async def test_requests_carry_the_token_and_our_name(api, client):
    await client.get("/api/v1/nodes", {"limit": 1})
    (request,) = api.requests
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["User-Agent"].startswith("springtide/")
    assert request.query["limit"] == "1"


async def test_a_401_renews_the_credentials_once(api, client):
    api.any_faults.append(refusal(401, "Unauthorized"))
    await client.get("/api/v1/nodes")
    assert [r.headers["Authorization"] for r in api.requests] == ["Bearer token-1", "Bearer token-2"]


async def test_a_second_401_is_an_error(api, client):
    api.any_faults.extend([refusal(401, "Unauthorized")] * 2)
    with pytest.raises(ApiError) as caught:
        await client.get("/api/v1/nodes")
    assert caught.value.status == 401


async def test_a_401_on_a_stream_renews_them_too(api, client):
    api.any_faults.append(refusal(401, "Unauthorized"))
    async with client.stream("/api/v1/nodes", {"watch": "true", "resourceVersion": 1}, silence_seconds=5):
        pass
    assert [r.headers["Authorization"] for r in api.requests] == ["Bearer token-1", "Bearer token-2"]


async def test_many_requests_that_meet_a_401_renew_the_credentials_only_once(api):
    credentials = Credentials(api.url)
    api.any_faults.extend([refusal(401, "Unauthorized")] * 5)
    async with KubeClient(credentials) as client:
        await asyncio.gather(*(client.get("/api/v1/nodes") for _ in range(5)))
    assert credentials.read == 2


async def test_credentials_are_read_again_when_they_grow_old(api):
    credentials = Credentials(api.url, refresh_after_seconds=0.0)
    async with KubeClient(credentials) as client:
        await client.get("/api/v1/nodes")
        await client.get("/api/v1/nodes")
    assert [r.headers["Authorization"] for r in api.requests] == ["Bearer token-1", "Bearer token-2"]


async def test_unreadable_credentials_are_an_error_of_their_own():
    async def broken() -> Access:
        raise FileNotFoundError("no kubeconfig")

    async with KubeClient(broken) as client:
        with pytest.raises(NoAccess, match="no kubeconfig"):
            await client.get("/api/v1/nodes")


async def test_an_eviction_that_a_budget_forbids(api, client):
    body = status(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        details={"causes": [{"reason": "DisruptionBudget", "message": "needs 2"}]},
    )
    api.any_faults.append(refusal(429, "", retry_after=10, body=json.dumps(body)))
    with pytest.raises(ApiError) as caught:
        await client.post("/api/v1/namespaces/default/pods/web/eviction", {})
    assert (caught.value.status, caught.value.reason) == (429, "TooManyRequests")
    assert caught.value.retry_after == 10
    assert caught.value.causes == ("DisruptionBudget",)
    assert "disruption budget" in str(caught.value)


async def test_an_error_page_of_a_proxy_is_still_an_api_error(api, client):
    api.any_faults.append(refusal(502, "", body="<html>bad gateway</html>"))
    with pytest.raises(ApiError, match="bad gateway") as caught:
        await client.get("/api/v1/nodes")
    assert (caught.value.status, caught.value.reason) == (502, "")


async def test_no_answer_is_not_an_answer(api, client):
    api.down = True
    with pytest.raises(ApiUnreachable, match="PATCH /api/v1/nodes/n1"):
        await client.patch("/api/v1/nodes/n1", {})


async def test_a_late_answer_is_no_answer(api, client):
    async with client.stream(
        "/api/v1/nodes", {"watch": "true", "resourceVersion": 1}, silence_seconds=0.05
    ) as chunks:
        with pytest.raises(ApiUnreachable):
            async for _ in chunks:
                pass


@pytest.mark.parametrize(
    ("call", "method", "content_type"),
    [
        pytest.param(lambda c, b: c.patch("/x", b), "PATCH", MERGE_PATCH, id="merge patch by default"),
        pytest.param(lambda c, b: c.patch("/x", b, JSON_PATCH), "PATCH", JSON_PATCH, id="JSON patch"),
        pytest.param(lambda c, b: c.put("/x", b), "PUT", "application/json", id="put"),
        pytest.param(lambda c, b: c.post("/x", b), "POST", "application/json", id="post"),
        pytest.param(lambda c, b: c.delete("/x", b), "DELETE", "application/json", id="delete with options"),
    ],
)
async def test_mutations_say_what_they_send(api, client, call, method, content_type):
    log = []
    api.any_faults.append(echo(log))
    answer = await call(client, {"metadata": {"labels": {"ü": "1"}}})
    assert answer == {"kind": "Echo"}
    ((got_method, got_type, body),) = log
    assert (got_method, got_type) == (method, content_type)
    assert json.loads(body) == {"metadata": {"labels": {"ü": "1"}}}


async def test_a_stream_hands_out_whole_lines_only(api, client):
    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"one\ntw", b"o", b"\nthree\nfo", b"ur"):
            await response.write(part)
        await response.write_eof()
        return response

    api.any_faults.append(dribble)
    got = b""
    async with client.stream("/watch", silence_seconds=5) as chunks:
        async for chunk in chunks:
            assert chunk.endswith(b"\n")
            got += chunk
    assert got == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("as_status", [True, False], ids=["a Status", "a proxy's page"])
@pytest.mark.parametrize(("text", "secret"), SECRETS)
async def test_no_refusal_brings_a_secret_into_a_message(api, client, as_status, text, secret):
    """Admission webhooks and proxies repeat what they were sent."""
    body = json.dumps(status(403, "Forbidden", text)) if as_status else text
    api.any_faults.append(refusal(403, "Forbidden", body=body))
    with pytest.raises(ApiError) as error:
        await client.get("/api/v1/nodes")
    assert secret not in str(error.value)
    assert secret not in error.value.message


async def test_a_refusal_of_many_lines_is_told_in_one_bounded_line(api, client):
    api.any_faults.append(
        refusal(422, "Invalid", body=json.dumps(status(422, "Invalid", "a\nb\x1b[31m" + "c" * 100_000)))
    )
    with pytest.raises(ApiError) as error:
        await client.get("/api/v1/nodes")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1100
