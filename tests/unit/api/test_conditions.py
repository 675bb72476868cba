"""Conditions: replaced in place, their transition time kept while the status stays the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from springtide.api.conditions import (
    MAX_CONDITION_MESSAGE,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    find_condition,
    is_true,
    set_condition,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def ready(
    *before: Condition, status: bool, reason: Reason = Reason.ACCEPTED, message: str = "", now: datetime = NOW
) -> tuple[Condition, ...]:
    return set_condition(
        before, ConditionType.READY, status, reason=reason, message=message, generation=3, now=now
    )


def test_a_new_condition_is_added() -> None:
    (condition,) = ready(status=True)
    assert condition.to_wire() == {
        "type": "Ready",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }


def test_the_same_status_keeps_its_transition_time() -> None:
    (condition,) = ready(*ready(status=False), status=False, reason=Reason.PROVIDER_ERROR, now=LATER)
    assert condition.last_transition_time == NOW
    assert condition.reason == "ProviderError"


def test_another_status_is_a_transition() -> None:
    (condition,) = ready(*ready(status=True), status=False, now=LATER)
    assert condition.last_transition_time == LATER


def test_unknown_is_a_status_of_its_own() -> None:
    before = ready(status=False)
    (condition,) = set_condition(
        before,
        ConditionType.READY,
        ConditionStatus.UNKNOWN,
        reason=Reason.STALE_PICTURE,
        message="",
        generation=3,
        now=LATER,
    )
    assert condition.last_transition_time == LATER
    assert not is_true((condition,), ConditionType.READY)


def test_saying_the_same_again_changes_nothing() -> None:
    before = ready(status=True, message="fine", now=NOW + timedelta(microseconds=7))
    assert ready(*before, status=True, message="fine", now=LATER) == before


def test_others_stay_and_order_is_kept() -> None:
    conditions = ready(status=True)
    for kind in (ConditionType.AT_MAX, ConditionType.READY):
        conditions = set_condition(
            conditions, kind, False, reason=Reason.WITHIN_BOUNDS, message="", generation=3, now=NOW
        )
    assert [condition.type for condition in conditions] == ["Ready", "AtMax"]


def test_long_messages_are_cut() -> None:
    (condition,) = ready(status=True, message="x" * 5000)
    assert len(condition.message) == MAX_CONDITION_MESSAGE
    assert condition.message.endswith("…")


def test_finding() -> None:
    conditions = ready(status=True)
    assert find_condition(conditions, ConditionType.READY) == conditions[0]
    assert find_condition(conditions, ConditionType.AT_MAX) is None
    assert is_true(conditions, ConditionType.READY)
    assert not is_true(conditions, ConditionType.AT_MAX)


def test_reasons_are_what_kubernetes_accepts() -> None:
    for reason in Reason:
        assert reason.value[0].isupper()
        assert reason.value.isalpha()
