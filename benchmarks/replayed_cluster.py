"""What the replaying API server has: every collection, its changes, and pods that come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks import recorded
from benchmarks.recorded_pods import App, Manifest, uid
from benchmarks.recording import DAEMON_SETS, Recording, node_name, own_resource, pool_name

POD_PATH: Final = "/api/v1/pods"
NODE_PATH: Final = "/api/v1/nodes"
REPLICA_SET_PATH: Final = "/apis/apps/v1/replicasets"
OWN_PATH: Final = "/apis/springtide.dev/v1alpha1"

OLD_REVISIONS: Final = 5
"""ReplicaSets that a Deployment keeps for rollbacks (its default is ten)."""
POD_LIVES_AT_A_TIME: Final = 30
REFUSED_SHARE: Final = 50
"""One of so many new pods is refused by the scheduler before it finds a place."""
NODE_STATUS_SECONDS: Final = 300.0
"""The kubelet reports a node's unchanged status so often."""

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
