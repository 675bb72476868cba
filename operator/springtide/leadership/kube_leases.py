"""The one Lease that is fought for, at a real API server."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError
from springtide.cluster.kube import KubeClient
from springtide.leadership.lease import Manifest


class LeaseApi(Protocol):
    """Reads and writes of one Lease. All methods raise springtide.cluster.api_errors.KubeError."""

    async def read(self, *, within: float) -> Manifest | None:
        """The Lease as of now (a consistent read), or None when there is none."""
        ...

    async def create(self, lease: Manifest, *, within: float) -> Manifest:
        """ApiError 409 when there is one already."""
        ...

    async def replace(self, lease: Manifest, *, within: float) -> Manifest:
        """ApiError 409 when its resourceVersion is not the present one; 404 or 409 when there is none."""
        ...


class KubeLeases:
    """LeaseApi over a KubeClient. Verbs: leases get, create, update."""

    def __init__(self, client: KubeClient, *, namespace: str, name: str) -> None:
        self._client = client
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._path = f"{self._folder}/{quote(name)}"

    async def read(self, *, within: float) -> Manifest | None:
        try:
            body = await self._client.get(self._path, timeout_seconds=within)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        try:
            return _lease(msgspec.json.decode(body))
        except msgspec.DecodeError as error:
            raise KubeError(f"the answer is not JSON: {error}") from error

    async def create(self, lease: Manifest, *, within: float) -> Manifest:
        return await _written(self._client.post(self._folder, dict(lease), timeout_seconds=within))

    async def replace(self, lease: Manifest, *, within: float) -> Manifest:
        return await _written(self._client.put(self._path, dict(lease), timeout_seconds=within))


async def _written(call: Awaitable[Any]) -> Manifest:
    try:
        return _lease(await call)
    except msgspec.DecodeError as error:
        # It may have been written all the same.
        raise ApiUnreachable(f"the answer is not JSON: {error}") from error


def _lease(answer: Any) -> Manifest:
    # A proxy in between may answer with anything.
    if not isinstance(answer, dict) or answer.get("kind") != "Lease" or not answer.get("metadata"):
        raise ApiUnreachable("the answer is not a Lease")
    lease: Manifest = answer
    return lease
