"""A replaying API server in a process of its own: paged lists, watches with bookmarks, and pods that come and go.

It serves a large cluster in everyday operation out of benchmarks.recorded, to whatever asks for it: the informers, kopf,
the whole operator. Objects are rendered while they are sent, so that it needs little memory and little time itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks import recorded
from benchmarks.recorded import App, Manifest, Template, uid

BOOKMARK_SECONDS: Final = 60.0
POD_PATH: Final = "/api/v1/pods"
NODE_PATH: Final = "/api/v1/nodes"
REPLICA_SET_PATH: Final = "/apis/apps/v1/replicasets"
OWN_PATH: Final = "/apis/springtide.dev/v1alpha1"

OLD_REVISIONS: Final = 5
"""ReplicaSets that a Deployment keeps for rollbacks (its default is ten)."""
DAEMON_SETS: Final = 4
POD_LIVES_AT_A_TIME: Final = 30
REFUSED_SHARE: Final = 50
"""One of so many new pods is refused by the scheduler before it finds a place."""
NODE_STATUS_SECONDS: Final = 300.0
"""The kubelet reports a node's unchanged status so often."""


@dataclass(frozen=True)
class Recording:
    """The cluster: everything follows from these numbers."""

    nodes: int = 5000
    pods: int = 150_000
    shapes: int = 3000
    groups: int = 50

    @cached_property
    def daemons(self) -> tuple[App, ...]:
        return tuple(
            App(number=d, kind="DaemonSet", cpu_milli=50 + 10 * d, memory_mib=64, replicas=self.nodes)
            for d in range(DAEMON_SETS)
        )

    @cached_property
    def apps(self) -> tuple[App, ...]:
        """Nine of ten are Deployments, the others StatefulSets; a tenth asks for nodes of tier batch."""
        count = max(1, self.shapes - DAEMON_SETS)
        replicas = max(1, (self.pods - self.nodes * DAEMON_SETS) // count)
        return tuple(
            App(
                number=k,
                kind="StatefulSet" if k % 10 == 9 else "ReplicaSet",
                cpu_milli=50 + 10 * (k % 40),
                memory_mib=64 + 32 * (k % 50),
                replicas=replicas,
            )
            for k in range(DAEMON_SETS, DAEMON_SETS + count)
        )

    def pod(self, i: int, stage: str = "ready", *, version: int = 1, place: int | None = None) -> bytes:
        """Pod i: DaemonSets' first. `place`: number of its node, when it is not the one it has by formula."""
        daemons = self.nodes * DAEMON_SETS
        if i < daemons:
            app, on, ordinal = self.daemons[i // self.nodes], i % self.nodes, i % self.nodes
        else:
            app = self.apps[(i - daemons) % len(self.apps)]
            on, ordinal = (i - daemons) % self.nodes, (i - daemons) // len(self.apps)
        on = on if place is None else place
        suffix = str(ordinal) if app.kind == "StatefulSet" else recorded.suffix(i)
        fields = {
            b"name": f"{app.owner[0]}-{suffix}".encode(),
            b"uid": uid(4, i).encode(),
            b"version": b"%d" % version,
            b"node": node_name(on).encode(),
            b"hostip": address(10, on),
            b"podip": address(100, i),
            b"ordinal": b"%d" % ordinal,
            b"container": (uid(5, i) * 2).replace("-", "").encode(),
        }
        return app.pod(stage, fields)

    def node(self, n: int, *, version: int = 1) -> bytes:
        """Node n of its group, with the provider ID that the simulated cloud gives to the group's instances."""
        group = n % self.groups
        fields = {
            b"name": node_name(n).encode(),
            b"uid": uid(6, n).encode(),
            b"version": b"%d" % version,
            b"provider": f"simulated:///{zone(group)}/{pool_name(group)}-main-{n // self.groups + 1}".encode(),
            b"hostip": address(10, n),
        }
        return self._node_templates[group].render(fields)

    @cached_property
    def _node_templates(self) -> tuple[Template, ...]:
        return tuple(
            Template(recorded.node(zone=zone(g), tier=tier(g), pool=pool_name(g), vcpu=vcpu(g)))
            for g in range(self.groups)
        )

    def node_pool(self, g: int, *, pinned: bool) -> Manifest:
        """`pinned`: minSize is the number of nodes it has, which makes the simulated cloud start with them."""
        count = len(range(g, self.nodes, self.groups))
        group = {
            "name": "main",
            "zone": zone(g),
            "minSize": count if pinned else 0,
            "maxSize": 1000,
            "bootDelay": "0s",
            "capacity": {"cpu": str(vcpu(g)), "memory": f"{4 * vcpu(g)}Gi", "pods": "110"},
            "hourlyPrice": f"{0.06 * vcpu(g):.2f}",
        }
        template = {"labels": {"tier": tier(g)}}
        return own_resource(
            "NodePool", pool_name(g), {"provider": {"simulated": {"groups": [group]}}, "template": template}
        )


def node_name(n: int) -> str:
    return f"ip-10-{n >> 16 & 255}-{n >> 8 & 255}-{n & 255}.eu-central-1.compute.internal"


def pool_name(g: int) -> str:
    return f"pool-{g:02}"


def zone(g: int) -> str:
    return f"eu-central-1{'abc'[g % 3]}"


def tier(g: int) -> str:
    return "batch" if g % 5 == 0 else "service"


def vcpu(g: int) -> int:
    """8, 12 or 16."""
    return 8 + 4 * (g // 5 % 3)


def address(network: int, i: int) -> bytes:
    return b"%d.%d.%d.%d" % (network, i >> 16 & 255, i >> 8 & 255, i & 255)


def own_resource(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "uid": f"uid-{kind}-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": recorded.MADE,
        },
        "spec": spec,
    }


# --- what is served ----------------------------------------------------------------------------------------------

Items = tuple[int, Callable[[int], bytes]]
"""How many there are, and what renders one."""


class Cluster:
    """All collections, and the changes to them. Its time is counted by one resourceVersion."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.version = 1000
        self.own: dict[str, dict[str, Manifest]] = {
            f"{OWN_PATH}/nodepools": {
                pool_name(g): recording.node_pool(g, pinned=True) for g in range(recording.groups)
            },
            f"{OWN_PATH}/autoscalerpolicies": {"default": own_resource("AutoscalerPolicy", "default", {})},
        }
        self.patched_nodes: dict[str, Manifest] = {}
        self.watchers: dict[str, list[asyncio.Queue[bytes]]] = {}
        self.first_status_at: float | None = None
        """Unix time at which a policy's status was first written: the first plan was reported."""
        self.events_sent = 0
        self._collections = self._fixed()

    def _fixed(self) -> dict[str, Items]:
        recording = self.recording
        sets = [app for app in recording.apps if app.kind == "ReplicaSet"]
        revisions = OLD_REVISIONS + 1

        def replica_set(i: int) -> bytes:
            return rendered(recorded.replica_set(sets[i // revisions], revision=i % revisions))

        def of(render: Callable[[App], Manifest], apps: Sequence[App]) -> Items:
            return len(apps), lambda i: rendered(render(apps[i]))

        stateful = [app for app in recording.apps if app.kind == "StatefulSet"]
        return {
            POD_PATH: (recording.pods, recording.pod),
            NODE_PATH: (recording.nodes, self.node),
            REPLICA_SET_PATH: (len(sets) * revisions, replica_set),
            "/apis/apps/v1/statefulsets": of(recorded.controller, stateful),
            "/apis/apps/v1/daemonsets": of(recorded.controller, recording.daemons),
            "/apis/policy/v1/poddisruptionbudgets": of(recorded.disruption_budget, recording.apps[::10]),
            "/api/v1/namespaces": (97, lambda i: rendered(recorded.namespace(f"team-{i:02}"))),
            "/apis/storage.k8s.io/v1/csinodes": (
                recording.nodes,
                lambda i: rendered(recorded.csi_node(node_name(i), uid(6, i))),
            ),
        }

    def items(self, path: str) -> Items:
        """A collection; one that is not known is empty."""
        if path in self.own:
            manifests = list(self.own[path].values())
            return len(manifests), lambda i: encoded(manifests[i])
        return self._collections.get(path, (0, lambda i: b""))

    def node(self, n: int) -> bytes:
        patched = self.patched_nodes.get(node_name(n))
        return encoded(patched) if patched else self.recording.node(n)

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def tell(self, path: str, kind: str, item: bytes) -> None:
        line = b'{"type":"%b","object":%b}\n' % (kind.encode(), item)
        for queue in self.watchers.get(path, ()):
            queue.put_nowait(line)

    def change_own(self, path: str, name: str, changed: Manifest) -> Manifest:
        changed["metadata"] = {**changed["metadata"], "resourceVersion": str(self.next_version())}
        self.own[path][name] = changed
        self.tell(path, "MODIFIED", encoded(changed))
        return changed

    def unpin(self) -> None:
        """The simulated cloud has its instances by now: from here on pools may shrink."""
        path = f"{OWN_PATH}/nodepools"
        for g in range(self.recording.groups):
            known = self.own[path][pool_name(g)]
            spec = self.recording.node_pool(g, pinned=False)["spec"]
            self.change_own(
                path,
                pool_name(g),
                {**known, "spec": spec, "metadata": {**known["metadata"], "generation": 2}},
            )


def encoded(manifest: Manifest) -> bytes:
    return json.dumps(manifest, separators=(",", ":")).encode()


def rendered(manifest: Manifest) -> bytes:
    return encoded(manifest).replace(b"@version@", b"1")


# --- pods come and go --------------------------------------------------------------------------------------------


class Churn:
    """Pods are replaced one by one: each old one is deleted, its successor is created, bound, started, ready."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        recording = cluster.recording
        self._next_old = recording.nodes * DAEMON_SETS
        self._next_new = recording.pods
        self._lives: list[Iterator[None]] = []
        self._turn = 0
        self._beats = 0

    async def run(self, *, per_second: float, seconds: float) -> None:
        """Events at an even pace, and with them the nodes' heartbeats and the ReplicaSets' statuses."""
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        node_pace = self._cluster.recording.nodes / NODE_STATUS_SECONDS
        while (passed := loop.time() - began) < seconds:
            while sent < passed * per_second:
                self._step()
                sent += 1
            while self._beats < passed * node_pace:
                self._beat()
            await asyncio.sleep(min(0.01, 1 / per_second))
        self._cluster.events_sent += sent

    def _step(self) -> None:
        """One event of a pod: the lives take turns."""
        while len(self._lives) < POD_LIVES_AT_A_TIME:
            self._lives.append(self._life())
        self._turn = (self._turn + 1) % len(self._lives)
        if next(self._lives[self._turn], "over") == "over":
            self._lives[self._turn] = self._life()
            next(self._lives[self._turn])

    def _life(self) -> Iterator[None]:
        old, new = self._next_old, self._next_new
        self._next_old, self._next_new = old + 1, new + 1
        recording = self._cluster.recording
        app = (old - recording.nodes * DAEMON_SETS) % len(recording.apps)
        place = (old - recording.nodes * DAEMON_SETS) % recording.nodes
        self._tell("MODIFIED", old, "terminating", place)
        self._owner_changed(app)
        yield
        self._tell("ADDED", new, "created", place)
        self._owner_changed(app)
        yield
        if new % REFUSED_SHARE == 0:
            self._tell("MODIFIED", new, "refused", place)
            yield
        self._tell("MODIFIED", new, "bound", place)
        yield
        self._tell("MODIFIED", new, "started", place)
        yield
        self._tell("MODIFIED", new, "ready", place)
        self._owner_changed(app)
        yield
        self._tell("MODIFIED", old, "terminating", place)
        yield
        self._tell("DELETED", old, "terminating", place)
        self._owner_changed(app)
        yield

    def _tell(self, kind: str, i: int, stage: str, place: int) -> None:
        version = self._cluster.next_version()
        self._cluster.tell(
            POD_PATH, kind, self._cluster.recording.pod(i, stage, version=version, place=place)
        )

    def _owner_changed(self, app: int) -> None:
        owner = self._cluster.recording.apps[app]
        if owner.kind == "ReplicaSet":
            version = str(self._cluster.next_version()).encode()
            manifest = encoded(recorded.replica_set(owner, revision=0)).replace(b"@version@", version)
            self._cluster.tell(REPLICA_SET_PATH, "MODIFIED", manifest)

    def _beat(self) -> None:
        n = self._beats % self._cluster.recording.nodes
        self._beats += 1
        if node_name(n) not in self._cluster.patched_nodes:
            version = self._cluster.next_version()
            self._cluster.tell(NODE_PATH, "MODIFIED", self._cluster.recording.node(n, version=version))


# --- HTTP --------------------------------------------------------------------------------------------------------


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
