"""ProviderThrottled, CredentialsDenied, ProviderError, ProviderSlow: how the last listing of each pool's cloud went.

A pool whose cloud cannot be read loses no node: its instances could not be given back after they were drained for it.
Whether it may still buy is a matter of how old its last good listing is (settings.max_picture_age_removals, for pools).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from springtide.api.conditions import Reason
from springtide.cluster.degradation import Degradation, DegradedMode
from springtide.cluster.groups import PoolListing

SLOW_SECONDS: Final = 15.0
"""A listing normally takes a second or two; one of 15 s is older than the next should be."""

_MODES: Final = {
    Reason.PROVIDER_THROTTLED: DegradedMode.CLOUD_THROTTLED,
    Reason.CREDENTIALS_DENIED: DegradedMode.CLOUD_DENIED,
    Reason.PROVIDER_ERROR: DegradedMode.CLOUD_UNREACHABLE,
}


def of_clouds(
    listings: Mapping[str, PoolListing], *, kinds: Mapping[str, str], listing_seconds: Mapping[str, float]
) -> Iterator[Degradation]:
    """What is wrong with the clouds. `kinds`: pool -> kind of its provider; `listing_seconds`: by kind, how long the last
    listing took, or the present one has taken so far."""
    for pool, listing in sorted(listings.items()):
        if listing.error and listing.error_reason != Reason.PROVIDER_NOT_INSTALLED:
            mode = _MODES.get(Reason(listing.error_reason or Reason.PROVIDER_ERROR))
            yield Degradation(
                mode=mode or DegradedMode.CLOUD_UNREACHABLE,
                message=f"{listing.error}: no node of the pool is removed meanwhile",
                pools=frozenset({pool}),
                forbids_removals=True,
            )
    for kind, seconds in sorted(listing_seconds.items()):
        if seconds > SLOW_SECONDS:
            yield Degradation(
                mode=DegradedMode.CLOUD_SLOW,
                message=f"the cloud ({kind}) takes more than {SLOW_SECONDS:.0f} s to list its node groups",
                pools=frozenset(pool for pool, its in kinds.items() if its == kind),
            )
