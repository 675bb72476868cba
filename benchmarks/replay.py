"""A replaying API server in a process of its own: paged lists, watches with bookmarks, and pods that come and go.

It serves a large cluster in everyday operation to whatever asks for it: the informers, kopf, the whole operator. Objects
are rendered while they are sent, so that it needs little memory and little time itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.recorded_pods import Manifest
from benchmarks.recording import Recording
from benchmarks.replayed_cluster import NODE_PATH, OWN_PATH, Churn, Cluster, encoded

BOOKMARK_SECONDS: Final = 60.0


class Server:
    """The API server's manners, as far as an operator notices them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._churn = Churn(cluster)
        self._tasks: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/replay/churn", self._start_churn)
        app.router.add_post("/replay/unpin", self._unpin)
        app.router.add_get("/replay/facts", self._facts)
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_patch("/{path:.*}", self._patch)
        app.router.add_post("/{path:.*}", self._post)
        return app

    async def _start_churn(self, request: web.Request) -> web.Response:
        query = request.query
        work = self._churn.run(per_second=float(query["per_second"]), seconds=float(query["seconds"]))
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({})

    async def _unpin(self, _: web.Request) -> web.Response:
        self._cluster.unpin()
        return web.json_response({})

    async def _facts(self, _: web.Request) -> web.Response:
        cluster = self._cluster
        facts = {
            "first_status_at": cluster.first_status_at,
            "events_sent": cluster.events_sent,
            "cpu_s": time.process_time(),
            "churning": bool(self._tasks),
        }
        return web.json_response(facts)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in _DISCOVERY:
            return web.json_response(_DISCOVERY[path])
        if request.query.get("watch") == "true":
            return await self._watch(request)
        found = self._one(path)
        return web.Response(body=found, content_type="application/json") if found else self._list(request)

    def _one(self, path: str) -> bytes | None:
        collection, _, name = path.rpartition("/")
        if name in self._cluster.own.get(collection, {}):
            return encoded(self._cluster.own[collection][name])
        if collection == NODE_PATH:
            return self._cluster.node(number_of(name))
        return None

    def _list(self, request: web.Request) -> web.Response:
        count, render = self._cluster.items(request.path)
        if request.query.get("fieldSelector", "").startswith(("metadata.name=", "spec.nodeName=")):
            count = 0
        start = int(request.query.get("continue", 0))
        end = min(count, start + int(request.query.get("limit", count)))
        head = {"resourceVersion": str(self._cluster.version)} | (
            {"continue": str(end)} if end < count else {}
        )
        body = b'{"kind":"List","apiVersion":"v1","metadata":%b,"items":[%b]}' % (
            encoded(head),
            b",".join(render(i) for i in range(start, end)),
        )
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        watchers = self._cluster.watchers.setdefault(request.path, [])
        watchers.append(queue)
        await response.prepare(request)
        try:
            while True:
                try:
                    async with asyncio.timeout(BOOKMARK_SECONDS):
                        await response.write(await queue.get())
                except TimeoutError:
                    version = str(self._cluster.version)
                    bookmark = {"kind": "Bookmark", "metadata": {"resourceVersion": version}}
                    await response.write(encoded({"type": "BOOKMARK", "object": bookmark}) + b"\n")
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            watchers.remove(queue)

    async def _patch(self, request: web.Request) -> web.Response:
        change = json.loads(await request.read())
        collection, _, name = request.path.removesuffix("/status").rpartition("/")
        if collection in self._cluster.own:
            if collection.endswith("autoscalerpolicies") and request.path.endswith("/status"):
                self._cluster.first_status_at = self._cluster.first_status_at or time.time()
            changed = patched(self._cluster.own[collection][name], change)
            return web.json_response(self._cluster.change_own(collection, name, changed))
        if collection == NODE_PATH:
            node = patched(json.loads(self._cluster.node(number_of(name))), change)
            node["metadata"]["resourceVersion"] = str(self._cluster.next_version())
            self._cluster.patched_nodes[name] = node
            self._cluster.tell(NODE_PATH, "MODIFIED", encoded(node))
            return web.json_response(node)
        raise web.HTTPNotFound

    async def _post(self, request: web.Request) -> web.Response:
        return web.json_response(json.loads(await request.read()), status=201)


def number_of(node: str) -> int:
    """The inverse of node_name."""
    high, middle, low = (int(part) for part in re.findall(r"\d+", node)[1:4])
    return high << 16 | middle << 8 | low


def patched(manifest: Manifest, change: Any) -> Manifest:
    """A merge patch, or a JSON patch whose paths have one or two steps (as all of ours and kopf's)."""
    if isinstance(change, dict):
        return merged(manifest, change)
    manifest = json.loads(json.dumps(manifest))
    for operation in change:
        *parents, last = operation["path"].lstrip("/").split("/")
        place: Any = manifest
        for parent in parents:
            place = place.setdefault(parent, {})
        if operation["op"] in ("add", "replace"):
            if isinstance(place, list):
                place.append(operation["value"])
            else:
                place[last] = operation["value"]
        elif operation["op"] == "remove":
            place.pop(int(last) if isinstance(place, list) else last)
    return dict(manifest)


def merged(target: Manifest, change: Manifest) -> Manifest:
    result = dict(target)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


_VERBS: Final = ["get", "list", "watch", "patch", "create", "delete", "update"]
_DISCOVERY: Final[dict[str, Manifest]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "springtide.dev",
                "versions": [{"groupVersion": "springtide.dev/v1alpha1", "version": "v1alpha1"}],
                "preferredVersion": {"groupVersion": "springtide.dev/v1alpha1", "version": "v1alpha1"},
            }
        ],
    },
    OWN_PATH: {
        "kind": "APIResourceList",
        "groupVersion": "springtide.dev/v1alpha1",
        "resources": [
            {
                "name": plural + tail,
                "singularName": kind.lower(),
                "namespaced": False,
                "kind": kind,
                "verbs": _VERBS,
            }
            for plural, kind in (("nodepools", "NodePool"), ("autoscalerpolicies", "AutoscalerPolicy"))
            for tail in ("", "/status")
        ],
    },
}


# --- as a process ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replay:
    """A server that runs."""

    url: str

    async def facts(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/replay/facts") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def order(self, what: str, **query: float) -> None:
        """churn (per_second, seconds) or unpin."""
        async with aiohttp.ClientSession() as session:
            await session.post(f"{self.url}/replay/{what}", params={key: str(v) for key, v in query.items()})

    def kubeconfig(self, folder: Path) -> Path:
        """Write one that leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "replay", "cluster": {"server": self.url}}],
            "users": [{"name": "replay", "user": {"token": "replay"}}],
            "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "replay"}}],
            "current-context": "replay",
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config), encoding="utf-8")
        return path


@asynccontextmanager
async def replaying(recording: Recording) -> AsyncIterator[Replay]:
    """A server in a process of its own, for as long as the context."""
    arguments = [f"--{name}={value}" for name, value in vars(recording).items() if isinstance(value, int)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.replay",
        *arguments,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        yield Replay(url)
    finally:
        process.terminate()
        await process.wait()


async def serve(recording: Recording) -> None:
    """Serve until killed; prints the URL."""
    runner = web.AppRunner(Server(Cluster(recording)).app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    for name in ("nodes", "pods", "shapes", "groups"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recording, name))
    asyncio.run(serve(Recording(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
