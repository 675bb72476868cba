"""Objects as the API server's JSON has them, for workloads that are made from formulas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Manifest = dict[str, Any]

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The instant at which every workload is planned."""
MIB: Final = 2**20
GIB: Final = 2**30
ZONE: Final = "topology.kubernetes.io/zone"
HOSTNAME: Final = "kubernetes.io/hostname"

_LONG_AGO: Final = "2025-12-31T12:00:00Z"
_REFUSED: Final = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/0 nodes are available",
            "lastTransitionTime": (NOW - timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    ],
}
_RUNNING: Final = {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]}


def pod(
    name: str,
    requests: Mapping[str, Any],
    *,
    node: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A pod of one container: running on `node`, or refused by the scheduler two seconds ago. `requests`: cpu in
    milli, other resources in whole units. `owner`: the manifest of the ReplicaSet that made it."""
    amounts = {key: f"{value}m" if key == "cpu" else str(value) for key, value in requests.items()}
    metadata: Manifest = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "creationTimestamp": (NOW - timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if node:
        metadata["creationTimestamp"] = _LONG_AGO
        spec["nodeName"] = node
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    container = {"name": "main", "image": "app", "resources": {"requests": amounts}}
    return {
        "metadata": metadata,
        "spec": {"containers": [container], "priority": 0, **spec},
        "status": _RUNNING if node else _REFUSED,
    }


def replica_set(name: str, *, replicas: int) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-rs-{name}"},
        "spec": {"replicas": replicas},
    }


def disruption_budget(name: str, *, app: str, allowed: int) -> Manifest:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-pdb-{name}"},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed},
    }


def node(name: str, resources: Mapping[str, int], *, labels: Mapping[str, str] | None = None) -> Manifest:
    """A node that has been ready for a day; its provider ID is that of `instance_of` the same name."""
    amounts = {key: f"{value}m" if key == "cpu" else str(value) for key, value in resources.items()}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _LONG_AGO}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": _LONG_AGO,
            "labels": {HOSTNAME: name, **(labels or {})},
        },
        "spec": {"providerID": provider_id(name)},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    }


def provider_id(node_name: str) -> str:
    return f"cloud:///{node_name}"


def custom_resource(kind: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    """A NodePool or AutoscalerPolicy."""
    return {
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "uid": f"uid-{kind}-{name}",
            "generation": 1,
            "creationTimestamp": _LONG_AGO,
        },
        "spec": dict(spec),
    }


def pages(items: Iterator[Manifest], size: int) -> Iterator[Sequence[Manifest]]:
    """Lists of at most `size` manifests."""
    page: list[Manifest] = []
    for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
