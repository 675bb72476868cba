"""A heartbeat of our own, beside kopf's timer: work that was begun is finished even when the last policy is gone."""

from __future__ import annotations

import asyncio
from typing import Final

from springtide.runtime.engine import Engine

INTERVAL_SECONDS: Final = 10.0


async def watch_over(engine: Engine) -> None:
    """Ask for a pass when something is under way and nobody else has asked for one for a while."""
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        if engine.has_unfinished_work and engine.seconds_since_pass >= INTERVAL_SECONDS:
            engine.wake("watchdog")
