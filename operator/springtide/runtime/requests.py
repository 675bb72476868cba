"""Requests for a pass: many callers ask, one pass answers them all.

Wake-ups (a pod became unschedulable, a node became ready) come in bursts. They coalesce: a pass starts when no
request has come for `settle`, but at most `settle_max` after the first. A scan needs no settling. Requests that
arrive while a pass runs belong to the next one, since that pass cannot have seen what they are about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from springtide.api.policy import AutoscalerPolicySpec

Outcome = TypeVar("Outcome")

CLOCK_RESOLUTION = 0.001
"""Seconds: a remaining wait shorter than this is no wait (float sums never meet exactly)."""


@dataclass(slots=True)
class Batch(Generic[Outcome]):
    """The requests that one pass answers."""

    causes: dict[str, int] = field(default_factory=dict)
    """Cause -> how often it was given, in the order of first appearance."""
    waiters: list[asyncio.Future[Outcome]] = field(default_factory=list)
    subjects: set[Hashable] = field(default_factory=set)
    """What the requests are about, where they said so."""
    first_at: float = 0.0
    """Event-loop time of the first request."""
    start_at: float = 0.0
    """Event-loop time at which the pass should start."""

    def answer(self, outcome: Outcome) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


class PassRequests(Generic[Outcome]):
    """The queue between those who ask for passes and the one loop that runs them."""

    def __init__(self, *, settle: float = 0.2, settle_max: float = 2.0) -> None:
        self.settle = settle
        """Seconds without a further request before a pass starts."""
        self.settle_max = settle_max
        """Seconds after the first request at which a pass starts in any case."""
        self._batch: Batch[Outcome] | None = None
        self._changed = asyncio.Event()

    def settle_by(self, policies: Iterable[AutoscalerPolicySpec]) -> None:
        """Settle as the policies say. Several share one pass: the most impatient one decides."""
        specs = list(policies)
        if specs:
            self.settle = min(spec.settle for spec in specs).total_seconds()
            self.settle_max = min(spec.settle_max for spec in specs).total_seconds()

    def wake(self, cause: str, *, settle: bool = True, about: Hashable | None = None) -> None:
        """Ask for a pass without waiting for it.

        `about`: of several requests about the same, only the first prolongs the settling; the others are no news.
        """
        now = asyncio.get_running_loop().time()
        if self._batch is None:
            self._batch = Batch(first_at=now, start_at=now)
        batch = self._batch
        batch.causes[cause] = batch.causes.get(cause, 0) + 1
        if about is not None and about in batch.subjects:
            return
        batch.subjects.add(about)
        if settle:
            batch.start_at = min(now + self.settle, batch.first_at + self.settle_max)
        elif len(batch.causes) == 1 and batch.causes[cause] == 1:
            batch.start_at = now
        self._changed.set()

    def prolong(self) -> None:
        """What the waiting requests are about goes on: settle anew, if a pass is being settled for at all."""
        batch = self._batch
        if batch is not None and batch.start_at > batch.first_at:
            now = asyncio.get_running_loop().time()
            batch.start_at = min(now + self.settle, batch.first_at + self.settle_max)

    async def ask(self, cause: str, *, settle: bool = True) -> Outcome:
        """Ask for a pass and wait for its outcome."""
        self.wake(cause, settle=settle)
        assert self._batch is not None  # wake() made it
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._batch.waiters.append(waiter)
        return await waiter

    async def next(self) -> Batch[Outcome]:
        """Wait until a pass is due and hand over its requests."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            batch = self._batch
            if batch is None:
                await self._changed.wait()
                continue
            delay = batch.start_at - loop.time()
            if delay < CLOCK_RESOLUTION:
                self._batch = None
                return batch
            # A further request moves start_at: it is read anew at each turn.
            await asyncio.sleep(delay)

    def abandon(self) -> None:
        """The loop ends: nobody will answer any more."""
        if self._batch is not None:
            for waiter in self._batch.waiters:
                waiter.cancel()
            self._batch = None
