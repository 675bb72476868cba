"""Degraded modes: what does not work around us, and what is left undone while it lasts.

Each is found in one place (springtide.runtime.degraded; an outage of a zone in springtide.planning.groups.outages), as a
value; planning obeys it, reporting shows it as a condition, a metric and a line in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class DegradedMode(StrEnum):
    """Every mode; the values are reasons of conditions and labels of the metric."""

    API_SERVER_UNREACHABLE = "ApiServerUnreachable"
    """Our requests get no answer, or errors of the server's own."""
    API_SERVER_SLOW = "ApiServerSlow"
    """Our requests are answered late."""
    API_SERVER_THROTTLING = "ApiServerThrottling"
    """Our requests are turned away: priority and fairness gives them no seat."""
    STALE_PICTURE = "StalePicture"
    """An informer has heard nothing for longer than decisions may rely on."""
    CLOUD_THROTTLED = "ProviderThrottled"
    """The cloud asks to slow down."""
    CLOUD_DENIED = "CredentialsDenied"
    """The cloud does not accept the credentials, or allows them too little."""
    CLOUD_UNREACHABLE = "ProviderError"
    """The cloud does not answer, or with errors of its own."""
    CLOUD_SLOW = "ProviderSlow"
    """The cloud answers late."""
    CLOCK_JUMPED = "ClockJumped"
    """The wall clock was set, or this machine was asleep: times before and after cannot be compared."""
    ZONE_OUTAGE = "ZoneOutage"
    """So many nodes of a zone stopped being ready that the zone itself must have failed."""
    OVERLOADED = "Overloaded"
    """Passes take longer than the time between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """A mode that we are in."""

    mode: DegradedMode
    message: str
    """What is wrong and what is left undone, for users. Without elapsed times, or statuses would change forever."""
    pools: frozenset[str] | None = None
    """The pools concerned; None: all."""
    forbids_purchases: bool = False
    forbids_removals: bool = False

    def concerns(self, pool: str) -> bool:
        return self.pools is None or pool in self.pools


def against_purchases(degradations: Iterable[Degradation]) -> str:
    """Why nothing may be bought anywhere; empty: it may."""
    return next((d.message for d in degradations if d.forbids_purchases and d.pools is None), "")


def against_removals(degradations: Iterable[Degradation], pool: str | None = None) -> str:
    """Why nothing may be removed anywhere, or in this pool; empty: it may."""
    concerned = (d for d in degradations if d.pools is None or (pool is not None and pool in d.pools))
    return next((d.message for d in concerned if d.forbids_removals), "")
