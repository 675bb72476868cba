"""How the API server has answered us lately: a short memory of our own calls, watches' openings included.

It is also where we heed the server: told to come back later (429 with Retry-After, as API priority and fairness tells
it), no further call of this client is sent before.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Final

from springtide.cluster.api_errors import ApiError, KubeError

WINDOW_SECONDS: Final = 60.0
MAX_CALLS: Final = 512
"""Remembered at most: in a burst, the last ones say enough."""
MOST_QUIET_SECONDS: Final = 10.0
"""A longer Retry-After is heeded by the one call it was said to; the others try."""
SPREAD_SECONDS: Final = 1.0
"""Calls that waited for the same moment go on over so long, not all at once."""
LONG_SECONDS: Final = 5.0
"""A call that its caller gave up after so long counts as unanswered."""


class Fate(Enum):
    """What became of a call."""

    ANSWERED = "answered"
    FAILED = "failed"
    """No answer, or an error of the server's own (5xx)."""
    THROTTLED = "throttled"
    """429 by priority and fairness or a rate limit; not that of an eviction which a disruption budget forbids."""


@dataclass(frozen=True, slots=True)
class ApiCalls:
    """The calls of the last minute."""

    answered: int = 0
    failed: int = 0
    throttled: int = 0
    failed_in_a_row: int = 0
    """The last so many calls had no answer, or an error of the server's own."""
    failing_seconds: float = 0.0
    """So long these calls in a row have been failing."""
    quick_calls: int = 0
    """Answered calls whose duration says something: lists and watches are left out."""
    median_seconds: float = 0.0
    """Their median duration."""
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    at: float
    seconds: float
    fate: Fate
    quick: bool


class CallLog:
    """Notes calls as they end, and lets none begin while the server wants quiet. Times are the event loop's."""

    def __init__(
        self, *, most_quiet_seconds: float = MOST_QUIET_SECONDS, rng: random.Random | None = None
    ) -> None:
        """`most_quiet_seconds`: no call is put off for longer. 0 for one whose few calls keep a pace of their own."""
        self._most_quiet_seconds = most_quiet_seconds
        self._random = rng or random.Random()
        self._quiet_until = 0.0
        self._calls: deque[_Call] = deque(maxlen=MAX_CALLS)
        self._failing_since: float | None = None
        self._failed_in_a_row = 0
        self._last_error = ""

    @asynccontextmanager
    async def noting(self, *, quick: bool) -> AsyncIterator[None]:
        """Around one call; `quick`: it should take no time to speak of. Waits first while the server wants quiet."""
        await self._wait_for_leave()
        began = _now()
        try:
            yield
        except KubeError as error:
            fate = _fate_of(error)
            if fate is Fate.THROTTLED:
                asked = getattr(error, "retry_after", None) or 0.0
                self._quiet_until = max(self._quiet_until, _now() + min(asked, self._most_quiet_seconds))
            self.note(fate, seconds=_now() - began, quick=quick, error=str(error))
            raise
        except asyncio.CancelledError:
            if _now() - began >= LONG_SECONDS:
                self.note(Fate.FAILED, seconds=_now() - began, quick=quick, error="no answer in time")
            raise
        self.note(Fate.ANSWERED, seconds=_now() - began, quick=quick)

    async def _wait_for_leave(self) -> None:
        quiet = self._quiet_until - _now()
        if quiet > 0:
            await asyncio.sleep(quiet + self._random.uniform(0.0, SPREAD_SECONDS))

    def note(self, fate: Fate, *, seconds: float, quick: bool, error: str = "") -> None:
        """A call ended just now after so many seconds."""
        now = _now()
        self._calls.append(_Call(now, seconds, fate, quick))
        if fate is Fate.FAILED:
            self._failing_since = now if self._failing_since is None else self._failing_since
            self._failed_in_a_row += 1
            self._last_error = error
        else:
            self._failing_since, self._failed_in_a_row = None, 0

    def lately(self) -> ApiCalls:
        """The calls of the last minute, counted."""
        now = _now()
        while self._calls and now - self._calls[0].at > WINDOW_SECONDS:
            self._calls.popleft()
        fates = [call.fate for call in self._calls]
        quick = [call.seconds for call in self._calls if call.quick and call.fate is Fate.ANSWERED]
        return ApiCalls(
            answered=fates.count(Fate.ANSWERED),
            failed=fates.count(Fate.FAILED),
            throttled=fates.count(Fate.THROTTLED),
            failed_in_a_row=self._failed_in_a_row,
            failing_seconds=0.0 if self._failing_since is None else now - self._failing_since,
            quick_calls=len(quick),
            median_seconds=median(quick) if quick else 0.0,
            last_error=self._last_error if self._failed_in_a_row else "",
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _fate_of(error: KubeError) -> Fate:
    if not isinstance(error, ApiError):
        return Fate.FAILED
    if error.status == 429 and "DisruptionBudget" not in error.causes:
        return Fate.THROTTLED
    return Fate.FAILED if error.status >= 500 else Fate.ANSWERED
