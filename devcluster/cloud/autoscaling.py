"""Auto Scaling calls about capacity and instances, answered from the fleet with AWS's rules and words."""

from __future__ import annotations

from devcluster.cloud.activities import IN_PROGRESS
from devcluster.cloud.backend import Answer
from devcluster.cloud.fleet import Fleet
from devcluster.cloud.model import Group, State
from devcluster.cloud.protocol import AwsError, Request, Value, autoscaling_answer
from devcluster.cloud.views import autoscaling_instance

MAX_PAGE = 100
"""DescribeScalingActivities gives at most, and by default, 100 records a page (API reference)."""
MAX_INSTANCES_PAGE = 50
"""DescribeAutoScalingInstances gives at most, and by default, 50 records a page (API reference)."""

NOT_MODELLED = (
    *("AttachInstances", "DetachInstances", "EnterStandby", "ExitStandby", "SetInstanceHealth"),
    *("ExecutePolicy", "PutWarmPool", "StartInstanceRefresh"),
)
"""Calls that moto would answer for instances of its own, which it does not have here: better refused."""


class AutoScaling:
    """SetDesiredCapacity, terminations, protection, activities and instance listings."""

    def __init__(self, *, fleet: Fleet) -> None:
        self._fleet = fleet
        self.handlers = {
            "SetDesiredCapacity": self.set_desired_capacity,
            "TerminateInstanceInAutoScalingGroup": self.terminate_instance,
            "SetInstanceProtection": self.set_instance_protection,
            "DescribeScalingActivities": self.describe_scaling_activities,
            "DescribeAutoScalingInstances": self.describe_instances,
            **dict.fromkeys(NOT_MODELLED, self.refuse),
        }

    async def set_desired_capacity(self, request: Request) -> Answer:
        """Acknowledge a capacity inside the bounds; instances follow in their own time."""
        group = self._group(request)
        bounds = group.definition
        desired = request.integer("DesiredCapacity")
        if desired > bounds.max_size:
            raise AwsError(
                "ValidationError",
                f"New SetDesiredCapacity value {desired} is above max value {bounds.max_size} for the "
                "AutoScalingGroup.",
            )
        if desired < bounds.min_size:
            raise AwsError(
                "ValidationError",
                f"New SetDesiredCapacity value {desired} is below min value {bounds.min_size} for the "
                "AutoScalingGroup.",
            )
        if request.flag("HonorCooldown"):
            _refuse_while_busy(group)
        self._fleet.resize(group, desired)
        return Answer(200, autoscaling_answer(request.action))

    async def terminate_instance(self, request: Request) -> Answer:
        """Terminate one named instance, with or without lowering desired."""
        instance_id = request.required("InstanceId")
        instance = self._fleet.instance(instance_id)
        if instance is None:
            raise AwsError(
                "ValidationError",
                f"Instance Id not found - No managed instance found for instance ID: {instance_id}",
            )
        if instance.state is State.TERMINATING:
            # An assumption, AWS does not document it: a repeated call must not decrement twice unseen.
            raise AwsError("ValidationError", f"Instance {instance_id} is not in correct state: Terminating")
        group = self._fleet.groups[instance.group]
        decrement = request.flag("ShouldDecrementDesiredCapacity")
        if decrement and group.desired <= group.definition.min_size:
            raise AwsError(
                "ValidationError",
                f"Currently, desiredSize equals minSize ({group.definition.min_size}). Terminating instance "
                "without replacement will violate group's min size constraint. Either set "
                "shouldDecrementDesiredCapacity flag to false or lower group's min size.",
            )
        activity = self._fleet.terminate(instance, decrement=decrement, reason="a user request")
        return Answer(200, autoscaling_answer(request.action, {"Activity": activity.answer()}))

    async def set_instance_protection(self, request: Request) -> Answer:
        """Protect instances from being chosen at scale-in, or lift that."""
        group = self._group(request)
        for instance_id in request.member_list("InstanceIds"):
            instance = group.instances.get(instance_id)
            if instance is None:
                raise AwsError(
                    "ValidationError",
                    f"The instance {instance_id} is not part of Auto Scaling group {group.name}.",
                )
            instance.protected = request.flag("ProtectedFromScaleIn")
        return Answer(200, autoscaling_answer(request.action, {}))

    async def describe_scaling_activities(self, request: Request) -> Answer:
        """Activities newest first; of one group, or of all."""
        wanted = set(request.member_list("ActivityIds"))
        groups = (
            [self._group(request)]
            if "AutoScalingGroupName" in request.params
            else list(self._fleet.groups.values())
        )
        found = [activity for group in groups for activity in group.journal.newest_first()]
        if len(groups) > 1:
            found.sort(key=lambda activity: activity.started, reverse=True)
        if wanted:
            found = [activity for activity in found if activity.activity_id in wanted]
        ids = [activity.activity_id for activity in found]
        start, end, token = _page(ids, request, limit=MAX_PAGE)
        result: dict[str, Value] = {
            "Activities": [activity.answer() for activity in found[start:end]],
            "NextToken": token,
        }
        return Answer(200, autoscaling_answer(request.action, result))

    async def describe_instances(self, request: Request) -> Answer:
        """The instances of all groups, or the named ones; unknown ids are left out, as AWS does."""
        wanted = request.member_list("InstanceIds")
        found = [
            instance
            for group in self._fleet.groups.values()
            for instance in group.instances.values()
            if not wanted or instance.instance_id in wanted
        ]
        ids = [instance.instance_id for instance in found]
        start, end, token = _page(ids, request, limit=MAX_INSTANCES_PAGE)
        result: dict[str, Value] = {
            "AutoScalingInstances": [autoscaling_instance(instance) for instance in found[start:end]],
            "NextToken": token,
        }
        return Answer(200, autoscaling_answer(request.action, result))

    async def refuse(self, request: Request) -> Answer:
        """Say that the devcluster's cloud cannot do this, rather than pretend."""
        raise AwsError("NotImplemented", f"The devcluster's cloud has no {request.action}.", status=501)

    def _group(self, request: Request) -> Group:
        name = request.required("AutoScalingGroupName")
        group = self._fleet.groups.get(name)
        if group is None:
            raise AwsError(
                "ValidationError",
                f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found",
            )
        return group


def _refuse_while_busy(group: Group) -> None:
    for activity in group.journal.newest_first():
        if activity.status == IN_PROGRESS:
            raise AwsError(
                "ScalingActivityInProgress",
                f"Scaling activity {activity.activity_id} is in progress and blocks this action",
            )


def _page(ids: list[str], request: Request, *, limit: int) -> tuple[int, int, str | None]:
    """Start, end and next token of the page asked for.

    The token is the id of the first element of the next page, so new activities do not shift the pages.
    """
    size = request.integer("MaxRecords", limit)
    if not 1 <= size <= limit:
        raise AwsError("ValidationError", f"MaxRecords must be between 1 and {limit}, not {size}")
    token = request.params.get("NextToken")
    start = 0
    if token:
        if token not in ids:
            raise AwsError("InvalidNextToken", "The token is invalid or has expired")
        start = ids.index(token)
    end = start + size
    return start, end, ids[end] if end < len(ids) else None
