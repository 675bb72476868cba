"""Writes the status of our resources: only when the content changed, by compare-and-swap, with a slow heartbeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from springtide.api.model import API_GROUP, API_VERSION
from springtide.api.scalars import format_time
from springtide.cluster.api_errors import ApiError, KubeError
from springtide.cluster.kube import JSON_PATCH

HEARTBEAT_FIELDS: Final = (
    "lastProbeTime",
    "lastPass.time",
    "lastPass.planID",
    "lastPass.duration",
    "lastPass.phases",
)
"""Fields that change with every look; alone they are not worth a write before the heartbeat is due."""

logger = logging.getLogger(__name__)


class StatusApi(Protocol):
    """What the writer needs of the API server's client."""

    async def patch(self, path: str, body: Any, content_type: str = ...) -> Any: ...

    async def get_json(self, path: str) -> Any: ...


@dataclass(slots=True)
class _Known:
    resource_version: str
    content: Mapping[str, Any] = field(default_factory=dict)
    written_at: datetime | None = None
    """None: never, or nobody knows what stands there after an answer was lost."""
    failure: str = ""
    """Why the last attempt failed: said once, not by every pass."""


class StatusWriter:
    """The one writer of all statuses. Compute and write a status inside of `exclusive`."""

    def __init__(self, api: StatusApi, *, clock: Callable[[], datetime], heartbeat: timedelta) -> None:
        self._api = api
        self._clock = clock
        self._heartbeat = heartbeat
        self._known: dict[tuple[str, str], _Known] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self.writes: dict[str, int] = {}
        """Writes sent so far, by plural."""
        self.failures = 0

    @asynccontextmanager
    async def exclusive(self, plural: str, uid: str) -> AsyncIterator[None]:
        """One at a time for each object. A status computed before its turn could write over a newer one."""
        async with self._locks.setdefault((plural, uid), asyncio.Lock()):
            yield

    async def write(
        self, plural: str, name: str, *, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> bool:
        """Write `status` if it says something new or the heartbeat is due; False when there was nothing to write.

        A failure is logged and tried again by the next pass: a status that cannot be written must not stop scaling.
        """
        known = self._known.setdefault((plural, uid), _Known(resource_version))
        content = _content(status)
        now = self._clock()
        # A time in the future is of a clock that has been set back since.
        fresh = known.written_at is not None and timedelta(0) <= now - known.written_at < self._heartbeat
        if content == known.content and fresh:
            return False
        try:
            await self._send(plural, name, uid, known, resource_version, status)
        except KubeError as error:
            self.failures += 1
            if str(error) != known.failure:
                known.failure = str(error)
                logger.warning(
                    "status of %s/%s not written, tried again by every pass: %s", plural, name, error
                )
            return False
        return True

    async def write_now(
        self, plural: str, name: str, *, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> None:
        """Write `status`, whatever stands there. Raises KubeError (404: the object is gone, or was made anew) when it
        does not stand there, or nobody knows."""
        known = self._known.setdefault((plural, uid), _Known(resource_version))
        await self._send(plural, name, uid, known, resource_version, status)

    def __len__(self) -> int:
        """Objects that it remembers."""
        return len(self._known)

    def forget(self, plural: str, uid: str) -> None:
        """The object is gone."""
        self._known.pop((plural, uid), None)
        self._locks.pop((plural, uid), None)

    async def _send(
        self, plural: str, name: str, uid: str, known: _Known, seen: str, status: Mapping[str, Any]
    ) -> None:
        now = self._clock()
        # Our own last write is newer than what the watch has shown so far.
        version = known.resource_version if known.written_at is not None else seen
        # Until the answer is here, nobody knows what stands there: a cancelled or failed write is not "unchanged".
        known.written_at = None
        complete = {**status, "lastProbeTime": format_time(now)}
        await self._swap(plural, name, uid, known, version, complete)
        known.failure = ""
        known.content, known.written_at = _content(status), now
        self.writes[plural] = self.writes.get(plural, 0) + 1

    async def _swap(
        self, plural: str, name: str, uid: str, known: _Known, version: str, status: Mapping[str, Any]
    ) -> None:
        path = f"/apis/{API_GROUP}/{API_VERSION}/{plural}/{name}"
        try:
            answer = await self._api.patch(f"{path}/status", _guarded(version, status), JSON_PATCH)
        except ApiError as error:
            if error.status not in (409, 422):
                raise
            # Somebody changed the object meanwhile (its spec, a finalizer): look again, once.
            fresh = await self._api.get_json(path)
            if fresh["metadata"]["uid"] != uid:
                raise ApiError(
                    status=404, reason="NotFound", message=f"{plural}/{name} was deleted"
                ) from error
            answer = await self._api.patch(
                f"{path}/status", _guarded(fresh["metadata"]["resourceVersion"], status), JSON_PATCH
            )
        known.resource_version = answer["metadata"]["resourceVersion"]


def _guarded(resource_version: str, status: Mapping[str, Any]) -> list[dict[str, Any]]:
    # "add" replaces the whole status, so that what is no longer true does not linger as a merge would let it.
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
        {"op": "add", "path": "/status", "value": dict(status)},
    ]


def _content(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status without its heartbeat fields."""
    content = dict(status)
    for path in HEARTBEAT_FIELDS:
        head, _, tail = path.partition(".")
        if not tail:
            content.pop(head, None)
        elif isinstance(content.get(head), Mapping):
            content[head] = {key: value for key, value in content[head].items() if key != tail}
    return content
