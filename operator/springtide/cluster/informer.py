"""An informer: LIST once, then WATCH for ever, surviving all that API servers and networks do.

The list is paged (500 objects a page) rather than streamed with sendInitialEvents: pages decode three times
cheaper than one event per object, hold one page in memory, let the event loop breathe in between, and work
with every API server, also where WatchList is switched off.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

import msgspec

from springtide.cluster.api_errors import ApiError, KubeError
from springtide.cluster.codec import Codec, Event, EventType, Key
from springtide.cluster.kube import KubeClient, Params
from springtide.cluster.store import Store

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_GONE = 410
_FORBIDDEN = 403
UNREADABLE_SAID = 5
"""Objects that cannot be read come in crowds, of one controller's or one release's making: so many are named."""
_NOT_ABOUT_US = frozenset({401, 403, 429, 503})
"""Refusals that say nothing about our resourceVersion; a relist would only add to the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformerSettings:
    """How an informer behaves; the defaults are right for production."""

    page_size: int = 500
    """Objects per page of a LIST."""
    silence_seconds: float = 75.0
    """A watch without a sign of life for so long is dead: bookmarks come every minute."""
    watch_seconds: tuple[int, int] = (300, 600)
    """The server is asked to end the watch after a random time in between, as client-go does, so that load
    spreads over API servers again after one was restarted."""
    backoff_initial_seconds: float = 0.2
    backoff_max_seconds: float = 10.0
    """Less than client-go's 30 s: while we are blind nobody buys nodes, and a dozen attempts are no load."""
    list_timeout_seconds: float = 60.0
    """For one page."""
    refusals_before_relist: int = 3
    """Consecutive error answers to a watch after which its resourceVersion is no longer believed in. Lost
    connections do not count: after a restart of the API server nobody should list everything again."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """What is listed and watched."""

    name: str
    """For messages and metrics, e.g. "pods"."""
    path: str
    """e.g. /api/v1/pods"""
    codec: Codec[T]
    field_selector: str = ""


class Informer(Generic[T]):
    """Keeps `store` equal to what the API server has. Run it as one task; it never returns and never raises."""

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[T],
        store: Store[T],
        *,
        settings: InformerSettings = InformerSettings(),
        rng: random.Random | None = None,
    ) -> None:
        self.resource = resource
        self.store = store
        self.synced = asyncio.Event()
        """Set once the first complete list is in the store; never cleared."""
        self.listed = asyncio.Event()
        """Set once a complete list is in the store; cleared by start_over."""
        self.last_error: str = ""
        """Why it cannot follow the API server right now; empty while all is well."""
        self.forbidden = False
        """Whether that is because the API server does not allow us to."""
        self.unreadable: dict[Key, str] = {}
        """Objects that cannot be read, and why. In the store they are stand-ins, or not at all. Always the same dict."""
        self.last_contact: float | None = None
        """Loop time when the API server last told us anything; None before the first answer."""
        self.lists = 0
        """Complete lists so far: more than one means that a watch was lost for good."""
        self._client = client
        self._settings = settings
        self._random = rng or random.Random()
        self._resource_version = ""
        self._paged = True
        self._failures = 0
        self._refusals = 0
        self._answered = True

    @property
    def age_seconds(self) -> float:
        """Time since the API server last told us anything; infinite before the first complete list."""
        if self.last_contact is None or not self.synced.is_set():
            return inf
        return asyncio.get_running_loop().time() - self.last_contact

    def start_over(self) -> None:
        """Forget where the watch was, so that the next run begins with a list. Not while one is running."""
        self._resource_version = ""
        self.listed.clear()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self._resource_version:
                    await self._list()
                await self._watch()
            except ApiError as error:
                self._doubt_version(error)
                await self._recover(error, retry_after=error.retry_after)
            except KubeError as error:
                await self._recover(error)
            except msgspec.DecodeError as error:
                self._resource_version = ""
                await self._recover(error)
            except Exception as error:
                # A listener's bug must not silence the informer: what it missed comes again with a relist.
                _LOG.exception("informer %s: unexpected failure", self.resource.name)
                self._resource_version = ""
                await self._recover(error)

    async def _list(self) -> None:
        seen: set[Key] = set()
        unreadable: dict[Key, str] = {}
        token, began = "", asyncio.get_running_loop().time()
        while True:
            body = await self._client.get(
                self.resource.path,
                self._list_params(token),
                timeout_seconds=self._settings.list_timeout_seconds,
            )
            page = self.resource.codec.decode_page(body)
            self.store.upsert_all(page.items)
            seen.update(key for key, _ in page.items)
            unreadable |= page.unreadable
            token = page.continue_token
            if not token:
                break
        self.store.retain(seen)
        self._cannot_read(unreadable)
        self.unreadable.clear()
        self.unreadable.update(unreadable)
        self._resource_version = page.resource_version
        self._paged = True
        self.lists += 1
        # All pages show the instant of the first one; and until the last is here, the store is old in part.
        self.last_contact = began
        # Failures are only forgiven when the watch speaks: a server that lists well but refuses every watch
        # would otherwise be listed again and again without a pause.
        self.last_error = ""
        self.synced.set()
        self.listed.set()

    def _list_params(self, token: str) -> Params:
        params = self._selector()
        if self._paged:
            params["limit"] = self._settings.page_size
        if token:
            params["continue"] = token
        return params

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        started, heard = loop.time(), False
        params = self._selector() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._resource_version,
            "timeoutSeconds": self._random.randint(*self._settings.watch_seconds),
        }
        async with self._client.stream(
            self.resource.path, params, silence_seconds=self._settings.silence_seconds
        ) as chunks:
            # The headers alone prove that the API server is there and that we are following again.
            self._touch()
            self.last_error = ""
            async for lines in chunks:
                self._touch()
                for event in self.resource.codec.decode_events(lines):
                    self._apply(event)
                heard = True
                self._succeeded()
        if not heard and loop.time() - started < 1.0:
            raise KubeError("the watch ended at once, without a word")

    def _apply(self, event: Event[T]) -> None:
        if event.type is EventType.ERROR:
            raise event.error or KubeError("a watch error without a status")
        if event.unreadable:
            self._cannot_read({event.key: event.unreadable})
            self.unreadable[event.key] = event.unreadable
        else:
            self.unreadable.pop(event.key, None)
        if event.item is not None:
            self.store.upsert(event.key, event.item)
        elif event.type is not EventType.BOOKMARK:
            # Deleted; or no longer to be read, and then what it was is no longer true.
            self.store.delete(event.key)
        # Only after the change is in the store: a failure in between must bring this event again.
        self._resource_version = event.resource_version

    def _cannot_read(self, unreadable: Mapping[Key, str]) -> None:
        """Say so, once for each object and reason, of a few; all are counted."""
        news = [(key, why) for key, why in unreadable.items() if self.unreadable.get(key) != why]
        for (namespace, name), why in news[:UNREADABLE_SAID]:
            _LOG.warning(
                "%s %s cannot be read: %s", self.resource.name, f"{namespace}/{name}".strip("/"), why
            )
        if len(news) > UNREADABLE_SAID:
            _LOG.warning("%s: %d more cannot be read", self.resource.name, len(news) - UNREADABLE_SAID)

    def _selector(self) -> dict[str, str | int]:
        return {"fieldSelector": self.resource.field_selector} if self.resource.field_selector else {}

    def _touch(self) -> None:
        self.last_contact = asyncio.get_running_loop().time()

    def _succeeded(self) -> None:
        if self._failures:
            _LOG.info("informer %s: following again", self.resource.name)
        self._failures = self._refusals = 0
        self.last_error = ""

    def _doubt_version(self, error: ApiError) -> None:
        """Forget our place in history if the API server no longer knows it, or keeps refusing it."""
        if error.status == _GONE:
            if not self._resource_version:
                # The snapshot behind the page token was compacted away while paging. One unpaged list is how
                # client-go gets out of this, too.
                self._paged = False
            self._resource_version = ""
        elif error.status not in _NOT_ABOUT_US:
            self._refusals += 1
            if self._refusals >= self._settings.refusals_before_relist:
                self._resource_version = ""

    async def _recover(self, error: Exception, *, retry_after: float | None = None) -> None:
        """Remember what happened, decide from where to go on, and wait."""
        answered = isinstance(error, ApiError)
        if answered and not self._answered:
            # It is back: how long it was away says nothing about how long to wait for it now.
            self._failures = 0
        self._answered = answered
        self._failures += 1
        self.last_error = str(error) or type(error).__name__
        self.forbidden = isinstance(error, ApiError) and error.status == _FORBIDDEN
        if self._failures == 1:
            _LOG.warning("informer %s: %s", self.resource.name, self.last_error)
        await asyncio.sleep(self._delay(retry_after))

    def _delay(self, retry_after: float | None) -> float:
        settings = self._settings
        exponential = settings.backoff_initial_seconds * 2.0 ** min(self._failures - 1, 20)
        delay = min(exponential, settings.backoff_max_seconds) * self._random.uniform(0.5, 1.5)
        # All informers are told the same: each adds its own wait, or they would all come back in one instant.
        return delay if not retry_after else retry_after + delay
