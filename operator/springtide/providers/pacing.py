"""Call pacing: an adaptive token bucket that slows down when the cloud says so, and recovers by itself."""

from __future__ import annotations

import asyncio

SLOWEST_PER_SECOND = 0.2
"""However hard a cloud throttles, one call every five seconds keeps the picture alive."""

BACKOFF_FACTOR = 0.5
RECOVERY_PER_SUCCESS = 0.05
"""Share of the full rate regained with each successful call: about twenty calls from nearly nothing to full speed."""


class TokenBucket:
    """Lets `burst` calls through at once and `per_second` on average; waiters are served in order.

    Halves its rate on every throttling answer and regains it with successes (as TCP does), so one throttled region
    slows down itself only. Time is the event loop's, so virtual time works.
    """

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._full_rate = per_second
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._refilled_at: float | None = None
        self._turn = asyncio.Lock()

    @property
    def per_second(self) -> float:
        """The rate in force now."""
        return self._rate

    async def take(self) -> None:
        """Wait for the right to make one call."""
        async with self._turn:
            self._refill()
            if self._tokens < 1:
                await asyncio.sleep((1 - self._tokens) / self._rate)
                self._refill()
                # The sleep may wake a rounding error early; the token is owed either way.
                self._tokens = max(self._tokens, 1.0)
            self._tokens -= 1

    def throttled(self) -> None:
        """The cloud asked to slow down: halve the rate and start with an empty bucket."""
        self._refill()
        self._rate = max(self._rate * BACKOFF_FACTOR, SLOWEST_PER_SECOND)
        self._tokens = 0.0

    def succeeded(self) -> None:
        """A call went through: recover a little."""
        if self._rate < self._full_rate:
            self._refill()
            self._rate = min(self._full_rate, self._rate + self._full_rate * RECOVERY_PER_SUCCESS)

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._refilled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
