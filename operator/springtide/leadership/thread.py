"""The elector in a thread and event loop of its own: a pass or a garbage collection that holds up the main loop never
costs the lease, and a main loop that hangs does not keep the process alive without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from springtide.leadership.elector import Candidate, Elector, LeadershipLost, Witness
from springtide.leadership.gate import MutationGate
from springtide.leadership.kube_leases import LeaseApi

GRACE_SECONDS: Final = 5.0
"""So long after a loss the main loop gets to end the process in good order; then it is ended."""
RELEASE_SECONDS: Final = 1.0
"""Giving the lease back may take so long; who cannot say it goes without a word."""

Connect = Callable[[], AbstractAsyncContextManager[LeaseApi]]
"""Opens the elector's own connection, inside its own loop."""

logger = logging.getLogger(__name__)


class Leadership:
    """What the rest of the process sees of the election; for the main loop, but for the gate, which is for all."""

    def __init__(self, gate: MutationGate) -> None:
        self.gate = gate
        self.won = asyncio.Event()
        """Set when we lead; never cleared."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with LeadershipLost, or with what else made the elector fail."""

    async def resign(self, *, release: bool) -> None:
        """Stop leading, or wanting to. `release`: give the lease back, since nothing sent can take effect any more."""
        self.gate.close("this process has given its leadership up")


def unopposed(gate: MutationGate) -> Leadership:
    """Without an election: always leading, for as long as the process lives."""
    leadership = Leadership(gate)
    leadership.won.set()
    return leadership


class _Elected(Leadership):
    """Leadership by an elector's thread."""

    def __init__(
        self,
        connect: Connect,
        candidate: Candidate,
        *,
        gate: MutationGate,
        witness: Witness,
        end_process: Callable[[], None] | None,
    ) -> None:
        super().__init__(gate)
        self._connect = connect
        self._candidate = candidate
        self._witness = witness
        self._end_process = end_process
        self._main = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resign_asked: asyncio.Event
        self._release = False
        self._ready = threading.Event()
        self._ended = asyncio.Event()
        # A daemon: when the main thread has ended, nothing may wait for this one.
        self._thread = threading.Thread(target=self._run, name="elector", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    async def resign(self, *, release: bool) -> None:
        if not self._ended.is_set() and self._loop is not None:
            self._release = release
            with contextlib.suppress(RuntimeError):  # its loop was closed in this very moment
                self._loop.call_soon_threadsafe(self._resign_asked.set)
            await self._ended.wait()
        await super().resign(release=release)

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(self._elect())
        except BaseException as error:
            failure = error
            # Before anything else: a mutation that waits for its turn must find it shut.
            self.gate.close(str(error) or type(error).__name__)
            if not isinstance(error, LeadershipLost):
                logger.exception("the elector failed")
        self._ready.set()
        self._tell(self._end, failure)
        if failure is not None and self._end_process is not None:
            threading.Event().wait(GRACE_SECONDS)
            # Still here: the main loop hangs, or its end does.
            logger.critical("ending at once: leadership was lost, and the process did not end by itself")
            self._end_process()

    async def _elect(self) -> None:
        self._loop, self._resign_asked = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        async with self._connect() as leases:
            elector = Elector(leases, self._candidate, gate=self.gate, witness=self._witness)
            leading = asyncio.ensure_future(self._lead(elector))
            asked = asyncio.ensure_future(self._resign_asked.wait())
            try:
                await asyncio.wait([leading, asked], return_when=asyncio.FIRST_COMPLETED)
            finally:
                asked.cancel()
            if leading.done():
                await leading
                return
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            if self._release:
                await elector.release(within=RELEASE_SECONDS)

    async def _lead(self, elector: Elector) -> None:
        await elector.campaign()
        self._tell(self.won.set)
        await elector.hold()

    def _tell(self, tell: Callable[..., object], *what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the main loop is closed: nobody is left to be told
            self._main.call_soon_threadsafe(tell, *what)

    def _end(self, failure: BaseException | None) -> None:
        self._ended.set()
        if failure is not None and not self.lost.done():
            self.lost.set_exception(failure)
            self.lost.exception()  # it is looked at here, so that an end in between is no warning


@asynccontextmanager
async def elected(
    connect: Connect,
    candidate: Candidate,
    *,
    gate: MutationGate,
    witness: Witness | None = None,
    end_process: Callable[[], None] | None = None,
) -> AsyncIterator[Leadership]:
    """Stand for election for as long as the context; who leads in the end should have resigned before it ends.

    `end_process`: called in the elector's thread when leadership was lost and the process is still there some seconds
    later; None in tests, where it is not the process that ends.
    """
    leadership = _Elected(
        connect, candidate, gate=gate, witness=witness or Witness(), end_process=end_process
    )
    leadership.start()
    try:
        yield leadership
    finally:
        await leadership.resign(release=False)
