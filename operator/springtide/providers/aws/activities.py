"""Launch failures, read from a group's scaling activities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from springtide.cluster.groups import FailureClass, LaunchFailure
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region

NEWEST_FIRST = 50
"""Activities read a call; AWS gives the newest first. A group that fails retries every few minutes, one activity a
failed batch, so a page holds far more than one purchase's failures."""

MAX_MESSAGE = 240
"""Characters of a failure's message: it stands in conditions and events."""

_FAILED = ("Failed", "Cancelled")

# EC2's error codes, and phrases of their messages, because activities of plain groups carry the message only.
# Source: "Troubleshoot Amazon EC2 Auto Scaling: EC2 instance launch failures" and EC2's API error codes.
_OUT_OF_CAPACITY = (
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientFreeAddressesInSubnet",
    "ReservationCapacityExceeded",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "do not have sufficient",
    "not enough free addresses",
    "no Spot capacity available",
    "is unsupported in the requested Availability Zone",
    "not supported in your requested Availability Zone",
)
_QUOTA = (
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "VolumeLimitExceeded",
    "LimitExceeded",
    "vCPU limit",
    "instance limit",
    "quota",
    "limit exceeded",
    "instance count exceeded",
    "maximum number of",
)


async def read_failures(region: Region, group: str, *, since: datetime) -> tuple[LaunchFailure, ...]:
    """Launches of the group that failed at or after `since`, oldest first. One page: the newest matter."""
    answer = await region.call(
        Operation.DESCRIBE_ACTIVITIES, AutoScalingGroupName=group, MaxRecords=NEWEST_FIRST
    )
    return parse_failures(answer.get("Activities") or (), since=since)


def parse_failures(activities: Iterable[Mapping[str, Any]], *, since: datetime) -> tuple[LaunchFailure, ...]:
    """The failed launches among these activities that began at or after `since`, oldest first."""
    failures = [
        LaunchFailure(
            id=activity["ActivityId"],
            time=activity["StartTime"].astimezone(UTC),
            failure_class=classify_failure(activity.get("StatusMessage") or ""),
            message=first_sentence(activity.get("StatusMessage") or activity["StatusCode"]),
        )
        for activity in activities
        if activity["StatusCode"] in _FAILED and not _is_termination(activity)
    ]
    return tuple(sorted((f for f in failures if f.time >= since), key=lambda f: (f.time, f.id)))


def classify_failure(message: str) -> FailureClass:
    """What kind of failure a StatusMessage tells of."""
    text = message.lower()
    if any(word.lower() in text for word in _OUT_OF_CAPACITY):
        return FailureClass.OUT_OF_CAPACITY
    if any(word.lower() in text for word in _QUOTA):
        return FailureClass.QUOTA
    return FailureClass.LAUNCH_FAILED


def first_sentence(message: str) -> str:
    """A StatusMessage cut to one readable sentence."""
    line = " ".join(message.split())
    line = re.sub(r"^Could not launch (?:On-Demand|Spot) Instances\. ", "", line)
    # A full stop ends the sentence only before a space and a capital: "m5.large" and "us-east-1a." go on or end it.
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", line, maxsplit=1)[0]
    return sentence if len(sentence) <= MAX_MESSAGE else sentence[: MAX_MESSAGE - 1].rstrip() + "…"


def _is_termination(activity: Mapping[str, Any]) -> bool:
    return str(activity.get("Description") or "").startswith("Terminating")
