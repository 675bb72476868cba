"""Times that move with the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.groups import FailureClass
from springtide.cluster.snapshot import Backoff, GroupMemory, OutstandingPurchase
from springtide.runtime.degraded.rebasing import rebased
from springtide.runtime.memory import PoolMemory

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def memory(*, ago: timedelta = timedelta(minutes=5)) -> PoolMemory:
    at = NOON - ago
    return PoolMemory(
        groups={
            "a": GroupMemory(
                purchase=OutstandingPurchase(since=at, from_target=1, to_target=3, plan_id="p"),
                backoff=Backoff(
                    until=at + timedelta(minutes=10), reason=FailureClass.QUOTA, failures=2, last_failure=at
                ),
                failures_seen_until=at,
            )
        },
        last_scale_up=at,
        last_scale_down=None,
    )


@given(st.integers(-(10**6), 10**6))
def test_everything_is_as_long_ago_as_before(seconds: int) -> None:
    jump = timedelta(seconds=seconds)
    moved = rebased(memory(), by=jump, now=NOON + jump)
    group = moved.groups["a"]
    assert group.purchase is not None
    assert group.backoff is not None
    assert NOON + jump - group.purchase.since == timedelta(minutes=5)
    assert group.backoff.until - (NOON + jump) == timedelta(minutes=5)
    assert moved.last_scale_up == NOON + jump - timedelta(minutes=5)
    assert moved.last_scale_down is None


@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(hours=-2)])
def test_what_the_cloud_said_is_of_another_clock(jump: timedelta) -> None:
    seen = rebased(memory(), by=jump, now=NOON + jump).groups["a"].failures_seen_until
    assert seen == min(NOON - timedelta(minutes=5), NOON + jump)


def test_what_a_wrong_clock_wrote_is_not_waited_for_for_ever() -> None:
    from_the_future = rebased(memory(ago=timedelta(hours=-3)), by=timedelta(0), now=NOON)
    group = from_the_future.groups["a"]
    assert group.purchase is not None
    assert group.backoff is not None
    assert group.purchase.since == NOON
    assert group.backoff.until == NOON + timedelta(minutes=10)
    assert from_the_future.last_scale_up == NOON


def test_what_is_right_stays_as_it_is() -> None:
    assert rebased(memory(), by=timedelta(0), now=NOON) == memory()
