"""Scaling activities: what DescribeScalingActivities tells, in AWS's own words.

Source of the texts: AWS's "Troubleshoot Amazon EC2 Auto Scaling: EC2 instance launch failures" and answers of
the real service quoted in public issue trackers.
"""

from __future__ import annotations

import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from devcluster.cloud.protocol import Value, timestamp

KEPT_PER_GROUP = 2000
"""AWS keeps six weeks of activities; a long devcluster run must not grow without bound."""

IN_PROGRESS = "InProgress"
SUCCESSFUL = "Successful"
FAILED = "Failed"
CANCELLED = "Cancelled"


@dataclass(frozen=True)
class LaunchError:
    """Why EC2 refused to launch: the error code and the sentence AWS puts into the activity."""

    code: str
    message: str

    def status_message(self, *, mixed_instances: bool) -> str:
        """The activity's StatusMessage; groups with a mixed instances policy get the code in front."""
        prefix = f"Could not launch On-Demand Instances. {self.code} - " if mixed_instances else ""
        return f"{prefix}{self.message} Launching EC2 instance failed."


def insufficient_capacity(*, instance_type: str, zone: str, other_zones: tuple[str, ...]) -> LaunchError:
    """EC2 has no such instance in this zone now."""
    elsewhere = "by not specifying an Availability Zone in your request"
    if other_zones:
        elsewhere += f" or choosing {', '.join(other_zones)}"
    return LaunchError(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you "
        f"requested ({zone}). Our system will be working on provisioning additional capacity. You can "
        f"currently get {instance_type} capacity {elsewhere}.",
    )


def vcpu_limit_exceeded(*, limit: int) -> LaunchError:
    """The account's quota of vCPUs is used up."""
    return LaunchError(
        "VcpuLimitExceeded",
        f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the "
        "instance bucket that the specified instance type belongs to. Please visit "
        "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    )


@dataclass
class Activity:
    """One scaling activity; it changes while it runs."""

    group: str
    description: str
    cause: str
    zone: str
    subnet_id: str
    status: str = IN_PROGRESS
    status_message: str | None = None
    progress: int = 0
    activity_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None

    def succeed(self) -> None:
        """Close the activity as done."""
        self._end(SUCCESSFUL)

    def fail(self, message: str) -> None:
        """Close the activity as failed for the reason given."""
        self.status_message = message
        self._end(FAILED)

    def cancel(self) -> None:
        """Close the activity, if it still runs, because its instance is not wanted any more."""
        self._end(CANCELLED)

    def _end(self, status: str) -> None:
        if self.ended is None:
            self.status, self.progress, self.ended = status, 100, datetime.now(UTC)

    def answer(self) -> dict[str, Value]:
        """The activity as an element of an answer."""
        return {
            "ActivityId": self.activity_id,
            "AutoScalingGroupName": self.group,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.started,
            "EndTime": self.ended,
            "StatusCode": self.status,
            "StatusMessage": self.status_message,
            "Progress": self.progress,
            "Details": json.dumps({"Subnet ID": self.subnet_id, "Availability Zone": self.zone}),
        }


class Journal:
    """The activities of one group, newest first."""

    def __init__(self) -> None:
        self._activities: deque[Activity] = deque(maxlen=KEPT_PER_GROUP)

    def add(self, activity: Activity) -> Activity:
        """Record an activity; returns it."""
        self._activities.appendleft(activity)
        return activity

    def newest_first(self) -> list[Activity]:
        """All that are kept."""
        return list(self._activities)


def launch_cause(*, request: str, before: int, after: int) -> str:
    """Why an instance was launched; `request` is the sentence about the wish that preceded it."""
    now = timestamp(datetime.now(UTC))
    return (
        f"{request}  At {now} an instance was started in response to a difference between desired and actual "
        f"capacity, increasing the capacity from {before} to {after}."
    )


def resize_request(*, before: int, after: int) -> str:
    """The sentence about a SetDesiredCapacity."""
    return (
        f"At {timestamp(datetime.now(UTC))} a user request explicitly set group desired capacity changing "
        f"the desired capacity from {before} to {after}."
    )


def termination_cause(*, instance_id: str, reason: str, before: int, after: int) -> str:
    """Why an instance was terminated."""
    shrinking = f", shrinking the capacity from {before} to {after}" if after < before else ""
    now = timestamp(datetime.now(UTC))
    return f"At {now} instance {instance_id} was taken out of service in response to {reason}{shrinking}."


def failed_health_check() -> str:
    """Why an instance was given up that EC2 reports as ended."""
    return (
        f"At {timestamp(datetime.now(UTC))} an instance was taken out of service in response to an EC2 "
        "health check indicating it has been terminated or stopped."
    )


def rebalancing(*, zone: str) -> str:
    """The sentence about the AZRebalance process."""
    return (
        f"At {timestamp(datetime.now(UTC))} instances were launched to balance instances in zones {zone} with "
        "other zones resulting in more than desired number of instances in the group."
    )


def selected_after_rebalancing(*, zone: str, instance_id: str, before: int) -> str:
    """Why AZRebalance ended an instance; `before`: how many the group had with the one launched in its place."""
    now = timestamp(datetime.now(UTC))
    return (
        f"{rebalancing(zone=zone)}  At {now} an instance was taken out of service in response to a difference "
        f"between desired and actual capacity, shrinking the capacity from {before + 1} to {before}.  At {now} "
        f"instance {instance_id} was selected for termination."
    )
