"""When a condition changes, log and `kubectl describe` say so: once, and with the condition's own words."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from springtide.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from springtide.reporting.condition_notes import condition_notes

READY, REACHABLE, DEGRADED = (
    ConditionType.READY,
    ConditionType.PROVIDER_REACHABLE,
    ConditionType.DEGRADED,
)


def condition(kind: ConditionType, holds: bool, reason: Reason, message: str = "") -> Condition:
    return Condition(
        type=kind.value,
        status=ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
        reason=reason.value,
        message=message,
        last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
    )


GOOD = (
    condition(READY, True, Reason.ACCEPTED, "managing 1 node group"),
    condition(REACHABLE, True, Reason.LISTED),
    condition(DEGRADED, False, Reason.AS_EXPECTED),
)
DENIED = condition(REACHABLE, False, Reason.CREDENTIALS_DENIED, "renew them")


def told(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> list[tuple[str, str, int]]:
    notes = condition_notes("general", before, after, plan_id="p1")
    return [(note.reason, note.message, note.level) for note in notes]


def test_what_stays_the_same_is_not_told_again() -> None:
    assert told(GOOD, GOOD) == []


def test_a_new_pool_is_told_to_be_ready_and_nothing_else() -> None:
    assert told((), GOOD) == [("Accepted", "NodePool general is ready: managing 1 node group", logging.INFO)]


def test_before_the_cloud_was_read_nothing_is_told() -> None:
    unread = tuple(condition(kind, False, Reason.NOT_LISTED_YET) for kind in (READY, REACHABLE))
    assert told((), unread) == []
    assert [reason for reason, _, _ in told(unread, GOOD)] == ["Accepted"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(
            (condition(READY, False, Reason.POLICY_NOT_FOUND, "create it"), *GOOD[1:]),
            ("PolicyNotFound", "NodePool general is not ready: create it"),
            id="not ready",
        ),
        pytest.param(
            (GOOD[0], DENIED, GOOD[2]),
            ("CredentialsDenied", "NodePool general cannot be read from its cloud: renew them"),
            id="unreachable",
        ),
        pytest.param(
            (*GOOD[:2], condition(DEGRADED, True, Reason.GROUP_NOT_FOUND, "correct the name")),
            ("GroupNotFound", "NodePool general is degraded: correct the name"),
            id="degraded",
        ),
    ],
)
def test_what_goes_wrong_is_a_warning_and_its_end_is_told(
    after: tuple[Condition, ...], expected: tuple[str, str]
) -> None:
    assert told(GOOD, after) == [(*expected, logging.WARNING)]
    assert [level for _, _, level in told(after, GOOD)] == [logging.INFO]


def test_one_cause_of_two_conditions_is_told_once() -> None:
    never_read = (condition(READY, False, Reason.CREDENTIALS_DENIED, "renew them"), DENIED)
    assert [reason for reason, _, _ in told((), never_read)] == ["CredentialsDenied"]


def test_it_is_no_decision() -> None:
    assert not any(note.decides for note in condition_notes("general", (), GOOD, plan_id="p1"))
