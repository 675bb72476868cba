"""A heartbeat of our own, beside kopf's timer: work that was begun is finished even when the last policy is gone. Its ticks
also tell how late the event loop is."""

from __future__ import annotations

import asyncio
from typing import Final

from springtide.runtime.engine import Engine

INTERVAL_SECONDS: Final = 10.0
TICK_SECONDS: Final = 1.0


async def watch_over(engine: Engine) -> None:
    """Ask for a pass when something is under way and nobody else has asked for one for a while."""
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    while True:
        slept_at = loop.time()
        await asyncio.sleep(TICK_SECONDS)
        engine.surroundings.load.lagged(loop.time() - slept_at - TICK_SECONDS)
        if loop.time() - asked_at < INTERVAL_SECONDS:
            continue
        asked_at = loop.time()
        if engine.has_unfinished_work and engine.seconds_since_pass >= INTERVAL_SECONDS:
            engine.wake("watchdog")
