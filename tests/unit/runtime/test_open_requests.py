"""Requests in the memory: written before the call, withdrawn, acknowledged, or settled by a reading."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import (
    Outcome,
    PurchaseAcknowledged,
    PurchaseDeferred,
    PurchaseFailed,
    PurchaseRefused,
)
from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import NodePoolStatus
from springtide.api.parse import parse_nodepool
from springtide.cluster.groups import FailureClass, NodeGroup, PoolListing
from springtide.planning.plan import Purchase, PurchaseReason
from springtide.reporting.pool_status import with_requests
from springtide.runtime.memory import Memories, from_status

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ("p", "a")


def pool(status: dict[str, Any] | None = None) -> NodePool:
    provider = {"aws": {"region": "us-east-1", "autoScalingGroups": ["a"]}}
    manifest = {"metadata": {"name": "p", "uid": "u"}, "spec": {"provider": provider}, "status": status or {}}
    parsed = parse_nodepool(manifest)
    assert isinstance(parsed, NodePool)
    return parsed


def purchase(start: int = 1, to: int = 3) -> Purchase:
    return Purchase(
        pool="p",
        group="a",
        from_target=start,
        to_target=to,
        max_size=9,
        reason=PurchaseReason.PENDING_PODS,
    )


def asked(*, since: datetime = NOW) -> Memories:
    """A process that is asking the cloud for 1 -> 3."""
    memories = Memories()
    memories.follow([pool()], now=NOW)
    memories.request([purchase()], plan_id="p1", now=since)
    return memories


def successor(memories: Memories) -> Memories:
    """A process that knows what the status says."""
    status = with_requests(NodePoolStatus(last_probe_time=NOW), memories.by_pool["p"].groups)
    later = Memories()
    later.follow([pool(status.to_wire())], now=NOW)
    return later


def told(kind: type[Any], *, plan_id: str = "p1", at: datetime = NOW, **fields: Any) -> Outcome:
    outcome: Outcome = kind(
        at=at,
        pool="p",
        group="a",
        plan_id=plan_id,
        from_target=1,
        to_target=3,
        max_size=9,
        reason=PurchaseReason.PENDING_PODS,
        **fields,
    )
    return outcome


def read(
    memories: Memories, target: int, *, at: datetime, under_way: Collection[tuple[str, str]] = ()
) -> None:
    group = NodeGroup(
        id="a", pool="p", target=target, min_size=0, max_size=9, instances=(), template=None, read_at=at
    )
    listing = PoolListing(pool="p", groups=(group,), read_at=at)
    memories.settle({"p": listing}, under_way=under_way, now=at)


def test_a_request_comes_back_from_the_status_as_it_was_written() -> None:
    memories = asked()
    status = with_requests(NodePoolStatus(last_probe_time=NOW), memories.by_pool["p"].groups)
    assert from_status(status, now=NOW).of("a").request == memories.by_pool["p"].of("a").request


def test_an_answer_makes_a_purchase_of_it_that_dates_from_the_answer() -> None:
    memories = asked()
    later = NOW + timedelta(seconds=2)
    memories.remember(told(PurchaseAcknowledged, at=later, before=1, target=3))
    known = memories.by_pool["p"].of("a")
    assert known.request is None
    assert known.purchase is not None
    assert (known.purchase.since, known.purchase.from_target, known.purchase.to_target) == (later, 1, 3)


@pytest.mark.parametrize(
    ("outcome", "backs_off"),
    [
        pytest.param(told(PurchaseDeferred, message="no"), False, id="not sent"),
        pytest.param(told(PurchaseRefused, message="no"), True, id="refused"),
        pytest.param(told(PurchaseFailed, message="no"), True, id="throttled too long"),
        pytest.param(
            told(PurchaseAcknowledged, before=3, target=3), False, id="somebody else had raised it already"
        ),
    ],
)
def test_a_call_without_effect_is_forgotten(outcome: Outcome, backs_off: bool) -> None:
    memories = asked()
    memories.remember(outcome)
    assert memories.by_pool["p"].of("a").request is None
    assert (KEY in memories.refusals) is backs_off


def test_what_another_plan_deferred_does_not_withdraw_the_request_under_way() -> None:
    memories = asked()
    memories.remember(told(PurchaseDeferred, plan_id="p2", message="the purchase of 3 is still under way"))
    assert memories.by_pool["p"].of("a").request is not None


def test_while_its_answer_is_awaited_no_reading_settles_it() -> None:
    memories = asked()
    read(memories, 1, at=NOW + timedelta(minutes=1), under_way=[KEY])
    assert memories.by_pool["p"].of("a").request is not None


@pytest.mark.parametrize(("target", "bought"), [(1, False), (3, True)])
def test_a_successor_learns_from_the_cloud_what_became_of_it(target: int, bought: bool) -> None:
    memories = successor(asked())
    assert memories.outstanding("p")
    read(memories, target, at=NOW + timedelta(seconds=10))
    known = memories.by_pool["p"].of("a")
    assert known.request is None
    assert (known.purchase is not None) is bought
    assert memories.refusals == {}
    if known.purchase is not None:
        assert (known.purchase.since, known.purchase.plan_id) == (NOW, "p1")


def test_a_request_dated_in_the_future_by_another_clock_is_settled_all_the_same() -> None:
    memories = successor(asked(since=NOW + timedelta(hours=1)))
    read(memories, 1, at=NOW)
    assert memories.by_pool["p"].of("a").request is not None
    read(memories, 1, at=NOW + timedelta(seconds=5))
    assert memories.by_pool["p"].of("a").request is None


def test_after_lost_answers_a_target_that_was_not_raised_backs_the_group_off() -> None:
    memories = asked()
    memories.remember(told(PurchaseFailed, message="cut", ambiguous=True))
    read(memories, 1, at=NOW + timedelta(seconds=1))
    assert memories.refusals == {}
    read(memories, 1, at=NOW + timedelta(seconds=5))
    assert memories.refusals[KEY].failure_class is FailureClass.REFUSED
    assert memories.by_pool["p"].of("a").request is None


def test_after_lost_answers_a_target_that_was_raised_is_a_purchase_and_no_failure() -> None:
    memories = asked()
    memories.remember(told(PurchaseFailed, message="cut", ambiguous=True))
    read(memories, 3, at=NOW + timedelta(seconds=1))
    assert memories.refusals == {}
    assert memories.by_pool["p"].of("a").purchase is not None


def test_a_group_that_cannot_be_read_after_lost_answers_backs_off_but_is_not_forgotten() -> None:
    memories = asked()
    memories.remember(told(PurchaseFailed, message="cut", ambiguous=True))
    memories.settle({}, under_way=(), now=NOW + timedelta(seconds=31))
    assert KEY in memories.refusals
    read(memories, 3, at=NOW + timedelta(minutes=2))
    assert memories.by_pool["p"].of("a").purchase is not None


def test_an_earlier_purchase_is_still_known_when_the_request_came_to_nothing() -> None:
    status = {
        "lastProbeTime": "2026-01-01T12:00:00Z",
        "groups": [
            {"id": "a", "purchase": {"since": "2026-01-01T11:55:00Z", "from": 0, "to": 1, "planID": "p0"}}
        ],
    }
    memories = Memories()
    memories.follow([pool(status)], now=NOW)
    memories.request([purchase()], plan_id="p1", now=NOW)
    later = Memories()
    written = with_requests(NodePoolStatus.model_validate(status), memories.by_pool["p"].groups)
    later.follow([pool(written.to_wire())], now=NOW)
    read(later, 1, at=NOW + timedelta(seconds=10))
    known = later.by_pool["p"].of("a")
    assert known.purchase is not None
    assert known.purchase.plan_id == "p0"


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_was_set_keeps_no_request_open(jump: timedelta) -> None:
    for memories in (successor(asked()), asked()):
        memories.remember(told(PurchaseFailed, message="cut", ambiguous=True))
        read(memories, 1, at=NOW)
        later = NOW + jump
        memories.rebase(jump, now=later)
        read(memories, 1, at=later + timedelta(seconds=6))
        assert memories.by_pool["p"].of("a").request is None
