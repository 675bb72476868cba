"""Terminations that meet: several removals, or a removal and a pass, may want the same instance at the same time."""

from __future__ import annotations

import asyncio

import pytest

from springtide.actuation.ports import Fence
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.targets import GroupLocks, TargetMemory
from springtide.actuation.terminations import Terminator
from springtide.cluster.groups import InstanceState
from springtide.leadership.gate import MutationGate
from springtide.providers.base import TerminateOutcome
from springtide.providers.simulated.failures import AnswerLost, Call, FailureRule, SlowCall
from tests.unit.actuation.world import World, clock

pytestmark = pytest.mark.looptime(noop_cycles=1)

FIRST_CALL: dict[str, FailureRule | None] = {
    "it goes well": None,
    "it takes a while": SlowCall(call=Call.TERMINATE, times=1, seconds=5),
    "its answer is lost": AnswerLost(call=Call.TERMINATE, times=1),
    "it does not arrive in time": SlowCall(call=Call.TERMINATE, times=1, seconds=60),
}


@pytest.mark.parametrize("first", FIRST_CALL)
async def test_an_instance_wanted_twice_at_a_time_is_asked_for_once(first: str) -> None:
    world = await World().booted()
    terminator = Terminator(
        fence=Fence(MutationGate.always_open()),
        locks=GroupLocks(),
        targets=TargetMemory(clock),
        settings=ActuationSettings(),
    )
    rule = FIRST_CALL[first]
    if rule is not None:
        world.cloud.set_failure(rule)
    asked_while_going: list[str] = []

    def look(instance: str) -> None:
        if world.group.instances[instance].state is InstanceState.DELETING:
            asked_while_going.append(instance)

    world.provider.before_termination = look
    both = (terminator.terminate(world.pool, "a", [world.node()]) for _ in range(2))
    results = await asyncio.gather(*both)
    gone = {TerminateOutcome.TERMINATED, TerminateOutcome.ALREADY_GONE}
    assert {result[world.node()].outcome for result in results} <= gone
    assert asked_while_going == []
    assert world.group.target == 2
