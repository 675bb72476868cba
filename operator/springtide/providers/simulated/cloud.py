"""The simulated cloud itself: groups that follow their targets, with boot delays and failures.

Time is the running event loop's, so virtual time works; timestamps come from the injected clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from springtide.cluster.groups import Instance, InstanceState, LaunchFailure, Template
from springtide.providers.simulated.failures import (
    FailureRule,
    LaunchesFail,
    NeverRegisters,
    SlowBoot,
    Vanishes,
)

RETRY_S = 60.0
"""Between two attempts to launch what could not be launched."""
TERMINATION_S = 5.0
"""From the order to terminate until the instance is gone."""

R = TypeVar("R", bound=FailureRule)
GroupKey = tuple[str, str]
"""Pool and group name: simulated groups are private to their pool."""


@dataclass(slots=True, eq=False)
class SimulatedInstance:
    """One machine."""

    id: str
    group: SimulatedGroup
    launched_at: datetime
    registers: bool = True
    """Whether a Node comes of it."""
    state: InstanceState = InstanceState.PENDING
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def zone(self) -> str:
        """Its group's zone."""
        return self.group.zone

    @property
    def provider_id(self) -> str:
        """What stands in the Node's spec.providerID."""
        return f"simulated:///{self.zone}/{self.id}"

    def record(self) -> Instance:
        """As the provider protocol shows it."""
        return Instance(id=self.id, provider_id=self.provider_id, state=self.state, zone=self.zone)


@dataclass(slots=True, eq=False, kw_only=True)
class SimulatedGroup:
    """One node group; changed in place by the cloud."""

    pool: str
    name: str
    zone: str
    min_size: int
    max_size: int
    template: Template
    boot_delay_s: float = 30.0
    available: int | None = None
    """Machines that exist for it in all; None = any number."""
    target: int = 0
    instances: dict[str, SimulatedInstance] = field(default_factory=dict)
    failures: list[LaunchFailure] = field(default_factory=list)
    launched: int = 0
    retry: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> int:
        """Instances that exist and are not going away."""
        return sum(1 for instance in self.instances.values() if instance.state is not InstanceState.DELETING)


class SimulatedCloud:
    """All simulated groups of a process.

    `on_instance_running` is told of each instance whose node would register now, `on_instance_gone` of each
    that ended for whatever reason: test harnesses create and delete Node records in them.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_instance_running: Callable[[SimulatedInstance], None] = lambda instance: None,
        on_instance_gone: Callable[[SimulatedInstance], None] = lambda instance: None,
        retry_s: float = RETRY_S,
        termination_s: float = TERMINATION_S,
    ) -> None:
        self.clock = clock
        self.on_instance_running = on_instance_running
        self.on_instance_gone = on_instance_gone
        self.groups: dict[GroupKey, SimulatedGroup] = {}
        self._retry_s = retry_s
        self._termination_s = termination_s
        self._rules: list[FailureRule] = []
        self._failures_seen = 0

    # --- rules
    # ---------------------------------------------------------------------------------------------------

    def set_failure(self, rule: R) -> R:
        """Put a rule in force; returns it, as the handle to lift it by."""
        self._rules.append(rule)
        return rule

    def clear_failure(self, rule: FailureRule | None = None) -> None:
        """Lift a rule, or all; groups that lack instances try again at once."""
        self._rules = [known for known in self._rules if rule is not None and known is not rule]
        for group in self.groups.values():
            self._follow(group)

    def rules(self, kind: type[R], *, pool: str, group: str | None) -> Iterator[R]:
        """The rules of a kind in force for a group (None: for the pool as a whole)."""
        for rule in self._rules:
            if isinstance(rule, kind) and rule.covers(pool=pool, group=group):
                yield rule

    # --- groups
    # --------------------------------------------------------------------------------------------------

    def add(self, group: SimulatedGroup) -> SimulatedGroup:
        """Create a group; one of that pool and name must not exist. It fills up to its target or minimum."""
        key = (group.pool, group.name)
        if key in self.groups:
            raise ValueError(f"simulated group {group.pool}/{group.name} exists")
        self.groups[key] = group
        self.set_target(group, max(group.target, group.min_size))
        return group

    def group(self, pool: str, name: str) -> SimulatedGroup:
        """The group; KeyError when there is none."""
        return self.groups[pool, name]

    @property
    def instances(self) -> tuple[SimulatedInstance, ...]:
        """All instances of all groups, in order of launch within each group."""
        return tuple(instance for group in self.groups.values() for instance in group.instances.values())

    def set_target(self, group: SimulatedGroup, target: int) -> None:
        """Change the target, by whomever; the group follows. As in real clouds, a target below the
        instances ends
        the oldest ones, undrained."""
        group.target = target
        self._follow(group)
        doomed = [i for i in group.instances.values() if i.state is not InstanceState.DELETING]
        for instance in doomed[: max(0, len(doomed) - target)]:
            self._end(instance)

    def terminate(self, instance: SimulatedInstance) -> None:
        """End an instance and lower its group's target by one."""
        instance.group.target -= 1
        self._end(instance)

    def lose(self, instance: SimulatedInstance) -> None:
        """Make an instance disappear without notice; its group replaces it."""
        self._remove(instance)
        self._follow(instance.group)

    # --- what happens by itself
    # ----------------------------------------------------------------------------------

    def _follow(self, group: SimulatedGroup) -> None:
        """Launch what the target asks for; on failure try again later."""
        if group.retry is not None:
            group.retry.cancel()
            group.retry = None
        while group.alive < group.target:
            refusal = self._refusal(group)
            if refusal is not None:
                self._failures_seen += 1
                group.failures.append(
                    LaunchFailure(
                        id=f"{group.pool}-{group.name}-failure-{self._failures_seen}",
                        time=self.clock(),
                        failure_class=refusal.failure_class,
                        message=refusal.message,
                    )
                )
                group.retry = asyncio.get_running_loop().call_later(self._retry_s, self._follow, group)
                return
            self._launch(group)

    def _refusal(self, group: SimulatedGroup) -> LaunchesFail | None:
        """The rule that forbids a launch now; a launch that is allowed uses up what rules leave."""
        if group.available is not None and len(group.instances) >= group.available:
            return LaunchesFail()
        rules = list(self.rules(LaunchesFail, pool=group.pool, group=group.name))
        for rule in rules:
            if rule.available <= 0:
                return rule
        for rule in rules:
            rule.available -= 1
        return None

    def _launch(self, group: SimulatedGroup) -> None:
        group.launched += 1
        covered = {"pool": group.pool, "group": group.name}
        instance = SimulatedInstance(
            id=f"{group.pool}-{group.name}-{group.launched}",
            group=group,
            launched_at=self.clock(),
            registers=not any(self.rules(NeverRegisters, **covered)),
        )
        group.instances[instance.id] = instance
        slow = [rule.seconds for rule in self.rules(SlowBoot, **covered)]
        self._later(instance, max(slow, default=group.boot_delay_s), self._run)
        for rule in self.rules(Vanishes, **covered):
            self._later(instance, rule.seconds, self.lose)

    def _run(self, instance: SimulatedInstance) -> None:
        instance.state = InstanceState.RUNNING
        if instance.registers:
            self.on_instance_running(instance)

    def _end(self, instance: SimulatedInstance) -> None:
        if instance.state is InstanceState.DELETING:
            return
        self._cancel(instance)
        instance.state = InstanceState.DELETING
        self._later(instance, self._termination_s, self._remove)

    def _remove(self, instance: SimulatedInstance) -> None:
        self._cancel(instance)
        if instance.group.instances.pop(instance.id, None) is not None:
            self.on_instance_gone(instance)

    def _later(
        self, instance: SimulatedInstance, seconds: float, then: Callable[[SimulatedInstance], None]
    ) -> None:
        instance.timers.append(asyncio.get_running_loop().call_later(seconds, then, instance))

    def _cancel(self, instance: SimulatedInstance) -> None:
        for timer in instance.timers:
            timer.cancel()
        instance.timers.clear()
