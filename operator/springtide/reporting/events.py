"""Kubernetes Events on pods, nodes and NodePools: deduplicated, in the background, never in a pass's way.

kopf's own poster fills in a namespace that makes events of cluster-scoped objects invisible in `kubectl describe`,
and makes a new object of every repetition; hence a recorder of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from springtide.api.foreign_text import shown
from springtide.api.scalars import format_time
from springtide.cluster.api_errors import ApiError, KubeError

COMPONENT: Final = "springtide"
MAX_MESSAGE: Final = 1024
"""The API server's limit for an event's message, in characters."""
REPEAT_AFTER: Final = timedelta(minutes=5)
"""The same event of the same object is written again (as a higher count) only after so long, as Cluster Autoscaler does."""
MAX_REMEMBERED: Final = 4096
MAX_WAITING: Final = 5000
"""Events not written yet; further ones are dropped (and counted): events explain, they must not become the load."""
WRITERS: Final = 2
POD_EVENTS_PER_SECOND: Final = 20.0
"""A purchase for a thousand pods has a thousand events; the API server has better things to do just then. Events of
NodePools and nodes are few and go first."""

OTHER_EVENTS_PER_SECOND: Final = 50.0
"""After an outage of the API server those of many nodes may have gathered."""

logger = logging.getLogger(__name__)


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Subject:
    """The object an event is about. `namespace` is empty for cluster-scoped objects."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str = ""

    def reference(self) -> dict[str, str]:
        reference = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        if self.namespace:
            reference["namespace"] = self.namespace
        return reference


@dataclass(frozen=True, slots=True)
class Event:
    """Something to say of an object."""

    subject: Subject
    type: EventType
    reason: str
    message: str
    """Made fit to be shown when the event is made, so that what is remembered of it is bounded, too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shown(self.message, at_most=MAX_MESSAGE))

    @property
    def key(self) -> tuple[str, str, str]:
        return self.subject.uid, self.reason, self.message


@dataclass(slots=True)
class _Written:
    name: str
    first: datetime
    last: datetime
    count: int


class EventApi(Protocol):
    """What the recorder needs of the API server's client."""

    async def post(self, path: str, body: Any) -> Any: ...

    async def patch(self, path: str, body: Any, content_type: str = ...) -> Any: ...


class EventRecorder:
    """Takes events at once and writes them when there is time."""

    def __init__(self, api: EventApi, *, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock
        self._queue: asyncio.PriorityQueue[tuple[bool, int, Event]] = asyncio.PriorityQueue(MAX_WAITING)
        self._number = itertools.count()
        self._next = {True: 0.0, False: 0.0}
        """When the next event of a pod, and of anything else, may be written."""
        self._written: OrderedDict[tuple[str, str, str], _Written] = OrderedDict()
        self._forbidden_said = False
        self.dropped = 0
        self.written = 0
        self.on_drop: Callable[[], None] = lambda: None
        """Called for every event that will never be written."""

    @property
    def waiting(self) -> int:
        """Events not written yet."""
        return self._queue.qsize()

    def record(self, event: Event) -> None:
        """Say it, unless the same was said within REPEAT_AFTER."""
        if not event.subject.uid or self._is_recent(event):
            return
        try:
            self._queue.put_nowait((event.subject.kind == "Pod", next(self._number), event))
        except asyncio.QueueFull:
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        self.on_drop()

    def _is_recent(self, event: Event) -> bool:
        now = self._clock()
        known = self._written.get(event.key)
        if known is not None and timedelta(0) <= now - known.last < REPEAT_AFTER:
            return True
        if known is None:
            known = _Written(name="", first=now, last=now, count=0)
            self._written[event.key] = known
            if len(self._written) > MAX_REMEMBERED:
                self._written.popitem(last=False)
        known.last = now
        self._written.move_to_end(event.key)
        return False

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write_forever())

    async def flush(self, *, seconds: float) -> None:
        """Wait until all is written, at most so long: the last words before a stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()

    async def _write_forever(self) -> None:
        while True:
            of_pod, _, event = await self._queue.get()
            try:
                await self._pace(of_pod=of_pod)
                await self._write(event)
                self.written += 1
            except KubeError as error:
                # An event is a courtesy: it is not worth a retry that would delay the next.
                logger.debug("event %s of %s not written: %s", event.reason, event.subject.name, error)
                self._say_if_forbidden(error)
                self._drop()
            finally:
                self._queue.task_done()

    def _say_if_forbidden(self, error: KubeError) -> None:
        """Once: without events, users would look in vain for what `kubectl describe` should tell them."""
        if isinstance(error, ApiError) and error.status == 403 and not self._forbidden_said:
            self._forbidden_said = True
            logger.warning(
                "events are not allowed to this account; apply deploy/kubernetes/20-cluster-role.yaml: %s",
                error,
            )

    async def _pace(self, *, of_pod: bool) -> None:
        """Wait for the next moment at which such an event may be written."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next[of_pod])
        self._next[of_pod] = at + 1 / (POD_EVENTS_PER_SECOND if of_pod else OTHER_EVENTS_PER_SECOND)
        if at > now:
            await asyncio.sleep(at - now)

    async def _write(self, event: Event) -> None:
        known = self._written.get(event.key)
        now = self._clock()
        if known is not None and known.name:
            known.count += 1
            body = {"count": known.count, "lastTimestamp": format_time(now)}
            path = f"{_path(event.subject)}/{known.name}"
            try:
                await self._api.patch(path, body)
                return
            except ApiError as error:
                if error.status != 404:
                    raise
                # The API server forgets events after an hour: begin a new one.
        name = _name(event, now)
        if known is not None:
            known.name, known.count, known.first = name, 1, now
        await self._api.post(_path(event.subject), _manifest(event, name=name, now=now))


def _namespace(subject: Subject) -> str:
    # Events of cluster-scoped objects live in "default": the API server allows no other for them.
    return subject.namespace or "default"


def _path(subject: Subject) -> str:
    return f"/api/v1/namespaces/{_namespace(subject)}/events"


def _name(event: Event, now: datetime) -> str:
    digest = hashlib.sha256("\0".join(event.key).encode()).hexdigest()[:8]
    return f"{event.subject.name[:200]}.{int(now.timestamp() * 1_000_000):x}{digest}"


def _manifest(event: Event, *, name: str, now: datetime) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": _namespace(event.subject)},
        "involvedObject": event.subject.reference(),
        "type": event.type.value,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }
