"""Removals under fire: whatever fails, and wherever the process is killed, nothing is lost and nothing is left behind.

What must hold in the end: an instance was terminated at most once, and only when no pod needed its node any more; a
node that stays looks exactly as before, a human's cordon included.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.actuation.outcome import (
    RemovalDone,
    RemovalResumed,
    RemovalRolledBack,
    RollbackReason,
)
from springtide.actuation.residents import needs_a_place
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.groups import InstanceState
from springtide.providers.simulated.failures import AnswerLost, Call
from tests.unit.actuation.world import HARD, World, blocked_by_budget, clock, pod

Prepare = Callable[[World], None]


def nothing(world: World) -> None:
    """An empty node."""


def pods(world: World) -> None:
    world.with_pods(pod("web-1"), pod("web-2", termination_grace_seconds=5), pod("agent", kind="DaemonSet"))


def human_cordon(world: World) -> None:
    world.nodes.edit(world.node(), {"spec": {"unschedulable": True}})
    world.with_pods(pod("web-1"))


def lost_answer(world: World) -> None:
    world.cloud.set_failure(AnswerLost(call=Call.TERMINATE, times=1))


def stuck_pod(world: World) -> None:
    world.with_pods(pod("web-1"))
    world.nodes.stubborn.add("web-1")


def refused_eviction(world: World) -> None:
    human_cordon(world)
    world.nodes.fail("evict", blocked_by_budget(), times=1000)


class Trial:
    """One removal of one node, watched for what must never happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.before = copy.deepcopy(world.object())
        self.target_before = world.group.target
        world.provider.before_termination = self._check_nobody_is_left
        world.pauses.passed = 0

    def start(self) -> None:
        self.world.apply(removals=(self.world.removal(),))

    async def halted_or_quiet(self) -> bool:
        """True when the world stopped its caller."""
        pauses = self.world.pauses
        await self.world.until(lambda: pauses.halted.is_set() or not self.world.actuator.in_flight.removals)
        return pauses.halted.is_set()

    async def kill(self, *, next_halt: int | None) -> None:
        """End the process where it stands, and start another that knows nothing."""
        await self.world.actuator.stop(grace=0)
        pauses = self.world.pauses
        pauses.halted.clear()
        pauses.passed, pauses.halt_at = 0, next_halt
        self.world.new_actuator()

    async def resume_until_settled(self) -> None:
        """As passes do it: every ten seconds, for three hours at most."""
        for _ in range(1080):
            self.world.resume()
            await asyncio.sleep(10)
            if self.world.pauses.halted.is_set() or self.is_settled():
                return
        raise AssertionError(f"never settled: {self.world.outcomes[-3:]}")

    def is_settled(self) -> bool:
        world = self.world
        if world.actuator.in_flight.removals:
            return False
        return world.node() not in world.nodes.objects or world.phase() == ""

    def check(self) -> None:
        world = self.world
        assert world.provider.terminations.count(world.node()) <= 1
        if world.node() in world.nodes.objects:
            now = world.object()
            assert now["spec"] == self.before["spec"]
            assert not now["metadata"].get("annotations")
            assert world.group.target == self.target_before
            assert world.group.instances[world.node()].state is InstanceState.RUNNING
        else:
            assert world.provider.terminations == [world.node()]
            assert world.group.target == self.target_before - 1

    def _check_nobody_is_left(self, instance: str) -> None:
        left = [
            record.name
            for node, record in self.world.nodes.pods.values()
            if node == instance and needs_a_place(record, now=clock(), expendable_below=-10)
        ]
        assert left == [], f"terminated under {left}"


@pytest.mark.looptime
@pytest.mark.parametrize("prepare", [nothing, pods, human_cordon, lost_answer, stuck_pod, refused_eviction])
async def test_killed_at_every_single_point_and_resumed(prepare: Prepare) -> None:
    for point in itertools.count(1):
        # Seldom looks at pods make few points that are all alike.
        world = await World(settings=ActuationSettings(pod_poll_interval=15)).booted()
        prepare(world)
        trial = Trial(world)
        world.pauses.halt_at = point
        trial.start()
        if not await trial.halted_or_quiet():
            trial.check()
            break
        await trial.kill(next_halt=None)
        await trial.resume_until_settled()
        trial.check()
    assert point > 15, "the removal must have been killed at many points"


@pytest.mark.looptime
@pytest.mark.parametrize("phase", ["Tainted", "Draining", "Terminating"])
@pytest.mark.parametrize("lands", [False, True])
async def test_resumed_from_each_phase_with_and_without_a_new_pod(phase: str, lands: bool) -> None:
    world = await World().booted()
    pods(world)
    if phase == "Draining":
        world.nodes.stubborn.add("web-1")
    trial = Trial(world)
    trial.start()
    await world.until(lambda: world.phase() == phase, step=0.005)
    await trial.kill(next_halt=None)
    world.nodes.stubborn.clear()
    if lands:
        world.with_pods(pod("late"))
    await trial.resume_until_settled()
    trial.check()
    assert world.of(RemovalResumed)
    if lands:
        assert world.of(RemovalRolledBack)[0].reason is RollbackReason.NEW_POD
    else:
        assert world.of(RemovalDone)


operations = st.sampled_from(["read", "patch", "pods_on", "evict"])
faults = st.lists(st.tuples(operations, st.booleans(), st.integers(1, 12)), max_size=4)


@given(
    kills=st.lists(st.integers(1, 40), max_size=4),
    faults=faults,
    workload=st.sampled_from([nothing, pods, human_cordon, lost_answer, stuck_pod]),
    lands_after=st.one_of(st.none(), st.floats(0, 20)),
)
@settings(max_examples=100, deadline=None)
def test_any_sequence_of_kills_and_faults(
    kills: list[int],
    faults: list[tuple[str, bool, int]],
    workload: Prepare,
    lands_after: float | None,
) -> None:
    async def trial_run() -> None:
        world = await World().booted()
        workload(world)
        trial = Trial(world)
        for operation, lost, times in faults:
            if lost:
                world.nodes.lose(operation, times=times)
            else:
                world.nodes.fail(operation, times=times)
        if lands_after is not None:
            asyncio.get_running_loop().call_later(lands_after, _land, world)
        points = iter(kills)
        world.pauses.halt_at = next(points, None)
        trial.start()
        await trial.halted_or_quiet()
        while world.pauses.halted.is_set():
            await trial.kill(next_halt=next(points, None))
            await trial.resume_until_settled()
        await trial.resume_until_settled()
        trial.check()

    in_virtual_time(trial_run)


def _land(world: World) -> None:
    # A pod with a blanket toleration, or one that the scheduler had bound before it saw the taint.
    if world.node() in world.nodes.objects and world.phase() in ("", "Tainted"):
        world.with_pods(pod("late"))


def in_virtual_time(work: Callable[[], Awaitable[Any]]) -> None:
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


@pytest.mark.looptime
async def test_others_writing_to_the_node_all_the_time_do_not_stop_a_removal() -> None:
    world = await World().booted()
    pods(world)
    trial = Trial(world)

    def kubelet() -> None:
        if world.node() in world.nodes.objects:
            world.nodes.touch(world.node())
            asyncio.get_running_loop().call_later(0.5, kubelet)

    kubelet()
    trial.start()
    await world.quiet()
    assert world.of(RemovalDone)


@pytest.mark.looptime
@pytest.mark.parametrize("operation", ["read", "patch", "pods_on", "evict"])
async def test_a_server_in_trouble_for_three_seconds_stops_no_removal(operation: str) -> None:
    world = await World().booted()
    pods(world)
    trial = Trial(world)
    trial.start()
    await asyncio.sleep(4)
    world.nodes.fail(operation, times=3)
    await world.quiet()
    trial.check()
    assert world.of(RemovalDone)


@pytest.mark.looptime
async def test_a_server_in_trouble_for_long_keeps_the_marks_until_it_is_well_again() -> None:
    world = await World().booted()
    pods(world)
    trial = Trial(world)
    trial.start()
    await asyncio.sleep(3)
    for operation in ("read", "patch", "pods_on", "evict"):
        world.nodes.fail(operation, times=100_000)
    await world.quiet()
    assert {taint["key"] for taint in world.object()["spec"]["taints"]} == {"gpu", HARD}
    world.nodes.heal()
    await trial.resume_until_settled()
    trial.check()


@pytest.mark.looptime
async def test_ten_removals_at_once_do_not_get_in_each_others_way() -> None:
    world = await World(size=10).booted()
    for number in range(1, 11):
        world.with_pods(pod(), pod(), number=number)
    wanted = tuple(world.removal(number=number) for number in range(1, 11))
    world.nodes.fail("evict", blocked_by_budget(), times=30)
    world.apply(removals=wanted)
    await world.quiet()
    assert len(world.of(RemovalDone)) == 10
    assert world.group.target == 0
    assert sorted(world.provider.terminations) == sorted(world.node(number) for number in range(1, 11))


@pytest.mark.looptime
async def test_a_node_that_vanishes_by_itself_ends_its_removal() -> None:
    world = await World().booted()
    world.with_pods(replace(pod("web-1"), termination_grace_seconds=60))
    world.nodes.stubborn.add("web-1")
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(20)
    world.cloud.lose(world.group.instances[world.node()])
    await world.quiet()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.NODE_GONE
    assert world.provider.terminations == []
