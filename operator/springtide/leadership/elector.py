"""The elector: wait until the Lease is free, take it, renew it for as long as that works, give it back.

While it holds the Lease it keeps the gate open, each time until a little before anybody else could take the Lease: counted
from the *start* of the last renewal that succeeded, since when it took effect nobody can know. Every write is a
compare-and-swap, so of two that believe a Lease to be free only one gets it. See docs/decisions/018-leader-election.md.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from springtide.cluster.api_errors import ApiError, KubeError
from springtide.leadership.gate import MonotonicClock, MutationGate, boot_clock
from springtide.leadership.kube_leases import LeaseApi
from springtide.leadership.lease import (
    LeaseTimes,
    Manifest,
    Sighting,
    holder_of,
    new_lease,
    released,
    taken,
    transitions_of,
)

T = TypeVar("T")

CLOCK_RESOLUTION: Final = 0.001
"""Seconds: less than this is no time to try once more in (event loops and clocks round differently)."""

logger = logging.getLogger(__name__)


class LeadershipLost(Exception):
    """We lead no more, and may not go on as if; str() says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Who wants to lead, by which Lease."""

    identity: str
    """Unique to this process and its start: a successor must not take an old process's lease for its own."""
    namespace: str
    name: str = "springtide"
    times: LeaseTimes = field(default_factory=LeaseTimes)


class Witness:
    """Told of what happens, in the elector's thread. This one does not care."""

    def renewed(self, seconds: float) -> None:
        """A renewal took so long."""

    def renewal_failed(self) -> None:
        """One try; there may be more."""

    def leads(self, *, transitions: int) -> None:
        """We lead. `transitions`: how often the Lease has changed hands."""

    def leads_no_more(self) -> None:
        """Lost, or given back."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Elector:
    """One candidate's part in the election: `campaign`, then `hold`, then `release`; for once."""

    def __init__(
        self,
        leases: LeaseApi,
        candidate: Candidate,
        *,
        gate: MutationGate,
        witness: Witness | None = None,
        clock: MonotonicClock = boot_clock,
        wall: Callable[[], datetime] = utc_now,
        rng: random.Random | None = None,
    ) -> None:
        """`gate` must live by the same `clock`."""
        self._leases = leases
        self._candidate = candidate
        self._times = candidate.times
        self._gate = gate
        self._witness = witness or Witness()
        self._clock = clock
        self._wall = wall
        self._random = rng or random.Random()
        self._sighting = Sighting()
        self._renewal_began = 0.0
        """When the last renewal that succeeded was begun."""
        self._doubtful = False
        """Whether the Lease may differ from what we saw last."""
        self._told = ""

    # --- campaigning ------------------------------------------------------------------------------------------------

    async def campaign(self) -> None:
        """Try until we lead; the gate is open then."""
        while not await self._try_to_take():
            # Half a retry period, so that a Lease given back is found in about a second; jitter, so that candidates do
            # not all come at once.
            pause = self._times.retry_period / 2 * self._random.uniform(0.8, 1.2)
            wait = self._seconds_until_free()
            await asyncio.sleep(min(pause, wait) if wait else pause)
        self._witness.leads(transitions=transitions_of(self._sighting.lease))
        logger.info("leading as %s, by Lease %s", self._candidate.identity, self._what)

    async def _try_to_take(self) -> bool:
        try:
            self._see(await self._ask(self._leases.read(within=self._patience)))
            wait = self._seconds_until_free()
            self._tell_what_is_waited_for(wait)
            return not wait and await self._write()
        except (KubeError, TimeoutError) as error:
            if not (isinstance(error, ApiError) and error.status == 409):  # else another was quicker
                self._say(logging.WARNING, f"Lease {self._what}: {_text(error)}{self._remedy(error)}")
            return False

    def _tell_what_is_waited_for(self, wait: float) -> None:
        holder = holder_of(self._sighting.lease)
        if self._sighting.lease is None:
            self._say(
                logging.INFO,
                f"there is no Lease {self._what}: it is made in {self._times.duration:g} s, for it may have been "
                "deleted under a leader",
            )
        elif wait:
            self._say(logging.INFO, f"standing by: {holder} leads, by Lease {self._what}")

    # --- leading ----------------------------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Renew for as long as that works. Ends with LeadershipLost only; the gate is closed then."""
        try:
            while True:
                await self._sleep_until(self._renewal_began + self._times.retry_period)
                await self._renew()
        except Exception as error:
            # Whatever it is: who cannot renew does not lead.
            self._gate.close(_text(error))
            self._witness.leads_no_more()
            raise

    async def _renew(self) -> None:
        """Try until it works, for as long as the renew deadline allows."""
        deadline = self._renewal_began + self._times.renew_deadline
        why = "nobody answered"
        while (left := deadline - self._clock()) > CLOCK_RESOLUTION:
            asked = self._doubtful
            try:
                if await self._renew_once(min(left, self._patience)):
                    return
            except (KubeError, TimeoutError) as error:
                self._witness.renewal_failed()
                why, surprised = _text(error), _is_race(error) and not asked
                if surprised:
                    continue  # Somebody else wrote: reading shows who, and at once.
                logger.warning("Lease %s could not be renewed: %s", self._what, why)
            await asyncio.sleep(min(self._times.retry_period / 2, max(0.0, deadline - self._clock())))
        raise LeadershipLost(
            f"Lease {self._what} could not be renewed within {self._times.renew_deadline:g} s: {why}"
        )

    async def _renew_once(self, seconds: float) -> bool:
        if self._doubtful:
            self._see(await self._ask(self._leases.read(within=seconds), seconds))
            lease = self._sighting.lease
            # A Lease that was deleted is made anew: our right lasts, and others wait as long as for a silent one.
            if lease is not None and (holder := holder_of(lease)) != self._candidate.identity:
                who = f"{holder} holds it" if holder else "somebody released it"
                raise LeadershipLost(f"Lease {self._what} was taken from us: {who}")
        return await self._write(seconds)

    # --- giving back ------------------------------------------------------------------------------------------------

    async def release(self, *, within: float) -> bool:
        """Give the Lease back, so that the next leader need not wait; whether that worked.

        To be called when nothing that was sent can take effect any more. Does nothing if we never led.
        """
        self._gate.close("this process has given its leadership up")
        self._witness.leads_no_more()
        try:
            async with asyncio.timeout(within):
                while not await self._give_back(within):
                    self._doubtful = True
        except (KubeError, TimeoutError) as error:
            logger.warning("Lease %s could not be given back: %s", self._what, _text(error))
            return False
        return True

    async def _give_back(self, within: float) -> bool:
        if self._doubtful:
            self._see(await self._leases.read(within=within))
        lease = self._sighting.lease
        if lease is None or holder_of(lease) != self._candidate.identity:
            return True
        try:
            await self._leases.replace(released(lease, wall=self._wall()), within=within)
        except ApiError as error:
            if _is_race(error) and not self._doubtful:
                return False
            raise
        logger.info("gave Lease %s back", self._what)
        return True

    # --- details ----------------------------------------------------------------------------------------------------

    async def _write(self, seconds: float | None = None) -> bool:
        """Write us in as the holder, and open the gate; False when the answer came too late to be of use."""
        seconds = self._patience if seconds is None else seconds
        lease = self._sighting.lease
        fresh = new_lease(namespace=self._candidate.namespace, name=self._candidate.name)
        wanted = taken(lease or fresh, own=self._candidate.identity, times=self._times, wall=self._wall())
        began, self._doubtful = self._clock(), True
        send = self._leases.create if lease is None else self._leases.replace
        written = await self._ask(send(wanted, within=seconds), seconds)
        self._see(written)
        took = self._clock() - began
        if took >= self._times.renew_deadline:
            # We were frozen in between. Whoever holds it now, the next round reads it.
            return False
        self._renewal_began, self._doubtful = began, False
        self._gate.open_until(began + self._times.validity)
        self._witness.renewed(took)
        return True

    async def _ask(self, call: Awaitable[T], seconds: float | None = None) -> T:
        async with asyncio.timeout(self._patience if seconds is None else seconds):
            return await call

    def _see(self, lease: Manifest | None) -> None:
        self._sighting = self._sighting.followed_by(lease, now=self._clock())

    def _seconds_until_free(self) -> float:
        return self._sighting.seconds_until_free(
            own=self._candidate.identity, times=self._times, now=self._clock()
        )

    async def _sleep_until(self, instant: float) -> None:
        await asyncio.sleep(max(0.0, instant - self._clock()))

    @property
    def _patience(self) -> float:
        """For one request: two of them fit into the renew deadline, so that a lost answer can be asked after."""
        return self._times.renew_deadline / 2

    @property
    def _what(self) -> str:
        return f"{self._candidate.namespace}/{self._candidate.name}"

    def _remedy(self, error: Exception) -> str:
        status = error.status if isinstance(error, ApiError) else 0
        if status == 403:
            return ": apply deploy/kubernetes/25-role.yaml and its binding"
        if status == 404:
            namespace = self._candidate.namespace
            return f": kubectl create namespace {namespace}, or name another one by --lease-namespace"
        return ""

    def _say(self, level: int, text: str) -> None:
        """Once, until there is something else to say."""
        if text != self._told:
            self._told = text
            logger.log(level, "%s", text)


def _is_race(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.status in (404, 409)


def _text(error: Exception) -> str:
    return str(error) or "no answer in time"
