"""Reads the clouds on a cadence of their own, apart from passes: slow while idle, quick while something is outstanding.

One loop for each kind of provider, so that a slow or failing cloud delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import NodeGroup, PoolListing
from springtide.providers.base import Provider

STANDBY_SECONDS = 60.0
"""How often an operator that does not lead reads, so that two of them ask a cloud hardly more than one."""
READ_TIMEOUT_SECONDS = 60.0
"""A listing that takes longer has failed."""
MAX_WAIT_SECONDS = 60.0
"""A cloud that keeps failing is asked ever less often, down to this."""
FAILURE_JITTER = (0.75, 1.0)
"""Shares of a wait after a failure."""

logger = logging.getLogger(__name__)


class CloudWatch:
    """The last known node groups of every pool."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        *,
        idle: timedelta,
        busy: timedelta,
        changed: Callable[[str], None],
        not_installed: Mapping[str, str] | None = None,
    ) -> None:
        """`not_installed`: kinds that cannot be read, and what to do about it."""
        self._providers = providers
        self._not_installed = not_installed or {}
        self._idle, self._busy = idle.total_seconds(), busy.total_seconds()
        self._changed = changed
        self._pools: dict[str, tuple[NodePool, ...]] = {}
        self._busy_kinds: frozenset[str] = frozenset()
        self._pokes = {kind: asyncio.Event() for kind in providers}
        self.listings: dict[str, PoolListing] = {}
        """By pool name. Replaced, never changed in place."""
        self._standing_by = False
        self._epoch = 0
        """Counted up when all that was read is forgotten: what was asked before then is not taken as an answer."""
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}

    @property
    def listing_seconds(self) -> Mapping[str, float]:
        """By kind: how long the last listing took, or the present one has taken so far if that is longer."""
        now = asyncio.get_running_loop().time()
        going_on = {kind: now - began for kind, began in self._began.items()}
        return {
            kind: max(self._took.get(kind, 0.0), going_on.get(kind, 0.0))
            for kind in self._took.keys() | going_on.keys()
        }

    def follow(self, pools: Iterable[NodePool]) -> None:
        """From now on read the groups of these pools; new or changed ones at once."""
        by_kind: dict[str, list[NodePool]] = {kind: [] for kind in self._providers}
        unreadable: dict[str, PoolListing] = {}
        for pool in pools:
            kind = pool.spec.provider.kind
            if kind in by_kind:
                by_kind[kind].append(pool)
            else:
                error = self._not_installed.get(kind, f"this operator has no provider {kind!r}")
                unreadable[pool.name] = PoolListing(
                    pool=pool.name, error=error, error_reason=Reason.PROVIDER_NOT_INSTALLED
                )
        for kind, members in by_kind.items():
            before = {pool.name: pool.spec for pool in self._pools.get(kind, ())}
            self._pools[kind] = tuple(members)
            if any(before.get(pool.name) != pool.spec for pool in members):
                self._pokes[kind].set()
        names = {pool.name for members in by_kind.values() for pool in members}
        for gone in set(self.listings) - names:
            del self.listings[gone]
        self.listings.update(unreadable)

    def read_now(self, kinds: Iterable[str]) -> None:
        """Something in the cluster says that these kinds' listings are behind: read them at once."""
        for kind in kinds:
            if kind in self._pokes:
                self._pokes[kind].set()

    def unlisted(self, provider_ids: Iterable[str]) -> set[str]:
        """Those that no listing has shown yet: of new machines, and of those that are not ours."""
        listed = {
            instance.provider_id
            for listing in self.listings.values()
            for group in listing.groups
            for instance in group.instances
        }
        return set(provider_ids) - listed

    def clock_jumped(self, by: timedelta) -> None:
        """The wall clock was set: what was read is as old as before."""
        self.listings = {name: _read_later(listing, by) for name, listing in self.listings.items()}

    def stand_by(self) -> None:
        """Nobody decides by what is read: read now and then, to know the clouds' types and templates when it counts."""
        self._standing_by = True

    def start_over(self) -> None:
        """From now on somebody decides: forget all listings, for others acted meanwhile, and read anew at once."""
        self._standing_by = False
        self._epoch += 1
        self.listings = {}
        self.read_now(self._providers)

    def hurry(self, kinds: Iterable[str]) -> None:
        """These kinds have something outstanding: read them at the quick cadence until told otherwise."""
        kinds = frozenset(kinds)
        for kind in kinds - self._busy_kinds:
            if kind in self._pokes:
                self._pokes[kind].set()
        self._busy_kinds = kinds

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, provider in self._providers.items():
                group.create_task(self._read_forever(kind, provider), name=f"cloud-{kind}")

    async def _read_forever(self, kind: str, provider: Provider) -> None:
        failures = 0
        while True:
            poke = self._pokes[kind]
            poke.clear()
            pools = self._pools.get(kind, ())
            if pools:
                failures = 0 if await self._read(kind, provider, pools) else failures + 1
            wait = self._busy if kind in self._busy_kinds else self._idle
            if self._standing_by:
                wait = max(wait, STANDBY_SECONDS)
            wait = min(MAX_WAIT_SECONDS, wait * 2 ** min(failures, 6))
            if failures:
                # Whoever else reads this cloud failed in the same instant; and however much we are asked to read, a cloud
                # that fails is not hammered.
                wait *= random.uniform(*FAILURE_JITTER)
                await asyncio.sleep(min(wait, self._busy))
                wait -= min(wait, self._busy)
            try:
                async with asyncio.timeout(wait if pools else None):
                    await poke.wait()
            except TimeoutError:
                continue

    async def _read(self, kind: str, provider: Provider, pools: tuple[NodePool, ...]) -> bool:
        """Read once; False when any pool could not be read."""
        loop, epoch = asyncio.get_running_loop(), self._epoch
        self._began[kind] = loop.time()
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                fresh: Mapping[str, PoolListing] = await provider.list_groups(pools)
        except TimeoutError:
            fresh = self._unread(pools, f"no answer within {READ_TIMEOUT_SECONDS:.0f} s")
        except Exception as error:
            # A provider (a third party's, perhaps) broke its promise never to raise here: its pools stay as they were.
            logger.warning("provider %s failed while listing: %s", kind, error, exc_info=True)
            fresh = self._unread(pools, f"unexpected error: {error}")
        finally:
            self._took[kind] = loop.time() - self._began.pop(kind)
        if epoch != self._epoch:
            return True  # it is read again already
        followed = {pool.name for pool in self._pools.get(kind, ())}
        news = False
        for name, listing in fresh.items():
            if name in followed:
                news |= not same_groups(self.listings.get(name), listing)
                self.listings[name] = listing
        if news:
            self._changed(kind)
        return not any(listing.error for listing in fresh.values())

    def _unread(self, pools: tuple[NodePool, ...], error: str) -> dict[str, PoolListing]:
        return {
            pool.name: replace(
                self.listings.get(pool.name, PoolListing(pool=pool.name)),
                error=error,
                error_reason=Reason.PROVIDER_ERROR,
            )
            for pool in pools
        }


def same_groups(before: PoolListing | None, after: PoolListing) -> bool:
    """Whether two listings say the same, times of reading aside."""
    if before is None:
        return False
    return (
        before.error == after.error
        and before.problems == after.problems
        and [_timeless(group) for group in before.groups] == [_timeless(group) for group in after.groups]
    )


def _read_later(listing: PoolListing, by: timedelta) -> PoolListing:
    groups = tuple(
        replace(group, read_at=group.read_at + by) if group.read_at is not None else group
        for group in listing.groups
    )
    return replace(
        listing, groups=groups, read_at=listing.read_at + by if listing.read_at is not None else None
    )


def _timeless(group: NodeGroup) -> NodeGroup:
    return replace(group, read_at=None)
