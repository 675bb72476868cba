"""The life of instances: launched towards desired, booting, in service, terminated, lost.

Everything happens on the event loop, by timers; nothing is polled.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from devcluster.cloud import activities
from devcluster.cloud.activities import Activity
from devcluster.cloud.failures import Failures, SlowBoot, Vanishes
from devcluster.cloud.model import Definition, Group, Instance, State
from devcluster.cloud.placement import Attempt, Place, victims
from devcluster.cloud.protocol import timestamp

DEPARTED_KEPT = 5000
"""Terminated instances that DescribeInstances still knows; EC2 forgets them after about an hour."""


@dataclass(frozen=True, kw_only=True)
class Timings:
    """How long things take in this cloud, in seconds; the real one needs minutes where this needs moments."""

    launch_s: float = 0.0
    """From SetDesiredCapacity to Pending instances, or to the first Failed activity."""
    boot_s: float = 0.3
    """From Pending to InService."""
    terminate_s: float = 0.2
    """From Terminating to gone."""
    replace_s: float = 0.5
    """From the loss of an instance, or its termination without decrement, to its replacement."""
    retry_s: float = 5.0
    """Between two attempts to launch what could not be launched."""


class EventKind(StrEnum):
    """What can happen to an instance that others must know."""

    IN_SERVICE = "InService"
    GONE = "Gone"


@dataclass(frozen=True)
class FleetEvent:
    """Something happened to an instance just now."""

    kind: EventKind
    instance: Instance


class Fleet:
    """All groups and their instances."""

    def __init__(self, *, timings: Timings, failures: Failures) -> None:
        self.timings = timings
        self.failures = failures
        self.groups: dict[str, Group] = {}
        self.departed: dict[str, Instance] = {}
        self._listeners: list[Callable[[FleetEvent], None]] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._addresses = iter(range(1 << 8, 1 << 24))

    def listen(self, listener: Callable[[FleetEvent], None]) -> None:
        """Call `listener` at every event, on the event loop; it must not block."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Stop all timers; nothing happens any more."""
        for timer in (*self._timers, *self._due.values()):
            timer.cancel()
        self._timers.clear()
        self._due.clear()

    def instance(self, instance_id: str) -> Instance | None:
        """An instance that is in a group now."""
        for group in self.groups.values():
            if instance_id in group.instances:
                return group.instances[instance_id]
        return None

    def define(self, definition: Definition) -> Group:
        """Take over a new or changed definition; desired is kept, and moved inside the bounds."""
        group = self.groups.get(definition.name)
        if group is None:
            group = self.groups[definition.name] = Group(definition, desired=definition.min_size)
        group.definition = definition
        bounded = min(max(group.desired, definition.min_size), definition.max_size)
        if bounded != group.desired:
            self.resize(group, bounded)
        self._reconcile_in(self.timings.launch_s, group)
        return group

    def resize(self, group: Group, desired: int) -> None:
        """Ask for a capacity; returns at once, instances come and go in their own time."""
        if desired > group.desired:
            group.last_request = activities.resize_request(before=group.desired, after=desired)
        group.desired = desired
        self._reconcile_in(self.timings.launch_s, group)

    def terminate(self, instance: Instance, *, decrement: bool, reason: str) -> Activity:
        """Begin to terminate an instance; without decrement it is replaced. Returns the activity."""
        group = self.groups[instance.group]
        before = group.desired
        if decrement:
            group.desired -= 1
        else:
            group.last_request = f"At {timestamp(datetime.now(UTC))} an instance had to be replaced."
        cause = activities.termination_cause(
            instance_id=instance.instance_id, reason=reason, before=before, after=group.desired
        )
        activity = self._begin_termination(group, instance, cause)
        self._reconcile_in(self.timings.replace_s, group)
        return activity

    def lose(self, instance_id: str) -> bool:
        """Let an instance disappear without notice, as a reclaimed or broken one does; False if unknown.

        Its group replaces it, since desired is as before.
        """
        instance = self.instance(instance_id)
        if instance is None:
            return False
        group = self.groups[instance.group]
        group.last_request = activities.failed_health_check()
        activity = self._activity(
            group,
            description=f"Terminating EC2 instance: {instance.instance_id}",
            cause=group.last_request,
            zone=instance.zone,
            subnet_id=instance.subnet_id,
        )
        activity.succeed()
        self._gone(group, instance)
        self._reconcile_in(self.timings.replace_s, group)
        return True

    def rebalance(self, instance: Instance) -> None:
        """Let the group's AZRebalance process replace an instance: it ends though the group's desired is as before."""
        group = self.groups[instance.group]
        group.last_request = activities.rebalancing(zone=instance.zone)
        cause = activities.selected_after_rebalancing(
            zone=instance.zone, instance_id=instance.instance_id, before=len(group.live())
        )
        self._begin_termination(group, instance, cause)
        self._reconcile_in(self.timings.replace_s, group)

    def remove(self, group: Group) -> None:
        """Delete a group and all that is in it."""
        due = self._due.pop(group.name, None)
        if due is not None:
            due.cancel()
        for instance in list(group.instances.values()):
            self._gone(group, instance)
        del self.groups[group.name]

    # Towards desired.

    def _reconcile_in(self, delay_s: float, group: Group) -> None:
        """Compare desired and actual after a delay; an earlier appointment is kept."""
        loop = asyncio.get_running_loop()
        due = self._due.get(group.name)
        if due is not None:
            if due.when() <= loop.time() + delay_s:
                return
            due.cancel()
        self._due[group.name] = loop.call_later(delay_s, self._reconcile, group)

    def _reconcile(self, group: Group) -> None:
        self._due.pop(group.name, None)
        missing = group.desired - len(group.live())
        if missing > 0 and "Launch" not in group.definition.suspended:
            self._grow(group, missing)
        elif missing < 0 and "Terminate" not in group.definition.suspended:
            self._shrink(group, -missing)

    def _grow(self, group: Group, missing: int) -> None:
        attempt = Attempt(group, self.failures)
        before = len(group.live())
        launched = 0
        while launched < missing and (place := attempt.next_place()) is not None:
            self._launch(group, place, before=before, after=before + missing)
            launched += 1
        for place, error in attempt.refused.items():
            activity = self._activity(
                group,
                description="Launching a new EC2 instance",
                cause=activities.launch_cause(
                    request=group.last_request, before=before, after=before + missing
                ),
                zone=place.subnet.zone,
                subnet_id=place.subnet.subnet_id,
            )
            activity.fail(error.status_message(mixed_instances=group.definition.mixed_instances))
        if launched < missing:
            self._reconcile_in(self.timings.retry_s, group)

    def _launch(self, group: Group, place: Place, *, before: int, after: int) -> None:
        address = next(self._addresses)
        instance = Instance(
            instance_id=f"i-{secrets.token_hex(9)[:17]}",
            group=group.name,
            zone=place.subnet.zone,
            subnet_id=place.subnet.subnet_id,
            instance_type=place.instance_type,
            private_ip=f"10.{address >> 16}.{address >> 8 & 255}.{address & 255}",
            launch_template=group.definition.launch_template,
            tags=group.definition.tags,
            protected=group.definition.protects_new_instances,
        )
        instance.launch_activity = self._activity(
            group,
            description=f"Launching a new EC2 instance: {instance.instance_id}",
            cause=activities.launch_cause(request=group.last_request, before=before, after=after),
            zone=instance.zone,
            subnet_id=instance.subnet_id,
        )
        group.instances[instance.instance_id] = instance
        scope = {"group": group.name, "zone": instance.zone, "instance_type": instance.instance_type}
        slow = self.failures.covering(SlowBoot, **scope)
        boot_s = max((rule.seconds for rule in slow), default=self.timings.boot_s)
        self._later(boot_s, lambda: self._in_service(instance))
        for rule in self.failures.covering(Vanishes, **scope):
            self._later(rule.seconds, lambda: self.lose(instance.instance_id))

    def _shrink(self, group: Group, surplus: int) -> None:
        for victim in victims(group, surplus):
            cause = activities.termination_cause(
                instance_id=victim.instance_id,
                reason="a difference between desired and actual capacity",
                before=len(group.live()),
                after=len(group.live()) - 1,
            )
            self._begin_termination(group, victim, cause)

    # One instance.

    def _in_service(self, instance: Instance) -> None:
        if instance.state is not State.PENDING:
            return
        instance.state = State.IN_SERVICE
        if instance.launch_activity is not None:
            instance.launch_activity.succeed()
        self._tell(FleetEvent(EventKind.IN_SERVICE, instance))

    def _begin_termination(self, group: Group, instance: Instance, cause: str) -> Activity:
        activity = self._activity(
            group,
            description=f"Terminating EC2 instance: {instance.instance_id}",
            cause=cause,
            zone=instance.zone,
            subnet_id=instance.subnet_id,
        )
        instance.state = State.TERMINATING

        def end() -> None:
            activity.succeed()
            self._gone(group, instance)

        self._later(self.timings.terminate_s, end)
        return activity

    def _gone(self, group: Group, instance: Instance) -> None:
        if group.instances.pop(instance.instance_id, None) is None:
            return
        if instance.launch_activity is not None:
            instance.launch_activity.cancel()
        instance.state = State.TERMINATED
        self.departed[instance.instance_id] = instance
        if len(self.departed) > DEPARTED_KEPT:
            del self.departed[next(iter(self.departed))]
        self._tell(FleetEvent(EventKind.GONE, instance))

    def _activity(self, group: Group, *, description: str, cause: str, zone: str, subnet_id: str) -> Activity:
        return group.journal.add(
            Activity(group=group.name, description=description, cause=cause, zone=zone, subnet_id=subnet_id)
        )

    def _tell(self, event: FleetEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def _later(self, delay_s: float, action: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            self._timers.discard(handle)
            action()

        handle = loop.call_later(delay_s, run)
        self._timers.add(handle)
