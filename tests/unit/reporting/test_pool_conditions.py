"""Conditions of a NodePool: nothing that is wrong is left out, and a start unsays nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from springtide.api.conditions import Condition, ConditionStatus, ConditionType, Reason, find_condition
from springtide.api.nodepool_status import GroupBackoff, GroupStatus, NodePoolStatus, PoolSize
from springtide.cluster.groups import PoolListing, PoolProblem
from springtide.cluster.snapshot import PoolView
from springtide.planning.plan import PoolFinding, PoolPlan
from springtide.planning.planner import plan as make_plan
from springtide.reporting.pool_conditions import pool_conditions
from springtide.reporting.pool_status import PoolFacts, pool_status
from tests.unit.planning.world import NOW, group, pool, snapshot

LISTED = PoolListing(pool="general", read_at=NOW)
BACKS_OFF = PoolFinding(ConditionType.DEGRADED, True, Reason.GROUPS_BACKING_OFF, "group asg-a backs off")


def problem(reason: Reason, message: str, *, fatal: bool = False) -> PoolProblem:
    return PoolProblem(reason, "spec.provider", message, fatal=fatal)


def plan_of(view: PoolView, *findings: PoolFinding) -> PoolPlan:
    made = make_plan(snapshot(view)).pools[view.name]
    return replace(made, findings=findings) if findings else made


def conditions(
    view: PoolView, *findings: PoolFinding, listing: PoolListing | None = LISTED, before: Any = ()
) -> tuple[Condition, ...]:
    return pool_conditions(before, view, plan_of(view, *findings), listing, now=NOW)


def told(found: tuple[Condition, ...], kind: ConditionType) -> tuple[ConditionStatus, str, str]:
    condition = find_condition(found, kind)
    assert condition is not None
    return condition.status, condition.reason, condition.message


def test_a_pool_without_trouble() -> None:
    found = conditions(pool("general", group()))
    assert told(found, ConditionType.READY)[:2] == (ConditionStatus.TRUE, Reason.ACCEPTED)
    assert told(found, ConditionType.DEGRADED)[:2] == (ConditionStatus.FALSE, Reason.AS_EXPECTED)


def test_what_is_wrong_with_a_part_of_the_pool_is_all_told() -> None:
    view = pool(
        "general",
        group(),
        problems=(
            problem(Reason.GROUP_NOT_FOUND, "there is no group 'ghost'"),
            problem(Reason.TEMPLATE_UNKNOWN, "tag dedicated=gpu: write value:Effect"),
        ),
    )
    found = conditions(view)
    assert told(found, ConditionType.READY)[0] is ConditionStatus.TRUE
    assert told(found, ConditionType.DEGRADED) == (
        ConditionStatus.TRUE,
        Reason.GROUP_NOT_FOUND,
        "there is no group 'ghost'; tag dedicated=gpu: write value:Effect",
    )


def test_what_planning_found_comes_before_it() -> None:
    view = pool("general", group(), problems=(problem(Reason.GROUP_NOT_FOUND, "no 'ghost'"),))
    found = conditions(view, BACKS_OFF)
    assert told(found, ConditionType.DEGRADED) == (
        ConditionStatus.TRUE,
        Reason.GROUPS_BACKING_OFF,
        "group asg-a backs off; no 'ghost'",
    )


def test_all_that_keeps_a_pool_from_being_managed_is_told() -> None:
    view = pool(
        "general",
        problems=(
            problem(Reason.POLICY_NOT_FOUND, "create it", fatal=True),
            problem(Reason.GROUP_NOT_FOUND, "correct the name", fatal=True),
        ),
    )
    assert told(conditions(view), ConditionType.READY) == (
        ConditionStatus.FALSE,
        Reason.POLICY_NOT_FOUND,
        "create it; correct the name",
    )


def test_a_mistake_is_not_hidden_behind_a_cloud_that_is_not_read_yet() -> None:
    waits = problem(Reason.NOT_LISTED_YET, "not read yet", fatal=True)
    mistake = problem(Reason.POLICY_NOT_FOUND, "create it", fatal=True)
    for problems in ((waits, mistake), (mistake, waits)):
        found = conditions(pool("general", problems=problems))
        assert told(found, ConditionType.READY)[1:] == (Reason.POLICY_NOT_FOUND, "create it")


# --- before this process has read the cloud -----------------------------------------------------------------------

UNREAD = pool("general", problems=(problem(Reason.NOT_LISTED_YET, "not read yet", fatal=True),))


def test_a_new_pool_says_that_it_waits_for_the_cloud() -> None:
    found = conditions(UNREAD, listing=None)
    assert told(found, ConditionType.READY)[:2] == (ConditionStatus.FALSE, Reason.NOT_LISTED_YET)
    assert told(found, ConditionType.PROVIDER_REACHABLE)[0] is ConditionStatus.FALSE


def test_a_restart_unsays_nothing() -> None:
    before = conditions(pool("general", group()))
    assert conditions(UNREAD, listing=None, before=before) == before


@pytest.mark.parametrize("ever_listed", [False, True])
def test_a_restart_keeps_what_stands_in_the_status_until_the_cloud_was_read(ever_listed: bool) -> None:
    remembered = GroupStatus(
        id="asg-a", target=3, backoff=GroupBackoff(until=NOW, reason="OutOfCapacity", failures=2)
    )
    before = NodePoolStatus(size=PoolSize(target=3, max=10), groups=(remembered,))
    facts = PoolFacts(
        view=UNREAD,
        plan=plan_of(UNREAD),
        memory={},
        last_scale_up=None,
        last_scale_down=None,
        last_scale_down_failure=None,
        policy_generation=1,
        conditions=(),
        decision=None,
        ever_listed=ever_listed,
    )
    after = pool_status(facts, before, now=NOW)
    assert (after.groups == before.groups) is not ever_listed
    assert (after.size == before.size) is not ever_listed
    assert after.observed_generation == UNREAD.generation
