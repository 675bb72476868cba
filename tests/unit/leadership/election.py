"""An election in virtual time: one Lease at a simulated API server, candidates behind links that fail, freeze and lie."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.leadership.elector import Candidate, Elector, LeadershipLost
from springtide.leadership.gate import MonotonicClock, MutationGate
from springtide.leadership.lease import LeaseTimes, Manifest

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATENCY = 0.02
"""One way."""


def loop_time() -> float:
    return asyncio.get_running_loop().time()


class LeaseServer:
    """One Lease as an API server keeps it: resourceVersion guards every write."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.writes: list[tuple[float, str]] = []
        """When, and who holds it by that."""
        self._version = 0

    def read(self) -> Manifest | None:
        return copy.deepcopy(self.lease)

    def create(self, lease: Manifest) -> Manifest:
        if self.lease is not None:
            raise ApiError(status=409, reason="AlreadyExists", message="leases already exists")
        return self._store({**lease, "metadata": {**lease["metadata"], "uid": f"uid-{self._version}"}})

    def replace(self, lease: Manifest) -> Manifest:
        if self.lease is None:
            raise ApiError(status=404, reason="NotFound", message="leases not found")
        if lease["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(status=409, reason="Conflict", message="the object has been modified")
        return self._store(lease)

    def delete(self) -> None:
        self.lease = None

    @property
    def holder(self) -> str:
        return str(self.lease["spec"].get("holderIdentity", "")) if self.lease else ""

    def _store(self, lease: Manifest) -> Manifest:
        self._version += 1
        stored = copy.deepcopy(dict(lease))
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.lease = stored
        self.writes.append((loop_time(), self.holder))
        return copy.deepcopy(stored)


class Trouble(StrEnum):
    """What may be wrong between a process and the API server for a while."""

    CUT = "nothing gets through"
    ANSWERS_LOST = "requests take effect, answers are lost"
    LATE = "requests arrive when the trouble is over, though nobody waits for them any more"
    REFUSED = "the API server answers 503"
    FROZEN_BEFORE = "the process stands still before it sends"
    FROZEN_AFTER = "the process stands still before it looks at the answer"


@dataclass(frozen=True, slots=True)
class Spell:
    """A trouble from one time to another."""

    trouble: Trouble
    begins: float
    ends: float

    @property
    def is_on(self) -> bool:
        return self.begins <= loop_time() < self.ends


@dataclass
class Link:
    """LeaseApi of one process, with its troubles."""

    server: LeaseServer
    spells: list[Spell] = field(default_factory=list)
    under_way: set[asyncio.Future[Any]] = field(default_factory=set)
    dead: bool = False
    """The process was killed: then even one that stands still ends."""

    async def read(self, *, within: float) -> Manifest | None:
        return await self._call(self.server.read, within)

    async def create(self, lease: Manifest, *, within: float) -> Manifest:
        return await self._call(lambda: self.server.create(lease), within)

    async def replace(self, lease: Manifest, *, within: float) -> Manifest:
        return await self._call(lambda: self.server.replace(lease), within)

    async def _call(self, effect: Callable[[], T], within: float) -> T:
        await self._frozen(Trouble.FROZEN_BEFORE)
        if self._on(Trouble.CUT):
            await _silence(within)
        late = self._on(Trouble.LATE)
        if late is not None:
            self._send_later(effect, late.ends)
            await _silence(within)
        await asyncio.sleep(LATENCY)
        if self._on(Trouble.REFUSED):
            raise ApiError(status=503, reason="ServiceUnavailable", message="try again")
        result: T | None = None
        refusal: ApiError | None = None
        try:
            result = effect()
        except ApiError as error:
            refusal = error
        if self._on(Trouble.ANSWERS_LOST):
            await asyncio.sleep(LATENCY)
            raise ApiUnreachable("connection reset")
        await self._frozen(Trouble.FROZEN_AFTER)
        await asyncio.sleep(LATENCY)
        if refusal is not None:
            raise refusal
        return result  # type: ignore[return-value]

    def _on(self, trouble: Trouble) -> Spell | None:
        return next((spell for spell in self.spells if spell.trouble is trouble and spell.is_on), None)

    def _send_later(self, effect: Callable[[], object], when: float) -> None:
        async def arrive() -> None:
            await asyncio.sleep(when - loop_time())
            try:
                effect()
            except ApiError:
                return

        task = asyncio.ensure_future(arrive())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _frozen(self, when: Trouble) -> None:
        """Stand still: not even a time-out is noticed before the end."""
        spell = self._on(when)
        while spell is not None and spell.is_on:
            try:
                # A little longer: virtual time is rounded, and a rest that is none would never end.
                await asyncio.sleep(spell.ends - loop_time() + 0.001)
            except asyncio.CancelledError:
                if self.dead:
                    raise
                continue  # what cancelled it finds out later, as in a process that was stopped


async def _silence(within: float) -> None:
    # The HTTP client's own time-out: a process that was frozen has outlived the elector's.
    await asyncio.sleep(within)
    raise ApiUnreachable("timed out")


class WatchedGate(MutationGate):
    """Refuses to open beside another that is open: for one that opens, all the others must be shut."""

    def __init__(self, clock: MonotonicClock, election: Election) -> None:
        super().__init__(clock)
        self._election = election

    def open_until(self, instant: float) -> None:
        super().open_until(instant)
        if not self.why_closed():
            self._election.check(self)


class Process:
    """A candidate that is started anew whenever it ends, each time under a name of its own."""

    def __init__(self, name: str, election: Election, *, skew: float = 0.0, rate: float = 1.0) -> None:
        self.name = name
        self.link = Link(election.server)
        self.losses: list[str] = []
        self.gate: WatchedGate
        self._election = election
        self._skew, self._rate = skew, rate
        self._starts = 0
        self._elector: Elector
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        """Its own: it began anywhere, and runs a little fast or slow."""
        return self._skew + loop_time() * self._rate

    def wall(self) -> datetime:
        return EPOCH + timedelta(seconds=loop_time() + 100 * self._skew)

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._live())

    @property
    def leads(self) -> bool:
        return self._starts > 0 and not self.gate.why_closed()

    @property
    def is_dead(self) -> bool:
        return self._task is None or self._task.done()

    async def stop(self) -> bool:
        """As SIGTERM: the lease is given back."""
        await self.kill()
        return self._starts == 0 or await self._elector.release(within=1)

    async def kill(self) -> None:
        """As SIGKILL: the gate of a process that is no more lets nobody through."""
        assert self._task is not None
        self.link.dead = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.link.dead = False
        if self._starts:
            self.gate.close("the process is dead")

    async def _live(self) -> None:
        while True:
            self._starts += 1
            self.gate = WatchedGate(self.clock, self._election)
            self._elector = Elector(
                self.link,
                Candidate(
                    identity=f"{self.name}_{self._starts}",
                    namespace="springtide-system",
                    times=self._election.times,
                ),
                gate=self.gate,
                clock=self.clock,
                wall=self.wall,
                rng=random.Random(f"{self.name}{self._starts}"),
            )
            await self._elector.campaign()
            try:
                await self._elector.hold()
            except LeadershipLost as lost:
                self.losses.append(str(lost))
            await asyncio.sleep(1)


class Election:
    """Some candidates and their server."""

    def __init__(self, *, times: LeaseTimes | None = None) -> None:
        self.server = LeaseServer()
        self.times = times or LeaseTimes()
        self.processes: list[Process] = []
        self.overlaps: list[str] = []

    def candidate(self, name: str, *, skew: float = 0.0, rate: float = 1.0) -> Process:
        process = Process(name, self, skew=skew, rate=rate)
        self.processes.append(process)
        process.start()
        return process

    def check(self, opened: WatchedGate) -> None:
        open_ones = [p.name for p in self.processes if p.leads and p.gate is not opened]
        if open_ones:
            self.overlaps.append(f"at {loop_time():.2f} s a gate opened beside that of {open_ones}")

    @property
    def leaders(self) -> list[Process]:
        return [process for process in self.processes if process.leads]

    async def until(self, holds: Callable[[], bool], *, within: float) -> float:
        """Wait; the seconds it took."""
        began = loop_time()
        while not holds():
            assert loop_time() - began < within, f"not within {within} s"
            await asyncio.sleep(0.05)
        return loop_time() - began

    async def over(self) -> None:
        """End all processes; nothing forbidden may have happened."""
        for process in self.processes:
            await process.kill()
            for task in list(process.link.under_way):
                task.cancel()
        assert self.overlaps == []
