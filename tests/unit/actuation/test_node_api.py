"""The NodeApi over HTTP: paths, bodies and errors as a real API server sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from springtide.actuation.node_api import KubeNodes
from springtide.cluster.access import Access
from springtide.cluster.kube import ApiError, KubeClient
from tests.unit.actuation.world import pod


@dataclass
class Server:
    """Answers everything with `answer`, and remembers what it was asked."""

    status: int = 200
    answer: Any = field(default_factory=dict)
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, request.content_type, body))
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def nodes(server: Server) -> AsyncIterator[KubeNodes]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running:

        async def access() -> Access:
            return Access(server=str(running.make_url("")).rstrip("/"), ssl_context=None)

        async with KubeClient(access) as client:
            yield KubeNodes(client, decode_pods=lambda body: (pod(body.decode()),))


async def test_a_patch_is_a_merge_patch(server: Server, nodes: KubeNodes) -> None:
    change = {"metadata": {"resourceVersion": "7"}, "spec": {"unschedulable": None}}
    await nodes.patch("ip-10-0-0-1.eu", change)
    assert server.asked == [("PATCH", "/api/v1/nodes/ip-10-0-0-1.eu", "application/merge-patch+json", change)]


async def test_a_deletion_names_the_very_node(server: Server, nodes: KubeNodes) -> None:
    await nodes.delete("n1", uid="uid-1")
    method, path, _, body = server.asked[0]
    assert (method, path) == ("DELETE", "/api/v1/nodes/n1")
    assert body["preconditions"] == {"uid": "uid-1"}


async def test_pods_are_listed_by_node_and_decoded(server: Server, nodes: KubeNodes) -> None:
    server.answer = {"items": []}
    [record] = await nodes.pods_on("n1")
    assert record.name == '{"items": []}'
    assert server.asked[0][1] == "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1"


async def test_an_eviction_names_the_very_pod(server: Server, nodes: KubeNodes) -> None:
    web_1 = pod("web-1", uid="uid-1")
    await nodes.evict(web_1, grace_seconds=20)
    method, path, _, body = server.asked[0]
    assert (method, path) == ("POST", "/api/v1/namespaces/default/pods/web-1/eviction")
    assert body["apiVersion"] == "policy/v1"
    assert body["deleteOptions"] == {"gracePeriodSeconds": 20, "preconditions": {"uid": "uid-1"}}


async def test_a_budgets_refusal_is_told_apart(server: Server, nodes: KubeNodes) -> None:
    server.status = 429
    server.answer = {
        "kind": "Status",
        "code": 429,
        "reason": "TooManyRequests",
        "details": {"causes": [{"reason": "DisruptionBudget", "message": "needs 3 healthy pods"}]},
    }
    with pytest.raises(ApiError) as refused:
        await nodes.evict(pod(), grace_seconds=0)
    assert refused.value.causes == ("DisruptionBudget",)
