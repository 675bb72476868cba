"""All informers of the cluster as one thing: start, wait until synced, take pictures, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from springtide.cluster import decode
from springtide.cluster import unreadable as stand_ins
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.codec import Codec, ManifestCodec, RecordCodec
from springtide.cluster.informer import Informer, InformerSettings, Resource
from springtide.cluster.kube import KubeClient
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.state import ClusterState
from springtide.cluster.volumes import decode as of_volumes
from springtide.cluster.volumes.wire import (
    ClaimWire,
    CsiDriverWire,
    CsiNodeWire,
    PersistentVolumeWire,
    StorageCapacityWire,
    StorageClassWire,
)
from springtide.cluster.wire import (
    BudgetWire,
    DaemonSetWire,
    LeaseWire,
    NamespaceWire,
    NodeWire,
    PodWire,
    WorkloadWire,
)

_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
"""As kube-scheduler and Cluster Autoscaler watch pods: a pod that finishes arrives as DELETED."""

_CA_LEASE = "metadata.name=cluster-autoscaler"
"""Whatever namespace Cluster Autoscaler was installed to. RBAC by resourceNames covers this selector."""

_WORKLOAD_PATHS = {
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "ReplicationController": "/api/v1/replicationcontrollers",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "Job": "/apis/batch/v1/jobs",
}


_ALLOW = (
    "this account may not list and watch them; apply deploy/kubernetes/20-cluster-role.yaml and its binding"
)


def node_codec() -> RecordCodec[NodeWire, NodeRecord]:
    """Nodes from the API server."""
    return RecordCodec(NodeWire, decode.node_record, stand_in=stand_ins.node)


def pod_codec(shapes: ShapeTable) -> RecordCodec[PodWire, PodRecord]:
    """Pods from the API server, with shapes of this table."""
    return RecordCodec(
        PodWire,
        partial(decode.pod_record, shapes=shapes),
        stand_in=partial(stand_ins.pod, shapes=shapes),
    )


class ClusterWatch:
    """Keeps a ClusterState up to date. Create, start() and stop() it in one event loop."""

    def __init__(
        self,
        client: KubeClient,
        *,
        state: ClusterState | None = None,
        settings: InformerSettings | None = None,
        shapes: ShapeTable | None = None,
    ) -> None:
        self.state = state if state is not None else ClusterState(shapes=shapes)
        self._client = client
        self.shapes = shapes if shapes is not None else self.state.shapes
        self.informers: tuple[Informer[Any], ...] = tuple(
            Informer(client, resource, store, settings=settings or InformerSettings())
            for resource, store in self._resources()
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start one task per kind of object. They run until stop()."""
        assert not self._tasks, "started twice"
        self._tasks = [
            asyncio.create_task(informer.run(), name=f"informer {informer.resource.name}")
            for informer in self.informers
        ]

    async def synced(self) -> None:
        """Wait until every informer has its first complete list."""
        for informer in self.informers:
            await informer.synced.wait()

    @property
    def is_synced(self) -> bool:
        return all(informer.synced.is_set() for informer in self.informers)

    async def list_anew(self, names: Collection[str]) -> None:
        """List these kinds of objects again; ends when the stores hold all that was so when this was called.

        A watch tells everything in the end, but not how far behind it is; a list without a resourceVersion is a
        consistent read.
        """
        wanted = [at for at, informer in enumerate(self.informers) if informer.resource.name in names]
        for at in wanted:
            self._tasks[at].cancel()
        # Only when it has really ended may another write into its store.
        await asyncio.gather(*(self._tasks[at] for at in wanted), return_exceptions=True)
        for at in wanted:
            informer = self.informers[at]
            informer.start_over()
            self._tasks[at] = asyncio.create_task(informer.run(), name=f"informer {informer.resource.name}")
        for at in wanted:
            await self.informers[at].listed.wait()

    async def stop(self) -> None:
        """Cancel all informers and wait until they are gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def age_seconds(self) -> float:
        """Age of the most silent informer's news; infinite until all are synced."""
        return max(informer.age_seconds for informer in self.informers)

    def ages(self) -> Mapping[str, float]:
        """Seconds since the API server last told us anything, by kind of object; infinite until that is synced."""
        return {informer.resource.name: informer.age_seconds for informer in self.informers}

    def api_calls(self) -> ApiCalls:
        """How the calls of our client fared in the last minute."""
        return self._client.calls.lately()

    def problems(self) -> tuple[str, ...]:
        """What keeps informers from following, for users: "pods: Connection refused", what is forbidden in one."""
        failing = [informer for informer in self.informers if informer.last_error]
        forbidden = ", ".join(informer.resource.name for informer in failing if informer.forbidden)
        others = (f"{one.resource.name}: {one.last_error}" for one in failing if not one.forbidden)
        return (*((f"{forbidden}: 403 Forbidden: {_ALLOW}",) if forbidden else ()), *others)

    def picture(self, *, now: datetime) -> ClusterPicture:
        """The present state, frozen, saying how old it is."""
        return self.state.freeze(now=now, age_seconds=self.age_seconds)

    def _resources(self) -> list[tuple[Resource[Any], Any]]:
        state, shapes = self.state, self.shapes
        daemon_set = partial(decode.daemon_set_record, shapes=shapes)
        own = "/apis/springtide.dev/v1alpha1"
        return [
            (Resource("nodes", "/api/v1/nodes", node_codec()), state.nodes),
            (Resource("pods", "/api/v1/pods", pod_codec(shapes), _UNFINISHED), state.pods),
            (
                Resource(
                    "poddisruptionbudgets",
                    "/apis/policy/v1/poddisruptionbudgets",
                    RecordCodec(BudgetWire, decode.disruption_budget, stand_in=stand_ins.disruption_budget),
                ),
                state.disruption_budgets,
            ),
            (
                Resource("daemonsets", "/apis/apps/v1/daemonsets", RecordCodec(DaemonSetWire, daemon_set)),
                state.daemon_sets,
            ),
            (
                Resource(
                    "namespaces", "/api/v1/namespaces", RecordCodec(NamespaceWire, decode.namespace_record)
                ),
                state.namespaces,
            ),
            (
                Resource(
                    "leases",
                    "/apis/coordination.k8s.io/v1/leases",
                    RecordCodec(LeaseWire, decode.lease_record),
                    _CA_LEASE,
                ),
                state.leases,
            ),
            (Resource("nodepools", f"{own}/nodepools", ManifestCodec()), state.node_pools),
            (Resource("autoscalerpolicies", f"{own}/autoscalerpolicies", ManifestCodec()), state.policies),
            *(self._workload_resource(kind) for kind in _WORKLOAD_PATHS),
            *self._storage_resources(),
        ]

    def _storage_resources(self) -> list[tuple[Resource[Any], Any]]:
        volumes, core, storage = self.state.volumes, "/api/v1", "/apis/storage.k8s.io/v1"
        wanted: list[tuple[str, str, Codec[Any], Any]] = [
            (core, "persistentvolumeclaims", RecordCodec(ClaimWire, of_volumes.claim), volumes.claims),
            (
                core,
                "persistentvolumes",
                RecordCodec(PersistentVolumeWire, of_volumes.persistent_volume),
                volumes.volumes,
            ),
            (
                storage,
                "storageclasses",
                RecordCodec(StorageClassWire, of_volumes.storage_class),
                volumes.classes,
            ),
            (storage, "csidrivers", RecordCodec(CsiDriverWire, of_volumes.csi_driver), volumes.drivers),
            (storage, "csinodes", RecordCodec(CsiNodeWire, of_volumes.csi_node), volumes.csi_nodes),
            (
                storage,
                "csistoragecapacities",
                RecordCodec(StorageCapacityWire, of_volumes.storage_capacity),
                volumes.capacities,
            ),
        ]
        return [(Resource(name, f"{api}/{name}", codec), store) for api, name, codec, store in wanted]

    def _workload_resource(self, kind: str) -> tuple[Resource[Any], Any]:
        codec = RecordCodec(WorkloadWire, partial(decode.workload, kind=kind))
        name = _WORKLOAD_PATHS[kind].rsplit("/", 1)[-1]
        return Resource(name, _WORKLOAD_PATHS[kind], codec), self.state.workloads[kind]
