"""A policy's conditions: what is said of its priorities."""

from __future__ import annotations

from datetime import timedelta

import pytest

from springtide.api.conditions import Condition, ConditionType, find_condition
from springtide.api.policy_status import AutoscalerPolicyStatus
from springtide.cluster.snapshot import PolicyView
from springtide.planning.planner import plan
from springtide.reporting.policy_status import PassFacts, policy_status
from tests.unit.planning.world import policy, snapshot


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
            "spec.priorities: line 2: '*[' is no regular expression: no argument for repetition operator: *; until that is mended the "
            "expander priority rules nothing out",
        ),
    ],
)
def test_whether_the_priorities_can_be_read(text: str, status: str, message: str) -> None:
    told = find_condition(conditions_of(policy(priorities=text)), ConditionType.PRIORITIES_VALID)
    assert told is not None
    assert (told.status.value, told.message) == (status, message)


def test_the_condition_goes_with_the_text() -> None:
    before = conditions_of(policy(priorities="10: [spot]"))
    assert [each.type for each in before] == ["Ready", "PrioritiesValid"]
    assert [each.type for each in conditions_of(policy(), before)] == ["Ready"]
    assert conditions_of(policy(priorities="10: [spot]"), before) == before
