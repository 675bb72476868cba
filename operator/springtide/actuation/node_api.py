"""Nodes and pods of a real API server: the NodeApi that the operator runs with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from springtide.actuation.ports import NodeObject
from springtide.cluster.kube import MERGE_PATCH, KubeClient
from springtide.cluster.records import PodRecord

REQUEST_TIMEOUT_SECONDS = 10.0
"""Shorter than the client's default: a step that hangs is better repeated after a fresh read."""

DecodePods = Callable[[bytes], Sequence[PodRecord]]
"""A PodList as sent by the API server -> records (their shapes interned in the process's one table)."""


class KubeNodes:
    """NodeApi over a KubeClient. Verbs: nodes get, patch, delete; pods list; pods/eviction create."""

    def __init__(self, client: KubeClient, *, decode_pods: DecodePods) -> None:
        self._client = client
        self._decode_pods = decode_pods

    async def read(self, name: str) -> NodeObject:
        body = await self._client.get(_node_path(name), timeout_seconds=REQUEST_TIMEOUT_SECONDS)
        node: NodeObject = msgspec.json.decode(body)
        return node

    async def patch(self, name: str, change: Mapping[str, Any]) -> NodeObject:
        node: NodeObject = await self._client.patch(
            _node_path(name), change, MERGE_PATCH, timeout_seconds=REQUEST_TIMEOUT_SECONDS
        )
        return node

    async def delete(self, name: str, *, uid: str) -> None:
        await self._client.delete(
            _node_path(name),
            {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}},
            timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )

    async def pods_on(self, name: str) -> Sequence[PodRecord]:
        # No resourceVersion: a quorum read, never the API server's watch cache of a moment ago.
        body = await self._client.get(
            "/api/v1/pods",
            {"fieldSelector": f"spec.nodeName={name}"},
            timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )
        return self._decode_pods(body)

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        await self._client.post(
            f"/api/v1/namespaces/{quote(pod.namespace)}/pods/{quote(pod.name)}/eviction",
            {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"namespace": pod.namespace, "name": pod.name},
                "deleteOptions": {
                    "gracePeriodSeconds": grace_seconds,
                    # A StatefulSet's next pod has the same name, and may be on another node by now.
                    "preconditions": {"uid": pod.uid},
                },
            },
            timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )


def _node_path(name: str) -> str:
    return f"/api/v1/nodes/{quote(name)}"
