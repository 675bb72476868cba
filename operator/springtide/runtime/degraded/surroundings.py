"""All that is measured of our surroundings, and the modes that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.degradation import Degradation
from springtide.cluster.groups import PoolListing
from springtide.cluster.records import LeaseRecord
from springtide.runtime.degraded.api_server import of_api_server
from springtide.runtime.degraded.clock import ClockGuard
from springtide.runtime.degraded.clouds import of_clouds
from springtide.runtime.degraded.load import Load
from springtide.runtime.degraded.pictures import stale
from springtide.runtime.foreign_lease import ForeignLease
from springtide.runtime.settings import OperatorSettings


class Informed(Protocol):
    """What is asked of the informers."""

    def ages(self) -> Mapping[str, float]:
        """Seconds since the API server last told us anything, by kind of object."""
        ...

    def api_calls(self) -> ApiCalls:
        """How our calls fared lately."""
        ...


class Listed(Protocol):
    """What is asked of those who read the clouds."""

    @property
    def listings(self) -> Mapping[str, PoolListing]: ...

    @property
    def listing_seconds(self) -> Mapping[str, float]: ...


class Surroundings:
    """Asked once in each pass."""

    def __init__(self, *, cluster: Informed, clouds: Listed, settings: OperatorSettings) -> None:
        self._cluster = cluster
        self._clouds = clouds
        self._settings = settings
        self.clock = ClockGuard()
        self.load = Load()
        self._foreign_lease = ForeignLease()

    def look(self, *, wall: datetime, monotonic: float) -> timedelta:
        """By how much the wall clock jumped since the last pass."""
        self._wall, self._monotonic = wall, monotonic
        return self.clock.look(wall=wall, monotonic=monotonic)

    def cluster_autoscaler(self, lease: LeaseRecord | None) -> str:
        """Who runs Cluster Autoscaler here, as of the last look; empty when nobody does."""
        return self._foreign_lease.holder(lease, wall=self._wall, monotonic=self._monotonic)

    def degradations(self, kinds: Mapping[str, str]) -> tuple[Degradation, ...]:
        """The modes we are in. `kinds`: the kind of provider of each pool."""
        found: Iterable[Degradation | None] = (
            *of_api_server(self._cluster.api_calls()),
            *stale(
                self._cluster.ages(),
                max_for_removals=self._settings.max_picture_age_removals,
                max_for_purchases=self._settings.max_picture_age_purchases,
            ),
            self.clock.degradation(),
            *of_clouds(self._clouds.listings, kinds=kinds, listing_seconds=self._clouds.listing_seconds),
            self.load.degradation(),
        )
        return tuple(each for each in found if each is not None)
