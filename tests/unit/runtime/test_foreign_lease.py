"""A Cluster Autoscaler is recognised by its Lease, however wrong the clock of either machine is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.cluster.records import LeaseRecord
from springtide.runtime.foreign_lease import ForeignLease

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Seen:
    """Our passes, ten seconds apart, by a clock that is wrong by so much."""

    def __init__(self, *, skew: timedelta = timedelta(0)) -> None:
        self.lease, self.skew, self.seconds = ForeignLease(), skew, 0.0

    def renewed(self, seconds_ago: float, *, holder: str = "ca-0") -> str:
        """Who is there by a pass that finds the Lease renewed so long ago, in truth."""
        self.seconds += 10
        truth = NOON + timedelta(seconds=self.seconds)
        written = LeaseRecord(
            namespace="kube-system",
            name="cluster-autoscaler",
            holder=holder,
            renewed_at=truth - timedelta(seconds=seconds_ago),
            duration_seconds=15,
        )
        return self.lease.holder(written, wall=truth + self.skew, monotonic=self.seconds)


@pytest.mark.parametrize("seconds", [0, 30, -30, 240, 3600, -3600])
def test_one_that_lives_is_seen_whatever_our_clock_says(seconds: float) -> None:
    passes = Seen(skew=timedelta(seconds=seconds))
    first, *others = [passes.renewed(1) for _ in range(5)]
    assert set(others) == {"ca-0"}
    assert first == ("ca-0" if seconds < 3600 else "")


@pytest.mark.parametrize("seconds", [0, 30, -30])
def test_one_that_died_is_gone_after_two_durations_at_most(seconds: float) -> None:
    passes = Seen(skew=timedelta(seconds=seconds))
    passes.renewed(1)
    assert [passes.renewed(1 + 10 * since) for since in range(1, 5)][-2:] == ["", ""]


def test_one_that_died_long_ago_is_not_waited_for() -> None:
    assert Seen().renewed(3600) == ""


def test_one_that_left_in_good_order_is_gone_at_once() -> None:
    passes = Seen()
    passes.renewed(1)
    assert passes.renewed(1, holder="") == ""
