"""The cluster's present state, kept by informers and handed out as frozen pictures.

Indices are maintained change by change and copied on write per node, so that a picture after a few changes
costs next to nothing, however many pods there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from springtide.cluster.picture import ClusterPicture, Manifest
from springtide.cluster.pod_index import PodIndex
from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    LeaseRecord,
    NamespaceRecord,
    NodeRecord,
    PodRecord,
    Workload,
)
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.store import Store
from springtide.cluster.volumes.book import VolumeBook
from springtide.cluster.volumes.objects import VolumeObjects, limited
from springtide.cluster.volumes.records import CsiNode

WakeUp = Callable[[str], None]
"""Called with the reason why a pass should start soon, e.g. "pod default/web-1 became unschedulable"."""

_NEVER = datetime.min.replace(tzinfo=UTC)


class ClusterState:
    """All stores together. Lives in the event loop's thread; only pictures may leave it."""

    def __init__(self, *, wake_up: WakeUp | None = None, shapes: ShapeTable | None = None) -> None:
        """`shapes`: the table that the pods' shapes come from."""
        self.shapes = shapes if shapes is not None else ShapeTable()
        self.volumes = VolumeObjects()
        self.pods: Store[PodRecord] = Store()
        self.nodes: Store[NodeRecord] = Store()
        self.disruption_budgets: Store[DisruptionBudget] = Store()
        self.workloads: dict[str, Store[Workload]] = {
            kind: Store() for kind in ("ReplicaSet", "ReplicationController", "StatefulSet", "Job")
        }
        self.daemon_sets: Store[DaemonSetRecord] = Store()
        self.namespaces: Store[NamespaceRecord] = Store()
        self.leases: Store[LeaseRecord] = Store()
        self.node_pools: Store[Manifest] = Store()
        self.policies: Store[Manifest] = Store()
        self.version = 0
        """Grows with every change that a decision could see."""
        self._wake_up: WakeUp = wake_up or (lambda _reason: None)
        self._arrival: Callable[[], None] = lambda: None
        self._refused: Callable[[PodRecord], None] = self._wake_up_for
        self._pod_index = PodIndex()
        self._volume_book = VolumeBook(self.volumes, self.shapes, changed=self._on_storage)
        self._limited_nodes: dict[str, tuple[NodeRecord, NodeRecord]] = {}
        self._workloads_by_uid: dict[str, Workload] = {}
        self._frozen: ClusterPicture | None = None
        self._stale: set[str] = set()
        self._subscribe()

    def on_wake_up(self, wake_up: WakeUp) -> None:
        """Whom to tell that a pass should start soon; one listener, called in the event loop's thread."""
        self._wake_up = wake_up

    def on_refused(self, refused: Callable[[PodRecord], None]) -> None:
        """Whom to tell that the scheduler refused a pod, instead of the listener of on_wake_up."""
        self._refused = refused

    def _wake_up_for(self, pod: PodRecord) -> None:
        self._wake_up(f"pod {pod.key} became unschedulable")

    def on_arrival(self, arrival: Callable[[], None]) -> None:
        """Whom to tell that a new pod waits for the scheduler: alone no reason for a pass, but a burst still grows."""
        self._arrival = arrival

    def freeze(self, *, now: datetime, age_seconds: float = 0.0) -> ClusterPicture:
        """The present state, immutable. Parts that did not change are shared with the picture before."""
        before = self._frozen
        for pod in self._volume_book.settle():
            self._pod_index.change(pod, pod)
        picture = ClusterPicture(
            taken_at=now,
            nodes=self._part("nodes", before, self._sorted_nodes),
            pods_by_node=self._pod_index.by_node(),
            pending_pods=self._pod_index.pending(),
            disruption_budgets=self._part(
                "disruption_budgets", before, lambda: tuple(self.disruption_budgets)
            ),
            workloads=self._part("workloads", before, lambda: dict(self._workloads_by_uid)),
            daemon_sets=self._part("daemon_sets", before, lambda: tuple(self.daemon_sets)),
            namespaces=self._part(
                "namespaces", before, lambda: {each.name: each.labels for each in self.namespaces}
            ),
            ca_lease=self._part("ca_lease", before, self._newest_lease),
            node_pools=self._part("node_pools", before, lambda: tuple(self.node_pools)),
            policies=self._part("policies", before, lambda: tuple(self.policies)),
            version=self.version,
            age_seconds=age_seconds,
        )
        self._frozen = picture
        self._stale.clear()
        return picture

    def _part(self, name: str, before: ClusterPicture | None, build: Callable[[], Any]) -> Any:
        if before is None or name in self._stale:
            return build()
        return getattr(before, name)

    def _sorted_nodes(self) -> tuple[NodeRecord, ...]:
        pairs = {node.name: self._with_limits(node) for node in self.nodes}
        self._limited_nodes = pairs
        return tuple(pairs[name][1] for name in sorted(pairs))

    def _with_limits(self, node: NodeRecord) -> tuple[NodeRecord, NodeRecord]:
        """(as its informer has it, with the limits of its CSINode); made anew only when either has changed."""
        csi_node = self.volumes.csi_nodes.get(("", node.name))
        known = self._limited_nodes.get(node.name)
        if known is not None and known[0] is node and limited(known[1], csi_node) is known[1]:
            return known
        return node, limited(node, csi_node)

    def _newest_lease(self) -> LeaseRecord | None:
        return max(self.leases, key=lambda lease: lease.renewed_at or _NEVER, default=None)

    def _subscribe(self) -> None:
        self.pods.subscribe(self._on_pod)
        self.nodes.subscribe(self._on_node)
        self.volumes.csi_nodes.subscribe(self._on_csi_node)
        self.disruption_budgets.subscribe(self._marking("disruption_budgets"))
        for store in self.workloads.values():
            store.subscribe(self._on_workload)
        self.daemon_sets.subscribe(self._on_daemon_set)
        self.namespaces.subscribe(self._marking("namespaces"))
        self.leases.subscribe(self._on_lease)
        self.node_pools.subscribe(self._on_custom_resource("node_pools", "NodePool"))
        self.policies.subscribe(self._on_custom_resource("policies", "AutoscalerPolicy"))

    def _marking(self, part: str) -> Callable[[object, object], None]:
        def on_change(_old: object, _new: object) -> None:
            self._changed(part)

        return on_change

    def _changed(self, part: str) -> None:
        self._stale.add(part)
        self.version += 1

    def _on_pod(self, old: PodRecord | None, new: PodRecord | None) -> None:
        self._pod_index.change(old, new)
        self._volume_book.pod_changed(old, new)
        self.version += 1
        if new is not None and _waits_for_a_node(new) and not (old is not None and _waits_for_a_node(old)):
            self._refused(new)
        elif new is not None and old is None and PodIndex.is_pending(new):
            self._arrival()

    def _on_node(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        self._changed("nodes")
        if new is None:
            assert old is not None
            self._wake_up(f"node {old.name} vanished")
        elif new.ready and not (old is not None and old.ready):
            self._wake_up(f"node {new.name} became ready")

    def _on_csi_node(self, _old: CsiNode | None, _new: CsiNode | None) -> None:
        self._changed("nodes")

    def _on_storage(self) -> None:
        self.version += 1

    def _on_workload(self, old: Workload | None, new: Workload | None) -> None:
        if old == new:
            return
        self._changed("workloads")
        if old is not None and (new is None or new.uid != old.uid):
            self._workloads_by_uid.pop(old.uid, None)
        if new is not None:
            self._workloads_by_uid[new.uid] = new

    def _on_daemon_set(self, old: DaemonSetRecord | None, new: DaemonSetRecord | None) -> None:
        self._changed("daemon_sets")
        self._on_workload(old.workload if old else None, new.workload if new else None)

    def _on_lease(self, _old: LeaseRecord | None, _new: LeaseRecord | None) -> None:
        # Renewed every two seconds by a living Cluster Autoscaler: not a change of the cluster.
        self._stale.add("ca_lease")

    def _on_custom_resource(self, part: str, kind: str) -> Callable[[Manifest | None, Manifest | None], None]:
        def on_change(old: Manifest | None, new: Manifest | None) -> None:
            self._stale.add(part)
            if _intent(old) == _intent(new):
                return  # our own status write, or another's label
            self.version += 1
            self._wake_up(f"{kind} {_name(new or old)} {_what_happened(old, new)}")

        return on_change


def _waits_for_a_node(pod: PodRecord) -> bool:
    return pod.unschedulable_since is not None and PodIndex.is_pending(pod)


def _intent(manifest: Manifest | None) -> tuple[Any, ...] | None:
    """What a user can change about an object: a new generation, or its deletion."""
    if manifest is None:
        return None
    metadata: Mapping[str, Any] = manifest.get("metadata", {})
    return (metadata.get("uid"), metadata.get("generation"), metadata.get("deletionTimestamp"))


def _name(manifest: Manifest | None) -> str:
    return str((manifest or {}).get("metadata", {}).get("name", ""))


def _what_happened(old: Manifest | None, new: Manifest | None) -> str:
    if new is None:
        return "is gone"
    if old is None:
        return "appeared"
    return "is being deleted" if new.get("metadata", {}).get("deletionTimestamp") else "was changed"
