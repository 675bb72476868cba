"""The endpoints: /metrics, and probes that say what is wrong."""

from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from springtide.runtime.http import make_app, serve


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_probe_answers_ok_or_what_is_wrong(path: str) -> None:
    wrong = {"/healthz": "", "/readyz": ""}
    app = make_app(
        registry=CollectorRegistry(), healthy=lambda: wrong["/healthz"], ready=lambda: wrong["/readyz"]
    )
    async with serve(app, host="127.0.0.1", port=0) as port:
        assert await get(port, path) == (200, "ok\n")
        wrong[path] = "no pass for 300 s"
        assert await get(port, path) == (503, "no pass for 300 s\n")


async def test_a_probe_tells_everybody_no_secret() -> None:
    text = "pods: exec: token=s3cr3t-value\nsecond line"
    app = make_app(registry=CollectorRegistry(), healthy=lambda: "", ready=lambda: text)
    async with serve(app, host="127.0.0.1", port=0) as port:
        assert await get(port, "/readyz") == (503, "pods: exec: token=*** second line\n")


async def test_metrics_are_those_of_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("springtide_things", "Things.", registry=registry).inc(3)
    app = make_app(registry=registry, healthy=lambda: "", ready=lambda: "")
    async with serve(app, host="127.0.0.1", port=0) as port:
        status, text = await get(port, "/metrics")
    assert status == 200
    assert "springtide_things_total 3.0" in text


async def test_a_taken_port_is_an_error() -> None:
    app = make_app(registry=CollectorRegistry(), healthy=lambda: "", ready=lambda: "")
    async with serve(app, host="127.0.0.1", port=0) as port:
        other = make_app(registry=CollectorRegistry(), healthy=lambda: "", ready=lambda: "")
        with pytest.raises(OSError, match="address already in use"):
            async with serve(other, host="127.0.0.1", port=port):
                pass


async def test_who_is_ready_says_whether_it_leads() -> None:
    role = "standby"
    app = make_app(registry=CollectorRegistry(), healthy=lambda: "", ready=lambda: "", role=lambda: role)
    async with serve(app, host="127.0.0.1", port=0) as port:
        assert await get(port, "/readyz") == (200, "ok standby\n")
        role = "leading"
        assert await get(port, "/readyz") == (200, "ok leading\n")
        assert await get(port, "/healthz") == (200, "ok\n")
