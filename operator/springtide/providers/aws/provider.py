"""The provider of kind "aws": Auto Scaling groups of any number of regions."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from springtide.api.conditions import Reason
from springtide.api.nodepool import AwsProvider as AwsSpec
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import PoolListing
from springtide.cluster.send_guard import Leave, give_leave
from springtide.providers.aws.acknowledged import Acknowledged
from springtide.providers.aws.discovery import spec_of
from springtide.providers.aws.listing import RegionListing
from springtide.providers.aws.losses import Losses
from springtide.providers.aws.mutations import Mutations
from springtide.providers.aws.session import CallSettings, Region, Regions
from springtide.providers.base import Lifecycle, TargetChange, TerminateResult

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _InRegion:
    """What we do and remember in one region."""

    listing: RegionListing
    mutations: Mutations


class AwsProvider:
    """Implements springtide.providers.base.Provider."""

    def __init__(
        self,
        *,
        cluster_name: str,
        settings: CallSettings | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        leave: Leave = give_leave,
    ) -> None:
        """`cluster_name` must stand in the tags that pools discover groups by."""
        self._cluster_name = cluster_name
        self._clock = clock
        self._regions = Regions(settings=settings or CallSettings(), leave=leave)
        self._in_region: dict[str, _InRegion] = {}
        self._known: dict[str, tuple[AwsSpec, PoolListing]] = {}

    @property
    def kind(self) -> str:
        """The key under spec.provider."""
        return "aws"

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        """See Provider.list_groups. Regions are read side by side, each in few calls."""
        by_region: dict[str, list[NodePool]] = {}
        for pool in pools:
            by_region.setdefault(spec_of(pool).region, []).append(pool)
        read = await asyncio.gather(*(self._read(region, members) for region, members in by_region.items()))
        fresh = {pool: listing for listings in read for pool, listing in listings.items()}
        return {pool.name: self._remembered(pool, fresh[pool.name]) for pool in pools}

    async def raise_target(self, pool: NodePool, group_id: str, *, expected: int, to: int) -> TargetChange:
        """See Provider.raise_target."""
        return await self._mutations(pool).raise_target(group_id, expected=expected, to=to)

    async def cancel_unfulfilled(self, pool: NodePool, group_id: str, *, to: int) -> TargetChange:
        """See Provider.cancel_unfulfilled."""
        return await self._mutations(pool).cancel_unfulfilled(group_id, to=to)

    async def terminate(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, TerminateResult]:
        """See Provider.terminate."""
        return await self._mutations(pool).terminate(group_id, instance_ids)

    async def lifecycles(
        self, pool: NodePool, group_id: str, instance_ids: Sequence[str]
    ) -> Mapping[str, Lifecycle]:
        """See Provider.lifecycles."""
        return await self._mutations(pool).lifecycles(group_id, instance_ids)

    async def aclose(self) -> None:
        """See Provider.aclose."""
        await self._regions.aclose()

    async def _read(self, region: str, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        try:
            return await self._region(region).listing.read(pools)
        except Exception as error:
            # An answer of a form nobody foresaw, in one region: the others must go on, and the log must say where.
            logger.exception("cannot make sense of AWS's answers in %s", region)
            text = f"AWS in {region}: unexpected answer ({type(error).__name__}); see the operator's log"
            return {
                pool.name: PoolListing(pool=pool.name, error=text, error_reason=Reason.PROVIDER_ERROR)
                for pool in pools
            }

    def _mutations(self, pool: NodePool) -> Mutations:
        return self._region(spec_of(pool).region).mutations

    def _region(self, name: str) -> _InRegion:
        if name not in self._in_region:
            region: Region = self._regions[name]
            acknowledged = Acknowledged(clock=self._clock)
            losses = Losses(region, clock=self._clock)
            self._in_region[name] = _InRegion(
                listing=RegionListing(
                    region, acknowledged, losses, cluster_name=self._cluster_name, clock=self._clock
                ),
                mutations=Mutations(region, acknowledged, losses, clock=self._clock),
            )
        return self._in_region[name]

    def _remembered(self, pool: NodePool, listing: PoolListing) -> PoolListing:
        """Keep a good listing; give a failed one the groups last known, if the pool still means the same ones."""
        spec = spec_of(pool)
        if not listing.error:
            self._known[pool.name] = (spec, listing)
            return listing
        before, known = self._known.get(pool.name, (None, listing))
        if before != spec:
            return listing
        return dataclasses.replace(known, error=listing.error, error_reason=listing.error_reason)
