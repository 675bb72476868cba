"""Hollow nodes: Node objects without a machine, on which kwok makes pods run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from devcluster.api import Api, ApiError, Object, wait_for

FAKE_NODE_ANNOTATION = "kwok.x-k8s.io/node"
"""kwok manages the nodes that carry this annotation with the value ``fake``, and no others."""

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass(frozen=True, kw_only=True)
class HollowNode:
    """What a kubelet would register; quantities as Kubernetes writes them.

    ``allocatable`` is ``capacity`` unless given.
    """

    name: str
    capacity: Mapping[str, str]
    allocatable: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    """Mappings with ``key``, ``effect`` and optionally ``value``."""
    provider_id: str = ""

    def manifest(self) -> Object:
        """Return the Node object; capacity and allocatable are in its status, as when a kubelet registers."""
        spec: dict[str, Any] = {}
        if self.provider_id:
            spec["providerID"] = self.provider_id
        if self.taints:
            spec["taints"] = [dict(taint) for taint in self.taints]
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    **self.labels,
                },
                "annotations": {FAKE_NODE_ANNOTATION: "fake", **self.annotations},
            },
            "spec": spec,
            "status": {
                "capacity": dict(self.capacity),
                "allocatable": dict(self.capacity if self.allocatable is None else self.allocatable),
            },
        }


async def create_node(api: Api, node: HollowNode) -> Object:
    """Register the node, which kwok makes Ready at once; a node of that name is left as it is."""
    try:
        return await api.post(NODES, node.manifest())
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return await api.get(f"{NODES}/{node.name}")


async def delete_node(api: Api, name: str) -> bool:
    """Remove the Node object, as a cloud controller does when the machine is gone; False when there was none.

    Its pods stay until the pod garbage collector sees that their node is missing.
    """
    return await api.delete(f"{NODES}/{name}") is not None


async def set_ready(api: Api, name: str, *, ready: bool, reason: str = "SetByDevcluster") -> Object:
    """Make a node NotReady, or Ready again: kwok renews its lease but leaves the condition as set here."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": reason,
        "message": "the kubelet is ready" if ready else "the kubelet is not ready",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    # Conditions merge by type under a strategic patch, so the other conditions stay.
    return await api.patch(
        f"{NODES}/{name}/status", {"status": {"conditions": [condition]}}, kind="strategic"
    )


async def silence(api: Api, name: str) -> Object:
    """Let the kubelet die without a word: no heartbeat any more, pods neither start nor end.

    The node becomes NotReady (status Unknown) when `ControlPlaneOptions.node_lease_seconds` have passed. kwok leaves
    a node alone whose lease another holds, until the lease expires; this one never does. The first heartbeat is waited
    for: a node may be Ready a moment before it.
    """
    lease = f"{LEASES}/{name}"
    await wait_for(lambda: api.find(lease), timeout=20, what=f"the first heartbeat of {name}")
    stolen = {"holderIdentity": "nobody", "leaseDurationSeconds": 2**31 - 1}
    return await api.patch(lease, {"spec": stolen})
