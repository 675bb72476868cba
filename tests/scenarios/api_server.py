"""The API server of a scenario: objects as manifests with versions, shown to those who watch a moment later."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from springtide.cluster import manifests
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.state import ClusterState
from springtide.cluster.store import Store
from tests.scenarios.door import CHANGING
from tests.scenarios.virtual_time import OWN_TASKS, now

Manifest = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

LAG_SECONDS: Final = 0.03
"""From a change until those who watch see it."""

_RECORDS: Final[Mapping[str, Callable[[Manifest], Any]]] = {
    "Pod": manifests.pod_from_manifest,
    "Node": manifests.node_from_manifest,
    "PodDisruptionBudget": manifests.disruption_budget_from_manifest,
    "ReplicaSet": lambda manifest: manifests.workload_from_manifest(manifest, kind="ReplicaSet"),
    "DaemonSet": manifests.daemon_set_from_manifest,
    "Lease": manifests.lease_from_manifest,
    "NodePool": lambda manifest: manifest,
    "AutoscalerPolicy": lambda manifest: manifest,
}

OWN_KINDS: Final = ("NodePool", "AutoscalerPolicy")


def key_of(manifest: Manifest) -> Key:
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


class Watcher:
    """One process's informers: a ClusterState that follows the server with a lag, and who hears of our own kinds."""

    def __init__(self, on_own_kind: Callable[[str, Manifest], None]) -> None:
        self.state = ClusterState()
        self.closed = False
        self._on_own_kind = on_own_kind
        self._queue: deque[tuple[str, Key, Manifest, Any]] = deque()

    def later(self, kind: str, key: Key, manifest: Manifest, record: Any) -> None:
        """Show a change after the lag; record None: the object is gone."""
        self._queue.append((kind, key, manifest, record))
        asyncio.get_running_loop().call_later(LAG_SECONDS, self._show_next)

    def show(self, kind: str, key: Key, manifest: Manifest, record: Any) -> None:
        store = store_of(self.state, kind)
        if record is None:
            store.delete(key)
        else:
            store.upsert(key, record)
        if kind in OWN_KINDS and record is not None:
            self._on_own_kind(kind, manifest)

    def _show_next(self) -> None:
        # Timers of one instant fire in any order, the queue keeps the changes in theirs.
        change = self._queue.popleft()
        if not self.closed:
            self.show(*change)


def store_of(state: ClusterState, kind: str) -> Store[Any]:
    stores: Mapping[str, Store[Any]] = {
        "Pod": state.pods,
        "Node": state.nodes,
        "PodDisruptionBudget": state.disruption_budgets,
        "DaemonSet": state.daemon_sets,
        "Lease": state.leases,
        "NodePool": state.node_pools,
        "AutoscalerPolicy": state.policies,
        **state.workloads,
    }
    return stores[kind]


@dataclass(frozen=True, slots=True)
class Backup:
    """What etcd held at one moment."""

    objects: Mapping[str, Mapping[Key, Manifest]]
    version: int


class ApiServer:
    """All objects of the scenario's cluster."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[Key, Manifest]] = {kind: {} for kind in _RECORDS}
        self.truth = ClusterState()
        """Without any lag: what the control plane goes by, and tests judge by."""
        self.listeners: list[Callable[[str], None]] = []
        """Called with the kind of each change, at once."""
        self.past_the_door: list[str] = []
        """Changes by a process that did not go through its door, where they would have been counted: a hole in our tests."""
        self._watchers: list[Watcher] = []
        self._uids = itertools.count(1)
        self._versions = itertools.count(1)

    # --- objects ------------------------------------------------------------------------------------------------

    def create(self, kind: str, manifest: Manifest) -> Manifest:
        """Put a new object there; its metadata is completed as the API server does."""
        metadata = {
            "uid": f"{kind.lower()}-{next(self._uids)}",
            "creationTimestamp": now().isoformat(),
            "generation": 1,
            **manifest["metadata"],
        }
        return self.put(kind, {**manifest, "metadata": metadata})

    def put(self, kind: str, manifest: Manifest) -> Manifest:
        """Create or replace an object; the stored one, with its new version."""
        metadata = {**manifest["metadata"], "resourceVersion": str(next(self._versions))}
        manifest = {**manifest, "metadata": metadata}
        key = key_of(manifest)
        self.objects[kind][key] = manifest
        self._tell(kind, key, manifest, _RECORDS[kind](manifest))
        return manifest

    def delete(self, kind: str, key: Key) -> None:
        """Take an object away; one that is not there is no error."""
        manifest = self.objects[kind].pop(key, None)
        if manifest is not None:
            self._tell(kind, key, manifest, None)

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        return self.objects[kind].get((namespace, name))

    def change_spec(self, kind: str, name: str, **fields: Any) -> None:
        """A user edits the spec; a value of None takes the field out."""
        before = self.objects[kind]["", name]
        spec = {key: v for key, v in {**before["spec"], **fields}.items() if v is not None}
        generation = before["metadata"]["generation"] + (spec != before["spec"])
        self.put(kind, {**before, "spec": spec, "metadata": {**before["metadata"], "generation": generation}})

    def mark_deleted(self, kind: str, name: str) -> None:
        """A user deletes an object that has a finalizer."""
        before = self.objects[kind]["", name]
        metadata = {**before["metadata"], "deletionTimestamp": now().isoformat()}
        self.put(kind, {**before, "metadata": metadata})

    # --- backups ------------------------------------------------------------------------------------------------

    def backup(self) -> Backup:
        """Everything as it is now; stored manifests are replaced, never changed in place."""
        version = next(self._versions)
        return Backup({kind: dict(objects) for kind, objects in self.objects.items()}, version)

    def restore(self, backup: Backup) -> None:
        """Everything is as it was then, resource versions included; those who watch find out by listing anew."""
        for kind, objects in self.objects.items():
            for key in [key for key in objects if key not in backup.objects[kind]]:
                self.delete(kind, key)
            for key, manifest in backup.objects[kind].items():
                if objects.get(key) != manifest:
                    objects[key] = manifest
                    self._tell(kind, key, manifest, _RECORDS[kind](manifest))
        self._versions = itertools.count(backup.version)

    # --- looking ------------------------------------------------------------------------------------------------

    def picture(self, at: datetime | None = None) -> ClusterPicture:
        return self.truth.freeze(now=at or now())

    @property
    def pods(self) -> list[PodRecord]:
        return list(self.truth.pods)

    @property
    def nodes(self) -> list[NodeRecord]:
        return list(self.truth.nodes)

    # --- watching -----------------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """List everything into the watcher, then tell it of every change."""
        for kind, objects in self.objects.items():
            for key, manifest in objects.items():
                watcher.show(kind, key, manifest, _RECORDS[kind](manifest))
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        watcher.closed = True
        self._watchers.remove(watcher)

    def _tell(self, kind: str, key: Key, manifest: Manifest, record: Any) -> None:
        if OWN_TASKS.get() is not None and not CHANGING.get():
            self.past_the_door.append(f"{kind} {key[1]} was changed past the door")
        store = store_of(self.truth, kind)
        if record is None:
            store.delete(key)
        else:
            store.upsert(key, record)
        for watcher in self._watchers:
            watcher.later(kind, key, manifest, record)
        for listener in self.listeners:
            listener(kind)
