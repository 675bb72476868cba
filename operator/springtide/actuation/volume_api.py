"""Attached volumes as a real API server tells of them: the VolumeApi that the operator runs with."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from springtide.cluster.kube import KubeClient
from springtide.cluster.volumes.records import Claim

REQUEST_TIMEOUT_SECONDS = 20.0
"""Large clusters have tens of thousands of attachments; a list cannot be limited to a node."""


class _Source(msgspec.Struct, rename="camel"):
    persistent_volume_name: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str
    source: _Source


class _Metadata(msgspec.Struct):
    name: str


class _Attachment(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec


class _Attachments(msgspec.Struct):
    items: list[_Attachment]


_DECODER = msgspec.json.Decoder(_Attachments)


class KubeVolumes:
    """VolumeApi over a KubeClient and the informers' claims. Verbs: volumeattachments list."""

    def __init__(self, client: KubeClient, *, claim: Callable[[str, str], Claim | None]) -> None:
        """`claim`: the PersistentVolumeClaim of a namespace and name."""
        self._client = client
        self._claim = claim

    async def attached_to(self, node: str) -> Collection[str]:
        # From the API server's cache, which costs etcd nothing. It may be late: then a volume that is detached already
        # is waited for a moment longer.
        body = await self._client.get(
            "/apis/storage.k8s.io/v1/volumeattachments",
            {"resourceVersion": "0"},
            timeout_seconds=REQUEST_TIMEOUT_SECONDS,
        )
        here = [each for each in _DECODER.decode(body).items if each.spec.node_name == node]
        # Of a volume that stands in the pod's own spec there is no other name.
        return [each.spec.source.persistent_volume_name or each.metadata.name for each in here]

    def volume_of(self, namespace: str, claim: str) -> str:
        found = self._claim(namespace, claim)
        return found.volume_name if found is not None else ""
