"""The token bucket, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from springtide.providers.pacing import SLOWEST_PER_SECOND, TokenBucket

pytestmark = pytest.mark.looptime


async def seconds_for(bucket: TokenBucket, calls: int) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.gather(*(bucket.take() for _ in range(calls)))
    return loop.time() - start


async def test_a_burst_passes_at_once() -> None:
    assert await seconds_for(TokenBucket(per_second=10, burst=5), 5) == 0


async def test_beyond_the_burst_calls_pass_at_the_rate() -> None:
    assert await seconds_for(TokenBucket(per_second=10, burst=5), 25) == pytest.approx(2.0)


async def test_an_idle_bucket_fills_up_to_the_burst_and_no_further() -> None:
    bucket = TokenBucket(per_second=10, burst=5)
    await seconds_for(bucket, 5)
    await asyncio.sleep(3600)
    assert await seconds_for(bucket, 6) == pytest.approx(0.1)


async def test_throttling_halves_the_rate_and_empties_the_bucket() -> None:
    bucket = TokenBucket(per_second=10, burst=5)
    bucket.throttled()
    assert await seconds_for(bucket, 5) == pytest.approx(1.0)


async def test_the_rate_never_falls_to_nothing() -> None:
    bucket = TokenBucket(per_second=10, burst=5)
    for _ in range(50):
        bucket.throttled()
    assert bucket.per_second == SLOWEST_PER_SECOND
    assert await seconds_for(bucket, 1) == pytest.approx(1 / SLOWEST_PER_SECOND)


async def test_successes_bring_the_full_rate_back() -> None:
    bucket = TokenBucket(per_second=10, burst=5)
    for _ in range(5):
        bucket.throttled()
    for _ in range(20):
        bucket.succeeded()
    assert bucket.per_second == 10
