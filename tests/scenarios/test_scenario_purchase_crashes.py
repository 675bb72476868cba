"""Operators that stop, or hear nothing, between writing a purchase down, asking the cloud, and writing the answer down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from springtide.actuation.outcome import PurchaseDeferred, PurchaseFailed
from springtide.cluster.api_errors import ApiError
from springtide.providers.base import AmbiguousError
from springtide.providers.simulated.failures import AnswerLost, Call, CallFails, NeverRegisters, SlowBoot
from tests.scenarios.door import Change, Door
from tests.scenarios.virtual_time import now
from tests.scenarios.world import World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

WRITING = "write status of nodepools"
RAISING = "raise target"


@dataclass
class StopsAt:
    """Stops the process at its first call of a verb once it is armed: before its effect, or after it."""

    verb: str
    after_effect: bool
    armed: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def before(self, change: Change, door: Door) -> None:
        self._consider(change, door, after=False)

    async def after(self, change: Change, door: Door) -> None:
        self._consider(change, door, after=True)

    def _consider(self, change: Change, door: Door, *, after: bool) -> None:
        if self.armed and change.verb == self.verb and after is self.after_effect:
            self.armed = False
            door.closed = True
            self.stopped.set()


@dataclass
class NoStatuses:
    """The API server refuses to write NodePools' statuses while `refusing`."""

    refusing: bool = False

    async def before(self, change: Change, door: Door) -> None:
        if self.refusing and change.verb == WRITING:
            raise ApiError(status=403, reason="Forbidden", message="nodepools/status is forbidden")

    async def after(self, change: Change, door: Door) -> None:
        pass


async def stopped_at(verb: str, *, after_effect: bool, pods: int = 8) -> World:
    """An operator that was to buy for these pods, and was stopped there."""
    keeper = StopsAt(verb, after_effect)
    world = await watched_by(keeper)
    keeper.armed = True
    world.deploy("web", pods)
    async with asyncio.timeout(20):
        await keeper.stopped.wait()
    await world.kill_operator()
    return world


async def watched_by(keeper: StopsAt | NoStatuses) -> World:
    world = World()
    world.doorkeeper = keeper
    return await world.started()


def request(world: World) -> Any:
    return world.status()["groups"][0].get("request")


@pytest.mark.parametrize(
    ("verb", "after_effect", "written", "target"),
    [
        pytest.param(WRITING, False, False, 0, id="before it was written down"),
        pytest.param(WRITING, True, True, 0, id="between writing and call"),
        pytest.param(RAISING, False, True, 0, id="right before the call"),
        pytest.param(RAISING, True, True, 2, id="between call and answer"),
    ],
)
async def test_a_successor_neither_repeats_nor_loses_the_purchase(
    verb: str, after_effect: bool, written: bool, target: int
) -> None:
    world = await stopped_at(verb, after_effect=after_effect)
    assert (request(world) is not None) is written
    assert world.group().target == target
    world.start_operator()
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert world.targets == {"general/a": 2}
    assert len(world.raises) == 1
    await world.after(15)
    assert request(world) is None


async def test_what_is_asked_for_is_told_with_plan_and_pods() -> None:
    world = await stopped_at(RAISING, after_effect=False)
    asked = request(world)
    assert (asked["from"], asked["to"]) == (0, 2)
    assert asked["for"] == ["8 × 1/1Gi (default/ReplicaSet/web)"]
    assert asked["planID"]


async def test_a_purchase_that_was_made_but_not_heard_of_is_overdue_as_of_the_request() -> None:
    keeper = StopsAt(RAISING, after_effect=True)
    world = await watched_by(keeper)
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    keeper.armed = True
    world.cloud.set_failure(NeverRegisters())
    world.deploy("web", 8)
    await world.until(keeper.stopped.is_set, within=10)
    asked = now()
    await world.kill_operator()
    await world.after(minutes(1))
    world.cloud.clear_failure()
    world.start_operator()
    # Provenance survived as well: only what we bought may be given back.
    await world.until(lambda: world.terminated, within=minutes(16))
    assert minutes(15) <= (now() - asked).total_seconds() <= minutes(16)


async def test_pods_that_left_meanwhile_are_not_bought_for() -> None:
    world = await stopped_at(RAISING, after_effect=False)
    world.undeploy("web")
    world.start_operator()
    await world.after(minutes(2))
    assert world.targets == {"general/a": 0}
    assert request(world) is None


async def test_a_human_who_raised_the_target_meanwhile_keeps_what_he_wanted() -> None:
    world = await stopped_at(RAISING, after_effect=False)
    world.cloud.set_target(world.group(), 1)
    world.cloud.set_failure(NeverRegisters())
    world.start_operator()
    await world.until(lambda: world.group().target == 2, within=60)
    await world.after(minutes(20))
    # The first instance is his: nobody may say that it never registered.
    assert "general-a-1" not in world.terminated


async def test_nothing_is_bought_while_the_status_cannot_be_written() -> None:
    keeper = NoStatuses()
    world = await watched_by(keeper)
    keeper.refusing = True
    world.deploy("web", 4)
    await world.after(30)
    assert world.raises == []
    assert world.of(PurchaseDeferred)
    assert "ScaleUpDeferred" in world.event_reasons()
    keeper.refusing = False
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    assert len(world.raises) == 1


async def test_a_pool_deleted_at_that_moment_buys_nothing() -> None:
    world = await World().started()
    await world.after(10)
    world.server.delete("NodePool", ("", "general"))
    world.deploy("web", 4)
    await world.after(20)
    assert world.raises == []


async def test_several_groups_of_a_pool_are_written_down_in_one_write() -> None:
    groups = [group("a", maxSize=1), group("b", maxSize=1, zone="zone-b")]
    world = await World(pools={"general": {"groups": groups}}).started()
    await world.after(10)
    before = len(world.status_writes)
    at_raise: list[int] = []
    world.on_raise = lambda raised: at_raise.append(len(world.status_writes) - before)
    world.deploy("web", 8)
    await world.until(lambda: len(world.raises) == 2, within=10)
    assert at_raise == [1, 1]


async def test_a_lone_pod_waits_for_one_write_more_and_nothing_else() -> None:
    world = await World().started()
    await world.after(60)
    created = now()
    world.deploy("web", 1)
    await world.until(lambda: world.raises, within=5)
    assert (world.raises[0].at - created).total_seconds() < 0.5


async def test_answers_lost_twice_back_the_group_off_and_another_one_serves() -> None:
    groups = [group("a"), group("b", zone="zone-b")]
    world = await World(pools={"general": {"groups": groups}}).started()
    rule = CallFails(call=Call.RAISE_TARGET, group="a", error=AmbiguousError("connection reset"))
    world.cloud.set_failure(rule)
    world.deploy("web", 8)
    await world.until(lambda: world.of(PurchaseFailed), within=30)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    assert world.targets == {"general/a": 0, "general/b": 2}
    statuses = {each["id"]: each for each in world.status()["groups"]}
    assert statuses["a"]["backoff"]["reason"] == "CallRefused"


async def test_answers_lost_twice_of_a_raise_that_worked_make_no_second_purchase() -> None:
    groups = [group("a"), group("b", zone="zone-b", maxSize=0)]
    world = await World(pools={"general": {"groups": groups}}).started()
    world.cloud.set_failure(SlowBoot(seconds=60))
    world.cloud.set_failure(AnswerLost(call=Call.RAISE_TARGET, times=2))
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    assert world.targets["general/a"] == 2
    assert len(world.raises) == 1


async def test_a_spec_that_became_invalid_meanwhile_loses_no_purchase() -> None:
    world = await stopped_at(RAISING, after_effect=True)
    asked = request(world)
    good = world.server.get("NodePool", "general")
    assert good is not None
    world.server.change_spec("NodePool", "general", minSize=5, maxSize=3)
    world.start_operator()
    await world.after(15)
    assert world.condition()["reason"] == "InvalidSpec"
    assert request(world) == asked
    world.server.change_spec("NodePool", "general", minSize=None, maxSize=None)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert len(world.raises) == 1
