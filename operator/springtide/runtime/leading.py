"""What a process does once it leads: look at everything afresh, then run passes until it leads no more.

What a standby has seen may be behind what the leader before it did last, by as much as a watch can lag. Of all that
decisions hang on, these are our own: purchases and timers in NodePool status, removals in Nodes' annotations, targets and
instances in the cloud. So those are read anew, by consistent reads begun after leadership was won; nothing the
predecessor did can be missing from them, for its right had ended by then. The rest (pods, budgets, volumes) may lag as
it may in any pass: a removal lists its node's pods again, and a purchase compares the group's target.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import kopf

from springtide.actuation.actuator import Actuator
from springtide.actuation.ports import MutationForbidden
from springtide.cluster.access import AccessLoader
from springtide.cluster.send_guard import Leave
from springtide.cluster.watching import ClusterWatch
from springtide.leadership.elector import LeadershipLost
from springtide.leadership.thread import Leadership
from springtide.reporting.events import EventRecorder
from springtide.reporting.reporter import Reporter
from springtide.runtime.cloud_watch import CloudWatch
from springtide.runtime.engine import Engine
from springtide.runtime.kopf_host import hosted
from springtide.runtime.watchdog import watch_over

LAST_EVENTS_SECONDS: Final = 0.5
"""At the stop, events still waiting get so long."""
LAST_ANSWERS_SECONDS: Final = 1.0
"""At the stop, purchases that were sent get so long to hear their answer."""
LOOK_AROUND_SECONDS: Final = 10.0
"""How often a standby looks which pools there are."""
READ_ANEW: Final = frozenset({"nodes", "nodepools", "autoscalerpolicies"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """All that works only while this process leads."""

    leadership: Leadership
    engine: Engine
    cluster: ClusterWatch
    clouds: CloudWatch
    actuator: Actuator
    recorder: EventRecorder
    reporter: Reporter
    registry: kopf.OperatorRegistry
    load_access: AccessLoader
    leave: Leave
    listen: Callable[[], None]

    async def run(self) -> None:
        """Stand by until we lead, then lead. Returns when another replica should lead; raises what made a part fail."""
        await self._stand_by()
        async with self._leading() as parts:
            handing_over = asyncio.ensure_future(self.engine.handing_over.wait())
            try:
                await first_end([*parts, handing_over])
            except MutationForbidden as error:
                # The gate shuts before the elector's word arrives.
                raise LeadershipLost(str(error)) from error
            finally:
                handing_over.cancel()

    async def _stand_by(self) -> None:
        """Keep warm what takes long at first."""
        won = self.leadership.won
        if won.is_set():
            return
        self.clouds.stand_by()
        while not won.is_set():
            self.engine.look_around()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AROUND_SECONDS):
                    await won.wait()

    @asynccontextmanager
    async def _leading(self) -> AsyncIterator[list[asyncio.Future[Any]]]:
        async with AsyncExitStack() as stack:
            await self.cluster.list_anew(READ_ANEW)
            self.clouds.start_over()
            state, engine = self.cluster.state, self.engine
            state.on_wake_up(engine.wake)
            state.on_arrival(engine.requests.prolong)
            state.on_refused(engine.pod_refused)
            engine.wake("start")
            tasks = self._start()
            stack.push_async_callback(self._stop, tasks)
            ended = await stack.enter_async_context(
                hosted(
                    self.registry,
                    load_access=self.load_access,
                    memo=engine,
                    leave=self.leave,
                    listen=self.listen,
                )
            )
            yield [*tasks, ended]

    def _start(self) -> list[asyncio.Task[None]]:
        works: tuple[tuple[str, Coroutine[Any, Any, None]], ...] = (
            ("events", self.recorder.run()),
            ("statuses", self.reporter.run()),
            ("passes", self.engine.run()),
            ("watchdog", watch_over(self.engine)),
        )
        return [asyncio.create_task(work, name=name) for name, work in works]

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        """Nothing new is begun, what was sent is heard out briefly, the last words are written."""
        passes = next(task for task in tasks if task.get_name() == "passes")
        passes.cancel()
        await self.actuator.stop(grace=LAST_ANSWERS_SECONDS)
        if not self.leadership.gate.why_closed():
            with contextlib.suppress(TimeoutError, MutationForbidden):
                async with asyncio.timeout(LAST_EVENTS_SECONDS):
                    await asyncio.gather(
                        self.reporter.flush(), self.recorder.flush(seconds=LAST_EVENTS_SECONDS)
                    )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[asyncio.Task[None]]:
        """`run` as a task, for as long as the context; in the end it is ended, and then leadership given up."""
        running = asyncio.create_task(self.run(), name="reign")
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self._resign()

    async def _resign(self) -> None:
        """Stop leading, when all that worked has ended. The lease is given back if nothing can take effect any more."""
        heard_out = self.actuator.heard_out
        if not heard_out:
            logger.info(
                "the lease is left to run out: a call's answer was not heard, it may still take effect"
            )
        await self.leadership.resign(release=heard_out)


async def first_end(parts: Sequence[asyncio.Future[Any]]) -> None:
    """Wait until one of them ends; raises what made it fail. Of several the first in the order given speaks: a lost lease
    makes other parts fail, too."""
    done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    for part in parts:
        if part in done:
            part.result()
