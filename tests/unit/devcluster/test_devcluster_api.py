"""The small client, against a server that answers as kube-apiserver does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from devcluster.api import Api, ApiError, has_condition, load_manifests, wait_for
from devcluster.kubeconfig import write_kubeconfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[Api]]

STATUS = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": 'nodes "n" already exists'}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server of these routes; return a client of it."""
    opened: list[Any] = []

    async def start(*routes: tuple[str, str, Handler]) -> Api:
        application = web.Application()
        for method, path, handler in routes:
            application.router.add_route(method, path, handler)
        server = TestServer(application)
        await server.start_server()
        api = Api(server=str(server.make_url("")).rstrip("/"), token="secret")
        opened.extend((server, api))
        return api

    yield start
    for each in reversed(opened):
        await each.close()


async def test_pages_are_read_to_the_end(serve: Serve) -> None:
    async def pods(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        assert request.query["labelSelector"] == "app=a"
        start = int(request.query.get("continue", "0"))
        more = {"continue": str(start + 1)} if start < 2 else {}
        return web.json_response({"items": [{"n": start}], "metadata": more})

    api = await serve(("GET", "/pods", pods))
    assert await api.items("/pods", labelSelector="app=a") == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_refusal_is_an_error_with_the_servers_words(serve: Serve) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(STATUS, status=409)

    api = await serve(("POST", "/nodes", refuse))
    with pytest.raises(ApiError) as error:
        await api.post("/nodes", {})
    assert str(error.value) == 'POST /nodes: 409 AlreadyExists: nodes "n" already exists'
    assert (error.value.status, error.value.reason, error.value.body) == (409, "AlreadyExists", STATUS)


async def test_an_answer_that_is_no_status_is_told_as_it_is(serve: Serve) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, text="apiserver is starting\n")

    api = await serve(("GET", "/nodes", refuse))
    with pytest.raises(ApiError, match=r"apiserver is starting$"):
        await api.get("/nodes")


async def test_what_is_not_there_is_found_and_deleted_as_none(serve: Serve) -> None:
    api = await serve()
    assert await api.find("/nodes/n") is None
    assert await api.delete("/nodes/n") is None


async def test_a_watch_is_resumed_where_it_was_cut(serve: Serve) -> None:
    def event(version: int, kind: str = "ADDED") -> bytes:
        return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": str(version)}}}).encode()

    answers = {"5": [event(6), event(7)], "7": [event(9, "BOOKMARK")], "9": [event(10)]}

    async def pods(request: web.Request) -> web.Response:
        lines = answers[request.query["resourceVersion"]]
        return web.Response(body=b"\n".join(lines) + b"\n", content_type="application/json")

    api = await serve(("GET", "/pods", pods))
    seen = []
    async for each in api.watch("/pods", since="5"):
        seen.append(each["object"]["metadata"]["resourceVersion"])
        if len(seen) == 3:
            break
    assert seen == ["6", "7", "10"]


async def test_a_watch_whose_version_is_forgotten_is_an_error(serve: Serve) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}

    async def pods(_: web.Request) -> web.Response:
        return web.json_response(gone)

    api = await serve(("GET", "/pods", pods))
    with pytest.raises(ApiError) as error:
        await anext(api.watch("/pods", since="5"))
    assert error.value.status == 410


async def test_manifests_are_applied_to_the_path_discovery_names(serve: Serve) -> None:
    applied: dict[str, Any] = {}

    async def discovery(_: web.Request) -> web.Response:
        resources = [
            {"name": "deployments", "kind": "Deployment", "namespaced": True},
            {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
        ]
        return web.json_response({"resources": resources})

    async def patch(request: web.Request) -> web.Response:
        applied.update(type=request.content_type, query=dict(request.query), path=request.path)
        return web.json_response({"applied": True})

    api = await serve(("GET", "/apis/apps/v1", discovery), ("PATCH", "/{tail:.*}", patch))
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}}
    assert await api.apply(manifest) == {"applied": True}
    assert applied["path"] == "/apis/apps/v1/namespaces/n/deployments/d"
    assert applied["type"] == "application/apply-patch+yaml"
    assert applied["query"] == {"fieldManager": "devcluster", "force": "true", "fieldValidation": "Strict"}
    with pytest.raises(LookupError, match="knows no Deploymnt in apps/v1"):
        await api.apply({**manifest, "kind": "Deploymnt"})


def test_a_kubeconfig_of_ours_is_read_back(tmp_path: Path) -> None:
    path = write_kubeconfig(
        tmp_path / "config", server="https://127.0.0.1:1", ca_path=Path("/ca.crt"), token="t"
    )
    api = Api.from_kubeconfig(path)
    assert (api.server, api.token, api.ca_path) == ("https://127.0.0.1:1", "t", Path("/ca.crt"))


def test_manifests_of_a_folder_come_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: C\n---\n---\nkind: D\n")
    (tmp_path / "a.yaml").write_text("kind: A\n")
    assert [document["kind"] for document in load_manifests(tmp_path)] == ["A", "C", "D"]


def test_conditions() -> None:
    node = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    assert has_condition(node, "Ready", "False")
    assert not has_condition(node, "Ready")
    assert not has_condition({}, "Ready")


async def test_waiting_returns_the_first_true_answer() -> None:
    answers = iter([None, 0, "here"])

    async def ask() -> object:
        return next(answers)

    assert await wait_for(ask, timeout=5, what="it", poll=0) == "here"


async def test_waiting_in_vain_says_for_what_and_the_last_answer() -> None:
    async def ask() -> list[str]:
        return []

    with pytest.raises(TimeoutError, match=r"waited 0.05 s for pods; last answer: \[\]"):
        await wait_for(ask, timeout=0.05, what="pods", poll=0.01)
