"""Launch failures from scaling activities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.cluster.groups import FailureClass
from springtide.providers.aws.activities import MAX_MESSAGE, classify_failure, first_sentence, parse_failures

START = datetime(2026, 1, 1, tzinfo=UTC)

NO_CAPACITY = (
    "We currently do not have sufficient m5.xlarge capacity in the Availability Zone you requested (us-east-1a). "
    "Our system will be working on provisioning additional capacity. Launching EC2 instance failed."
)


def activity(id_: str, *, status: str = "Failed", after_s: int = 0, **fields: object) -> dict[str, object]:
    return {
        "ActivityId": id_,
        "StatusCode": status,
        "StartTime": START + timedelta(seconds=after_s),
        "StatusMessage": NO_CAPACITY,
        "Description": "Launching a new EC2 instance.  Status Reason: ...",
        **fields,
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(NO_CAPACITY, FailureClass.OUT_OF_CAPACITY, id="no capacity, plain group"),
        pytest.param(
            f"Could not launch On-Demand Instances. InsufficientInstanceCapacity - {NO_CAPACITY}",
            FailureClass.OUT_OF_CAPACITY,
            id="no capacity, mixed group",
        ),
        pytest.param(
            "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
            "configuration.",
            FailureClass.OUT_OF_CAPACITY,
            id="no spot capacity",
        ),
        pytest.param(
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.",
            FailureClass.QUOTA,
            id="vCPU quota",
        ),
        pytest.param("Max spot instance count exceeded", FailureClass.QUOTA, id="spot quota"),
        pytest.param(
            "The image id '[ami-1]' does not exist. Launching EC2 instance failed.",
            FailureClass.LAUNCH_FAILED,
            id="a wrong image",
        ),
        pytest.param("", FailureClass.LAUNCH_FAILED, id="no message"),
    ],
)
def test_a_failure_is_classified(message: str, expected: FailureClass) -> None:
    assert classify_failure(message) is expected


def test_only_failed_launches_since_the_last_raise_count_oldest_first() -> None:
    failures = parse_failures(
        [
            activity("newest", after_s=30),
            activity("cancelled", status="Cancelled", after_s=20),
            activity("done", status="Successful", after_s=15),
            activity("running", status="InProgress", after_s=15),
            activity("ended", after_s=12, Description="Terminating EC2 instance: i-1"),
            activity("at the raise", after_s=10),
            activity("before", after_s=9),
        ],
        since=START + timedelta(seconds=10),
    )
    assert [failure.id for failure in failures] == ["at the raise", "cancelled", "newest"]


def test_a_cancelled_activity_without_message_says_at_least_that() -> None:
    [failure] = parse_failures([activity("x", status="Cancelled", StatusMessage=None)], since=START)
    assert (failure.message, failure.failure_class) == ("Cancelled", FailureClass.LAUNCH_FAILED)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        pytest.param(
            NO_CAPACITY,
            "We currently do not have sufficient m5.xlarge capacity in the Availability Zone you requested "
            "(us-east-1a).",
            id="dots inside names do not end it",
        ),
        pytest.param(
            "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more. Please visit X.",
            "VcpuLimitExceeded - You have requested more.",
            id="AWS's preamble is no sentence",
        ),
        pytest.param("one\n  line", "one line", id="white space"),
    ],
)
def test_a_message_is_cut_to_its_first_sentence(message: str, sentence: str) -> None:
    assert first_sentence(message) == sentence


def test_an_endless_sentence_is_cut_too() -> None:
    assert len(first_sentence("word " * 1000)) <= MAX_MESSAGE
