"""Memory: what outlives the process comes back from the status as it was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.actuation.outcome import (
    Outcome,
    PurchaseAcknowledged,
    PurchaseRefused,
    RemovalDone,
    RemovalRolledBack,
    RollbackReason,
)
from springtide.api.nodepool import NodePool
from springtide.api.nodepool_status import NodePoolStatus
from springtide.api.parse import parse_nodepool
from springtide.cluster.groups import FailureClass
from springtide.cluster.manifests import pod_from_manifest
from springtide.planning.plan import (
    GroupPlan,
    NodeCounts,
    Plan,
    PoolPlan,
    PurchaseReason,
    ScaleDownState,
    ScaleUpState,
)
from springtide.runtime.memory import Memories, PoolMemory, from_status

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

STATUS = {
    "lastScaleUpTime": "2026-01-01T11:00:00Z",
    "lastProbeTime": "2026-01-01T11:59:00Z",
    "groups": [
        {
            "id": "a",
            "purchase": {
                "since": "2026-01-01T11:00:00Z",
                "from": 1,
                "to": 3,
                "planID": "p1",
                "registered": 1,
            },
            "backoff": {
                "until": "2026-01-01T13:00:00Z",
                "reason": "OutOfCapacity",
                "failures": 2,
                "lastFailureTime": "2026-01-01T11:30:00Z",
                "message": "none left",
            },
            "failuresSeenUntil": "2026-01-01T11:30:00Z",
            "everRegistered": True,
        }
    ],
}


def pool(status: dict[str, object], *, uid: str = "u1") -> NodePool:
    provider = {"aws": {"region": "us-east-1", "autoScalingGroups": ["a"]}}
    manifest = {"metadata": {"name": "p", "uid": uid}, "spec": {"provider": provider}, "status": status}
    parsed = parse_nodepool(manifest)
    assert isinstance(parsed, NodePool)
    return parsed


def test_a_restarted_operator_remembers_what_the_status_says() -> None:
    memories = Memories()
    memories.follow([pool(STATUS)], now=NOW)
    memory = memories.by_pool["p"]
    group = memory.groups["a"]
    assert memory.last_scale_up == NOW - timedelta(hours=1)
    assert group.purchase is not None
    assert (group.purchase.from_target, group.purchase.to_target, group.purchase.registered) == (1, 3, 1)
    assert group.backoff is not None
    assert (group.backoff.reason, group.backoff.failures, group.backoff.message) == (
        FailureClass.OUT_OF_CAPACITY,
        2,
        "none left",
    )
    assert group.ever_matched
    assert memories.outstanding("p")


@pytest.mark.parametrize(
    "seen_at",
    [
        pytest.param(NOW + timedelta(minutes=3), id="nobody watched for four minutes"),
        pytest.param(NOW + timedelta(hours=1), id="an old backup was restored"),
        pytest.param(NOW - timedelta(hours=1), id="the clock was put back"),
    ],
)
def test_after_a_gap_a_purchase_is_waited_for_anew_and_nobodys(seen_at: datetime) -> None:
    memory = from_status(pool(STATUS).status, now=seen_at)
    purchase = memory.groups["a"].purchase
    assert purchase is not None
    assert (purchase.plan_id, purchase.since) == ("", seen_at)
    assert (purchase.from_target, purchase.to_target) == (1, 3)


def test_a_reason_of_a_newer_release_is_still_a_backoff() -> None:
    status = NodePoolStatus.model_validate(
        {"groups": [{"id": "a", "backoff": {"until": "2026-01-01T13:00:00Z", "reason": "MeteorStrike"}}]}
    )
    backoff = from_status(status, now=NOW).groups["a"].backoff
    assert backoff is not None
    assert backoff.reason is FailureClass.LAUNCH_FAILED


def test_a_pool_made_anew_under_the_same_name_inherits_nothing() -> None:
    memories = Memories()
    memories.follow([pool(STATUS)], now=NOW)
    memories.follow([pool({}, uid="u2")], now=NOW)
    assert memories.by_pool["p"] == PoolMemory()


@pytest.mark.parametrize(
    ("gap", "trusted"),
    [
        (timedelta(minutes=3), True),
        (timedelta(minutes=3, seconds=1), False),
        (timedelta(hours=2), False),
        (timedelta(hours=-1), False),
    ],
)
def test_timers_are_trusted_only_without_a_gap_in_the_heartbeat(gap: timedelta, trusted: bool) -> None:
    assert PoolMemory(last_probe=NOW - gap).timers_trusted(NOW) is trusted
    assert not PoolMemory().timers_trusted(NOW)


def purchased(before: int, target: int) -> PurchaseAcknowledged:
    return PurchaseAcknowledged(
        at=NOW,
        pool="p",
        group="a",
        plan_id="p2",
        from_target=before,
        to_target=target,
        max_size=9,
        reason=PurchaseReason.PENDING_PODS,
        before=before,
        target=target,
    )


def planned(missing: int, registered: int) -> Plan:
    group = GroupPlan(
        group="a",
        target=3,
        counts=NodeCounts(registered=registered),
        unfulfilled=0,
        upcoming=0,
        missing=missing,
    )
    part = PoolPlan(
        pool="p",
        target=3,
        min_size=0,
        max_size=9,
        counts=NodeCounts(),
        groups=(group,),
        scale_up=ScaleUpState.NO_ACTIVITY,
        scale_down=ScaleDownState.NO_CANDIDATES,
    )
    return Plan(id="p2", now=NOW, pools={"p": part})


def test_a_purchase_goes_on_waiting_for_what_the_one_before_lacks() -> None:
    memories = Memories()
    memories.follow([pool({})], now=NOW)
    memories.absorb(planned(missing=2, registered=1))
    memories.remember(purchased(3, 5))
    purchase = memories.by_pool["p"].groups["a"].purchase
    assert purchase is not None
    assert (purchase.from_target, purchase.to_target, purchase.registered) == (1, 5, 1)
    assert memories.by_pool["p"].last_scale_up == NOW


def test_a_target_that_was_raised_already_is_no_purchase() -> None:
    memories = Memories()
    memories.follow([pool({})], now=NOW)
    memories.remember(purchased(5, 5))
    assert not memories.outstanding("p")


def test_a_refused_purchase_is_a_launch_failure_for_the_next_plan() -> None:
    memories = Memories()
    memories.follow([pool({})], now=NOW)
    refused = PurchaseRefused(
        at=NOW,
        pool="p",
        group="a",
        from_target=0,
        to_target=1,
        max_size=9,
        reason=PurchaseReason.PENDING_PODS,
        message="above MaxSize",
    )
    memories.remember(refused)
    failure = memories.refusals["p", "a"]
    assert (failure.failure_class, failure.message) == (FailureClass.REFUSED, "above MaxSize")


REMOVAL = {"at": NOW, "pool": "p", "group": "a", "node": "n", "node_uid": "u", "instance": "i"}


@pytest.mark.parametrize(
    ("outcome", "down", "failure"),
    [
        pytest.param(RemovalDone(**REMOVAL, took=timedelta(seconds=9)), NOW, None, id="done"),
        pytest.param(
            RemovalRolledBack(**REMOVAL, reason=RollbackReason.EVICTION_REFUSED, message=""),
            None,
            NOW,
            id="failed",
        ),
        pytest.param(
            RemovalRolledBack(**REMOVAL, reason=RollbackReason.RELEASED, message=""), None, None, id="let go"
        ),
        pytest.param(
            RemovalRolledBack(**REMOVAL, reason=RollbackReason.NEW_POD, message=""),
            None,
            None,
            id="needed again",
        ),
    ],
)
def test_removals_start_the_cool_downs_they_deserve(
    outcome: Outcome, down: datetime | None, failure: datetime | None
) -> None:
    memories = Memories()
    memories.follow([pool({})], now=NOW)
    memories.remember(outcome)
    memory = memories.by_pool["p"]
    assert (memory.last_scale_down, memory.last_scale_down_failure) == (down, failure)


def test_a_refusal_speaks_for_its_shape_for_half_a_minute() -> None:
    memories = Memories()
    refused = pod_from_manifest(
        {
            "metadata": {
                "name": "a",
                "namespace": "d",
                "uid": "1",
                "creationTimestamp": "2026-01-01T11:00:00Z",
            },
            "spec": {"containers": [{"name": "c"}]},
            "status": {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "lastTransitionTime": "2026-01-01T12:00:00Z",
                    }
                ],
            },
        }
    )
    key = (refused.shape, "default-scheduler")
    assert memories.refused_lately([refused], now=NOW) == {key}
    assert memories.refused_lately([], now=NOW + timedelta(seconds=30)) == {key}
    assert memories.refused_lately([], now=NOW + timedelta(seconds=31)) == frozenset()
