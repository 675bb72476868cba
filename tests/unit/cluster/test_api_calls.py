"""The memory of our own calls, and the quiet that the API server asks for; in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from springtide.cluster.api_calls import MAX_CALLS, CallLog
from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError

pytestmark = pytest.mark.looptime

BUDGET = {"causes": [{"reason": "DisruptionBudget"}]}


async def call(
    log: CallLog, error: KubeError | None = None, *, seconds: float = 0.0, quick: bool = True
) -> float:
    """One call; when it was sent."""
    sent = 0.0
    try:
        async with log.noting(quick=quick):
            sent = asyncio.get_running_loop().time()
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
    except KubeError:
        pass
    return sent


def rejection(retry_after: float | None = 1.0) -> ApiError:
    return ApiError(status=429, reason="TooManyRequests", retry_after=retry_after)


async def test_calls_are_told_apart_by_what_became_of_them() -> None:
    log = CallLog()
    await call(log, seconds=0.2)
    await call(log, ApiError(status=404))
    await call(log, ApiError(status=503))
    await call(log, ApiUnreachable("refused"))
    lately = log.lately()
    assert (lately.answered, lately.failed, lately.throttled) == (2, 2, 0)
    assert lately.failed_in_a_row == 2
    assert lately.last_error == "refused"


async def test_a_row_of_failures_ends_with_any_answer() -> None:
    log = CallLog()
    for _ in range(3):
        await call(log, ApiUnreachable("refused"))
        await asyncio.sleep(5)
    assert log.lately().failing_seconds == pytest.approx(15)
    await call(log, ApiError(status=409))
    assert (log.lately().failed_in_a_row, log.lately().failing_seconds) == (0, 0.0)


async def test_after_a_minute_a_call_is_forgotten() -> None:
    log = CallLog()
    await call(log)
    await asyncio.sleep(61)
    assert log.lately().answered == 0


async def test_lists_and_watches_do_not_count_as_slow() -> None:
    log = CallLog()
    await call(log, seconds=20.0, quick=False)
    await call(log, seconds=0.1)
    assert log.lately().median_seconds == pytest.approx(0.1)


async def test_a_call_given_up_by_its_caller_after_seconds_had_no_answer() -> None:
    log = CallLog()
    for seconds in (0.5, 8.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await call(log, seconds=60)
    assert log.lately().failed == 1


async def test_told_to_come_back_later_no_call_is_sent_before() -> None:
    log = CallLog(rng=random.Random(1))
    await call(log, rejection(3.0))
    sent = await asyncio.gather(*(call(log) for _ in range(20)))
    assert min(sent) >= 3.0
    assert max(sent) <= 4.0
    assert len(set(sent)) == 20, "not all at once"
    assert log.lately().throttled == 1


async def test_an_eviction_that_a_budget_forbids_asks_for_no_quiet() -> None:
    log = CallLog()
    await call(log, ApiError(status=429, retry_after=10.0, details=BUDGET))
    assert await call(log) == pytest.approx(0, abs=0.01)
    assert log.lately().throttled == 0


async def test_one_absurd_wish_for_quiet_does_not_silence_us() -> None:
    log = CallLog()
    await call(log, rejection(86400.0))
    assert await call(log) <= 11.0


async def test_a_burst_is_not_all_remembered() -> None:
    log = CallLog()
    for _ in range(3 * MAX_CALLS):
        await call(log)
    assert log.lately().answered == MAX_CALLS
