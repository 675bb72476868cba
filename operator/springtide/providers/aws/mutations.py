"""Changing Auto Scaling groups: raise and cancel by SetDesiredCapacity, terminate named instances.

Each begins with a fresh read, sends at most what that read allows, and is never retried here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from springtide.cluster.groups import Instance, InstanceState
from springtide.providers.aws.acknowledged import Acknowledged
from springtide.providers.aws.groups import AutoScalingGroup, read_by_names
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.losses import Losses
from springtide.providers.aws.session import Answer, Region, answered_at
from springtide.providers.base import (
    AmbiguousError,
    Lifecycle,
    RefusedError,
    TargetChange,
    TerminateOutcome,
    TerminateResult,
)
from springtide.providers.termination import terminate_each

_TERMINATED = "terminated"
_GONE_STATES = frozenset({"shutting-down", _TERMINATED})
"""EC2 instance states of no return."""


class Mutations:
    """Changes to the groups of one region. Those of one group are serialised by the caller."""

    def __init__(
        self, region: Region, acknowledged: Acknowledged, losses: Losses, *, clock: Callable[[], datetime]
    ) -> None:
        self._region = region
        self._acknowledged = acknowledged
        self._losses = losses
        self._clock = clock

    async def raise_target(self, name: str, *, expected: int, to: int) -> TargetChange:
        """See Provider.raise_target."""
        group = await self._fresh(name)
        before = group.desired
        if before >= to:
            return TargetChange(before=before, after=before)
        if before != expected:
            raise RefusedError(
                f"Auto Scaling group {name}: the desired capacity is {before}, not {expected} as when this was decided"
            )
        if to > group.max_size:
            raise RefusedError(f"Auto Scaling group {name}: {to} is above its maximum of {group.max_size}")
        answer = await self._set(group, to)
        self._acknowledged.raised(name, at=answered_at(answer) or self._clock())
        return TargetChange(before=before, after=to)

    async def cancel_unfulfilled(self, name: str, *, to: int) -> TargetChange:
        """See Provider.cancel_unfulfilled.

        An instance that AWS launches between the read and the change is the remaining risk; it shows in the group as
        Pending from the moment it is asked for, so the window is the time of one call.
        """
        group = await self._fresh(name)
        floor = max(to, group.alive, group.min_size)
        if floor >= group.desired:
            return TargetChange(before=group.desired, after=group.desired)
        await self._set(group, floor)
        return TargetChange(before=group.desired, after=floor)

    async def terminate(self, name: str, instance_ids: Sequence[str]) -> Mapping[str, TerminateResult]:
        """See Provider.terminate. One call an instance: AWS has no other that lowers the desired capacity too."""
        group = await self._fresh(name)
        absent = await self._not_in_group(
            group, [wanted for wanted in instance_ids if group.instance(wanted) is None]
        )
        desired = group.desired

        async def one(instance_id: str) -> TerminateResult:
            nonlocal desired
            if instance_id in absent:
                return absent[instance_id]
            result = await self._terminate_one(replace(group, desired=desired), instance_id)
            if result.outcome is TerminateOutcome.TERMINATED:
                desired -= 1
            return result

        return await terminate_each(instance_ids, one)

    async def lifecycles(self, name: str, instance_ids: Sequence[str]) -> Mapping[str, Lifecycle]:
        """See Provider.lifecycles. By both services: a group keeps an instance in Terminating:Wait whose machine runs,
        and an instance that left its group may run on."""
        group = (await read_by_names(self._region, [name])).get(name)
        machines = await self._machines(instance_ids)
        members = {each: group.instance(each) if group is not None else None for each in instance_ids}
        return {each: lifecycle_of(members[each], machine=machines.get(each)) for each in instance_ids}

    async def _terminate_one(self, group: AutoScalingGroup, instance_id: str) -> TerminateResult:
        instance = group.instance(instance_id)
        if instance is None or instance.state is InstanceState.DELETING:
            return TerminateResult(
                TerminateOutcome.ALREADY_GONE, f"instance {instance_id} is terminating already"
            )
        if group.desired - 1 < group.min_size:
            why = f"would bring Auto Scaling group {group.name} below its minimum of {group.min_size}"
            return TerminateResult(TerminateOutcome.REFUSED, why)
        self._losses.expect(instance_id)
        try:
            await self._region.call(
                Operation.TERMINATE_INSTANCE, InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
            )
        except RefusedError as error:
            return TerminateResult(TerminateOutcome.REFUSED, str(error))
        except AmbiguousError:
            self._acknowledged.perhaps(group.name, after=group.desired - 1)
            raise
        self._acknowledged.changed(group.name, before=group.desired, after=group.desired - 1)
        return TerminateResult(TerminateOutcome.TERMINATED)

    async def _not_in_group(
        self, group: AutoScalingGroup, ids: Collection[str]
    ) -> dict[str, TerminateResult]:
        """Tell instances that are gone from those that live elsewhere (detached, in standby, of another group)."""
        if not ids:
            return {}
        states = await self._machines(ids)
        return {name: _elsewhere(name, state=states.get(name, _TERMINATED), group=group.name) for name in ids}

    async def _machines(self, ids: Collection[str]) -> dict[str, str]:
        """State of each instance that EC2 knows; terminated ones it forgets after about an hour."""
        reservations = await self._region.pages(
            Operation.DESCRIBE_INSTANCES,
            items="Reservations",
            # By filter: naming one unknown id in InstanceIds fails the whole call.
            Filters=[{"Name": "instance-id", "Values": sorted(ids)}],
        )
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in reservations
            for instance in reservation["Instances"]
        }

    async def _set(self, group: AutoScalingGroup, capacity: int) -> Answer:
        try:
            answer = await self._region.call(
                Operation.SET_DESIRED_CAPACITY,
                AutoScalingGroupName=group.name,
                DesiredCapacity=capacity,
                # The cool-down is for scaling policies; ours is planned.
                HonorCooldown=False,
            )
        except AmbiguousError:
            self._acknowledged.perhaps(group.name, after=capacity)
            raise
        self._acknowledged.changed(group.name, before=group.desired, after=capacity)
        return answer

    async def _fresh(self, name: str) -> AutoScalingGroup:
        group = (await read_by_names(self._region, [name])).get(name)
        if group is None:
            raise RefusedError(f"there is no Auto Scaling group {name!r} in {self._region.name} any more")
        return replace(group, desired=self._acknowledged.desired(name, group.desired))


def lifecycle_of(member: Instance | None, *, machine: str | None) -> Lifecycle:
    """`member`: as its group has it; `machine`: its state in EC2, None if that does not know it."""
    if machine in _GONE_STATES:
        return Lifecycle.TERMINATED if machine == _TERMINATED else Lifecycle.TERMINATING
    if member is None:
        return Lifecycle.TERMINATED if machine is None else Lifecycle.ALIVE
    # A group shows an instance some seconds before EC2 does.
    return Lifecycle.TERMINATING if member.state is InstanceState.DELETING else Lifecycle.ALIVE


def _elsewhere(instance_id: str, *, state: str, group: str) -> TerminateResult:
    if state in _GONE_STATES:
        return TerminateResult(
            TerminateOutcome.ALREADY_GONE, f"instance {instance_id} does not exist any more"
        )
    return TerminateResult(
        TerminateOutcome.REFUSED,
        f"instance {instance_id} is not in service in Auto Scaling group {group}: "
        "it was detached, put into standby, or is another group's",
    )
