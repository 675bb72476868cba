"""A policy's status: what is said of its priorities, and of pods that no group can help."""

from __future__ import annotations

from datetime import timedelta

import pytest

from springtide.api.conditions import Condition, ConditionType, Reason, find_condition
from springtide.api.policy_status import AutoscalerPolicyStatus, StuckPods
from springtide.cluster.groups import PoolProblem
from springtide.cluster.snapshot import PolicyView, PoolView
from springtide.planning.planner import plan
from springtide.reporting.policy_status import PassFacts, policy_status
from tests.unit.planning.world import group, pending, policy, pool, shape, snapshot


def conditions_of(view: PolicyView, before: tuple[Condition, ...] = ()) -> tuple[Condition, ...]:
    seen = snapshot(policies=[view])
    facts = PassFacts(snapshot=seen, plan=plan(seen), duration=timedelta(0), phases={}, pool_conditions={})
    return policy_status(view, facts, AutoscalerPolicyStatus(conditions=before)).conditions


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("10: [spot]", "True", ""),
        (
            "10: [spot]\n20: ['*[']",
            "False",
            "spec.priorities: line 2: '*[' is no regular expression: no argument for repetition operator: *; "
            "until that is mended the expander priority rules nothing out",
        ),
    ],
)
def test_whether_the_priorities_can_be_read(text: str, status: str, message: str) -> None:
    told = find_condition(conditions_of(policy(priorities=text)), ConditionType.PRIORITIES_VALID)
    assert told is not None
    assert (told.status.value, told.message) == (status, message)


def test_the_condition_goes_with_the_text() -> None:
    before = conditions_of(policy(priorities="10: [spot]"))
    assert [each.type for each in before] == ["Ready", "Degraded", "PrioritiesValid"]
    assert [each.type for each in conditions_of(policy(), before)] == ["Ready", "Degraded"]
    assert conditions_of(policy(priorities="10: [spot]"), before) == before


# --- pods that no group can help ----------------------------------------------------------------------------------


def stuck(view: PoolView, before: AutoscalerPolicyStatus | None = None) -> tuple[StuckPods, ...]:
    seen = snapshot(view, waiting=pending(3, shape(cpu=9000)))
    facts = PassFacts(snapshot=seen, plan=plan(seen), duration=timedelta(0), phases={}, pool_conditions={})
    return policy_status(policy(), facts, before or AutoscalerPolicyStatus()).stuck_pods


def test_stuck_pods_are_counted_by_kind_with_what_is_nearest_to_helping_them() -> None:
    (found,) = stuck(pool("general", group("asg-a")))
    assert found.pod.startswith("default/")
    assert found.count == 3
    assert found.reason.endswith(
        "nearest is general/asg-a: it would do if the pod requested at most 4 cpu instead of 9"
    )


def test_who_is_stuck_is_not_judged_before_the_clouds_were_read() -> None:
    waits = PoolProblem(Reason.NOT_LISTED_YET, "spec.provider", "not read yet", fatal=True)
    unread = pool("general", problems=(waits,))
    assert stuck(unread) == ()
    known = stuck(pool("general", group("asg-a")))
    assert stuck(unread, AutoscalerPolicyStatus(stuck_pods=known)) == known


# --- budgets ------------------------------------------------------------------------------------------------------


def test_budgets_are_shown_with_what_is_in_use() -> None:
    view = policy(
        budgets=[
            {"name": "always", "nodes": 3},
            {"name": "nights", "nodes": 0, "schedule": "0 22 * * *", "duration": "8h"},
        ]
    )
    seen = snapshot(policies=[view])
    facts = PassFacts(snapshot=seen, plan=plan(seen), duration=timedelta(0), phases={}, pool_conditions={})
    assert policy_status(view, facts, AutoscalerPolicyStatus()).to_wire()["budgets"] == [
        {"name": "always", "open": True, "allowed": 3, "inUse": 0},
        {"name": "nights", "open": False, "inUse": 0, "until": "2026-01-01T22:00:00Z"},
    ]
