"""What became of a purchase that nobody heard of: told by the target, as read afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.cluster.snapshot import OutstandingPurchase, PurchaseRequest
from springtide.planning.groups.requests import LATE_EFFECT, settle

SENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
REQUEST = PurchaseRequest(
    expected=3,
    purchase=OutstandingPurchase(since=SENT, from_target=2, to_target=6, plan_id="p1", registered=3),
)
LONG_AFTER = SENT + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("target", "awaited", "plan_id"),
    [
        pytest.param(6, 6, "p1", id="reached: ours, with its time and plan"),
        pytest.param(8, 6, "p1", id="somebody added to it: ours up to what we asked for"),
        pytest.param(5, 5, "", id="in between: waited for, but nobody's"),
        pytest.param(4, 4, "", id="one more than before: waited for, but nobody's"),
    ],
)
def test_a_target_that_was_raised_is_waited_for(target: int, awaited: int, plan_id: str) -> None:
    settled = settle(REQUEST, target=target, read_at=LONG_AFTER, doubted_at=SENT)
    assert settled is not None
    assert settled.purchase is not None
    purchase = settled.purchase
    assert (purchase.from_target, purchase.to_target, purchase.plan_id) == (2, awaited, plan_id)
    assert purchase.since == SENT


@pytest.mark.parametrize("target", [3, 2, 0])
def test_a_target_that_was_not_raised_says_that_nothing_was_bought(target: int) -> None:
    settled = settle(REQUEST, target=target, read_at=LONG_AFTER, doubted_at=SENT)
    assert settled is not None
    assert settled.purchase is None


@pytest.mark.parametrize("target", [0, 3, 4, 5])
def test_a_reading_too_soon_after_the_call_proves_nothing(target: int) -> None:
    just_before = SENT + LATE_EFFECT - timedelta(milliseconds=1)
    assert settle(REQUEST, target=target, read_at=just_before, doubted_at=SENT) is None
    assert settle(REQUEST, target=target, read_at=SENT + LATE_EFFECT, doubted_at=SENT) is not None


def test_a_target_that_is_reached_needs_no_patience() -> None:
    assert settle(REQUEST, target=6, read_at=SENT, doubted_at=SENT) is not None
