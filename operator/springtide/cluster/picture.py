"""The cluster as one pass sees it: a frozen, cheap view of all informers' stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from springtide.cluster.records import (
    DaemonSetRecord,
    DisruptionBudget,
    LeaseRecord,
    NodeRecord,
    PodRecord,
    Workload,
)

Manifest = Mapping[str, Any]
"""An object of the Kubernetes API as its JSON says it. Never changed after it was read."""


@dataclass(frozen=True, slots=True)
class ClusterPicture:
    """Everything the informers know at one instant. Immutable: later changes never show in it."""

    taken_at: datetime
    nodes: tuple[NodeRecord, ...] = ()
    """In the order of their names."""
    pods_by_node: Mapping[str, tuple[PodRecord, ...]] = field(default_factory=dict)
    """By node name: the pods bound there that still hold resources (finished pods are left out, as in the
    scheduler's own cache; terminating ones are not). A name may have no Node object (yet, or any more)."""
    pending_pods: tuple[PodRecord, ...] = ()
    """Not bound, not finished, not held by scheduling gates, not being deleted."""
    disruption_budgets: tuple[DisruptionBudget, ...] = ()
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By uid: ReplicaSets, ReplicationControllers, StatefulSets, Jobs and DaemonSets."""
    daemon_sets: tuple[DaemonSetRecord, ...] = ()
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of namespaces by name."""
    ca_lease: LeaseRecord | None = None
    """Cluster Autoscaler's Lease, the one renewed last; None if there is none."""
    node_pools: tuple[Manifest, ...] = ()
    policies: tuple[Manifest, ...] = ()
    version: int = 0
    """Grows with every change that a decision could see; the same number means the same cluster. Renewals of
    the Lease do not count."""
    age_seconds: float = 0.0
    """Time since the most silent informer last heard from the API server. A healthy idle watch is up to a
    minute old (bookmarks come once a minute)."""
