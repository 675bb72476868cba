"""How failures of the API server are waited out: which ones pass, and how the waits grow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

from springtide.cluster.api_errors import ApiError, KubeError

T = TypeVar("T")

JITTER: Final = (0.8, 1.0)
"""Shares of a wait."""


def growing(*, first: float, most: float) -> Iterator[float]:
    """Waits in seconds, each double the one before, up to `most`; endless."""
    wait = first
    while True:
        yield min(wait, most)
        wait = min(wait * 2, most)


def drifting(*, first: float, most: float) -> Iterator[float]:
    """The same, each a little less than that by chance: what failed together must not be tried again together."""
    return (wait * random.uniform(*JITTER) for wait in growing(first=first, most=most))


def passes(error: KubeError) -> bool:
    """True for failures that may be over the next time: no answer, no credentials, overload, a server's own fault."""
    return not isinstance(error, ApiError) or error.status == 429 or error.status >= 500


async def patiently(read: Callable[[], Awaitable[T]], *, patience: float) -> T:
    """Repeat a read (never a mutation) for up to `patience` seconds while its failure may pass."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + patience
    for wait in drifting(first=0.25, most=5.0):
        try:
            return await read()
        except KubeError as error:
            pause = max(wait, getattr(error, "retry_after", None) or 0.0)
            if not passes(error) or loop.time() + pause > give_up_at:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("unreachable: the waits are endless")
