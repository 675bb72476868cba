"""Text of clouds, API servers and users: shown on one line, bounded, and without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.api.conditions import MAX_CONDITION_MESSAGE, ConditionType, Reason, set_condition
from springtide.api.foreign_text import MOST_READ, shown, visible, without_secrets
from springtide.api.nodepool_status import GroupError
from springtide.api.scalars import MAX_TEXT
from tests.hostile import NOW, SECRETS, hostile_text


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_hidden(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in without_secrets(text)
    assert secret not in shown(text, at_most=2048)


@pytest.mark.parametrize(
    "text",
    [
        "ExpiredToken: The security token included in the request is expired",
        "MissingAuthenticationToken: Request is missing Authentication Token",
        "the token or certificate is wrong or has expired: renew it, check --kubeconfig and --context",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "GET /api/v1/nodes: cannot connect to 10.0.0.1:443: Connection refused",
        "tag k8s.io/cluster-autoscaler/node-template/resources/cpu=4x: not a quantity",
        "User: arn:aws:iam::aws:policy/ReadOnly is not authorized to perform: autoscaling:SetDesiredCapacity",
        "cannot be used with basic authentication",
        "Scale-up plan: general/asg-a 4->5 (max 8) for 3 pods",
    ],
)
def test_what_users_need_to_read_stays(text: str) -> None:
    assert shown(text, at_most=300) == text


def test_two_accounts_can_still_be_told_apart_and_the_role_is_named() -> None:
    text = "User: arn:aws:sts::123456789012:assumed-role/springtide/pod is not authorized"
    assert (
        shown(text, at_most=300) == "User: arn:aws:sts::***9012:assumed-role/springtide/pod is not authorized"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("one\ntwo\r\n  three\t", "one two three", id="lines"),
        pytest.param("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m", id="terminal colours"),
        pytest.param("\x9b2J", r"\x9b2J", id="an eight-bit control sequence"),
        pytest.param("exe\u202etxt.", r"exe\u202etxt.", id="right-to-left override"),
        pytest.param("a\u200bb\ufeff", r"a\u200bb\ufeff", id="zero width"),
        pytest.param("a\u2028b", "a b", id="a line separator"),
        pytest.param("\ud800", r"\ud800", id="half a surrogate pair"),
        pytest.param("Zürich, 東京, ✔", "Zürich, 東京, ✔", id="other scripts stay"),
    ],
)
def test_only_what_prints_is_shown(text: str, expected: str) -> None:
    assert shown(text, at_most=300) == expected


@settings(deadline=None)
@given(hostile_text(), st.integers(8, 4096))
def test_whatever_it_is_one_bounded_printable_line_comes_out(text: str, at_most: int) -> None:
    line = shown(text, at_most=at_most)
    assert len(line) <= at_most
    assert line.isprintable()
    line.encode("utf-8")


@settings(deadline=None)
@given(hostile_text())
def test_what_was_shown_is_shown_unchanged(text: str) -> None:
    """Else a status read back would differ from the one written, and be written again by every pass."""
    once = shown(text, at_most=MAX_TEXT)
    assert shown(once, at_most=MAX_TEXT) == once


@settings(deadline=None)
@given(hostile_text())
def test_what_does_not_print_is_spelled_out_and_nothing_else_changes(text: str) -> None:
    kept = "".join(char for char in text if char.isprintable())
    assert visible(kept) == kept
    assert visible(text).isprintable()
    assert len(visible(text)) >= len(text)


def test_a_message_of_megabytes_costs_no_more_than_its_beginning() -> None:
    assert len(without_secrets("x" * 10_000_000)) == MOST_READ
    assert len(shown("https://" * 1_000_000, at_most=100)) == 100


@settings(deadline=None)
@given(hostile_text())
def test_conditions_and_status_messages_are_cut_rather_than_refused(text: str) -> None:
    (condition,) = set_condition(
        (), ConditionType.READY, False, reason=Reason.PROVIDER_ERROR, message=text, generation=1, now=NOW
    )
    assert len(condition.message) <= MAX_CONDITION_MESSAGE
    assert condition.message.isprintable()
    error = GroupError(time=NOW, message=text)
    assert len(error.message) <= MAX_TEXT
    assert GroupError.model_validate(error.to_wire()) == error
