"""Clouds that have no capacity, lose answers, lie about the present or do not answer at all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from springtide.actuation.outcome import CancellationDone, PurchaseAcknowledged
from springtide.providers.base import ProviderError, ThrottledError
from springtide.providers.simulated.failures import (
    AnswerLost,
    Call,
    CallFails,
    FailureRule,
    NeverRegisters,
    SlowCall,
    no_capacity,
    quota_reached,
)
from tests.scenarios.virtual_time import EPOCH
from tests.scenarios.world import World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

DOWN = ProviderError("the cloud does not answer")


def two_groups(**pool: Any) -> World:
    return World(pools={"general": {"groups": [group("a"), group("b", zone="zone-b")], **pool}})


def bought(world: World, name: str = "a") -> list[float]:
    """When the group's target was raised, in seconds of virtual time."""
    return [(each.at - EPOCH).total_seconds() for each in world.raises if each.group == name]


# --- no capacity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [no_capacity, quota_reached])
async def test_without_capacity_the_pass_that_sees_it_buys_from_the_other_group(rule: Any) -> None:
    world = await two_groups().started()
    world.cloud.set_failure(rule(group="a"))
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert world.targets == {"general/a": 0, "general/b": 2}
    (given_up,) = world.of(CancellationDone)
    instead = world.of(PurchaseAcknowledged)[-1]
    assert instead.group == "b"
    assert instead.plan_id == given_up.plan_id


async def test_what_a_group_could_deliver_is_kept() -> None:
    world = await two_groups().started()
    world.cloud.set_failure(no_capacity(group="a", available=1))
    world.deploy("web", 16)
    await world.until(lambda: len(world.running("web")) == 16, within=120)
    assert world.targets == {"general/a": 1, "general/b": 3}
    await world.after(minutes(3))
    assert world.alive == 4


async def test_the_backoff_doubles_up_to_its_maximum() -> None:
    world = await World().started()
    world.cloud.set_failure(no_capacity())
    world.deploy("web", 1)
    await world.after(minutes(2 + 5 + 10 + 20 + 30 + 30))
    gaps = [round((later - earlier) / 60) for earlier, later in pairwise(bought(world))]
    assert gaps[:4] == [5, 10, 20, 30]
    assert set(gaps[4:]) <= {30}
    assert world.targets == {"general/a": 0}


async def test_the_backoff_is_forgotten_after_its_reset() -> None:
    world = await World(policies={"default": {"scanInterval": "1m"}}).started()
    rule = world.cloud.set_failure(no_capacity())
    world.deploy("web", 1)
    await world.after(minutes(7))
    world.undeploy("web")
    failures = len(bought(world))
    assert failures == 2
    await world.after(minutes(185))
    world.deploy("web", 1)
    await world.after(minutes(7))
    first, second = bought(world)[failures:]
    assert round((second - first) / 60) == 5
    world.cloud.clear_failure(rule)


async def test_a_purchase_that_succeeds_ends_the_backoff() -> None:
    world = await World().started()
    rule = world.cloud.set_failure(no_capacity())
    world.deploy("web", 1)
    await world.after(minutes(1))
    world.cloud.clear_failure(rule)
    await world.until(lambda: world.running("web"), within=minutes(6))
    await world.after(20)
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert "backoff" not in world.status()["groups"][0]


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_lost_answer_buys_nothing_twice(lost: int) -> None:
    world = await World().started()
    world.cloud.set_failure(AnswerLost(call=Call.RAISE_TARGET, times=lost))
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    await world.after(minutes(2))
    assert world.targets == {"general/a": 2}
    assert len(world.raises) == 1


async def test_a_slow_answer_buys_nothing_twice() -> None:
    world = await World().started()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=15))
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    assert len(world.raises) == 1


async def test_a_throttled_purchase_is_made_a_little_later() -> None:
    world = await World().started()
    world.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, times=2, error=ThrottledError("slow down")))
    world.deploy("web", 4)
    await world.until(lambda: world.raises, within=10)


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_termination_whose_answer_was_lost_is_made_once(lost: int) -> None:
    world = await World().started()
    world.deploy("web", 4)
    await world.until(lambda: world.running("web"), within=60)
    world.cloud.set_failure(AnswerLost(call=Call.TERMINATE, times=lost))
    world.undeploy("web")
    await world.until(lambda: not world.nodes, within=minutes(25))
    assert world.targets == {"general/a": 0}


@pytest.mark.parametrize("seconds", [1, 3, 8])
async def test_a_listing_that_is_old_when_it_comes_buys_nothing_twice(seconds: float) -> None:
    world = await World().started()
    world.listing_seconds = seconds
    for number in range(1, 5):
        world.deploy("web", 4 * number)
        await world.after(7)
    await world.until(lambda: len(world.running("web")) == 16, within=120)
    await world.after(minutes(2))
    assert world.targets == {"general/a": 4}


# --- a cloud that is down ----------------------------------------------------------------------------------------


async def test_a_cloud_that_is_down_for_two_minutes() -> None:
    world = await World().started()
    rule = world.cloud.set_failure(CallFails(error=DOWN))
    world.deploy("web", 4)
    await world.after(minutes(2))
    assert world.condition("ProviderReachable")["status"] == "False"
    assert world.raises == []
    world.cloud.clear_failure(rule)
    await world.until(lambda: len(world.running("web")) == 4, within=minutes(8))
    assert world.condition("ProviderReachable")["status"] == "True"


async def test_a_cloud_that_is_down_for_twenty_minutes() -> None:
    world = await World().started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    rule = world.cloud.set_failure(CallFails(error=DOWN))
    world.undeploy("web")
    await world.after(minutes(4))
    assert world.condition("Ready")["status"] == "False"
    await world.after(minutes(16))
    assert world.terminations == []
    assert not world.marked("ToBeDeletedByClusterAutoscaler")
    world.cloud.clear_failure(rule)
    await world.until(lambda: world.condition("Ready")["status"] == "True", within=70)
    await world.until(lambda: not world.nodes, within=minutes(30))


async def test_one_cloud_that_is_slow_does_not_delay_pods_of_another_pool() -> None:
    world = await World(
        pools={
            "general": {"groups": [group()], "template": {"labels": {"pool": "general"}}},
            "slow": {"groups": [group("s")], "template": {"labels": {"pool": "slow"}}},
        }
    ).started()
    world.cloud.set_failure(SlowCall(pool="slow", call=Call.RAISE_TARGET, seconds=30))
    world.deploy("other", 1, nodeSelector={"pool": "slow"})
    world.deploy("web", 4, nodeSelector={"pool": "general"})
    await world.until(lambda: len(world.running("web")) == 4, within=60)


# --- instances ---------------------------------------------------------------------------------------------------


async def test_an_instance_that_never_registers_is_given_back() -> None:
    world = await World().started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    rule = world.cloud.set_failure(NeverRegisters())
    world.deploy("web", 8)
    await world.after(minutes(14))
    assert world.terminated == []
    world.cloud.clear_failure(rule)
    await world.after(minutes(2))
    assert world.terminated == ["general-a-2"]
    await world.until(lambda: len(world.running("web")) == 8, within=minutes(10))
    assert world.targets == {"general/a": 2}


async def test_where_no_instance_ever_registered_nothing_is_terminated() -> None:
    world = await World().started()
    world.cloud.set_failure(NeverRegisters())
    world.deploy("web", 8)
    await world.after(minutes(60))
    assert world.terminations == []
    assert world.condition("Ready")["status"] == "False"


async def test_where_all_nodes_were_deleted_nothing_is_terminated() -> None:
    world = await World().started()
    world.deploy("web", 12)
    await world.until(lambda: len(world.running("web")) == 12, within=60)
    world.undeploy("web")
    for node in world.nodes:
        world.control_plane.delete_node(node.name)
    await world.after(minutes(60))
    assert world.terminations == []


async def test_an_instance_that_vanishes_is_replaced_by_its_group() -> None:
    world = await World().started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=60)
    world.cloud.lose(next(iter(world.cloud.instances)))
    await world.after(15)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    assert world.alive == 2


async def test_a_purchase_survives_that_its_instances_vanish_at_once() -> None:
    world = await World().started()
    world.deploy("web", 8)
    await world.until(lambda: world.alive == 2, within=5)
    for instance in world.cloud.instances:
        world.cloud.lose(instance)
    await world.until(lambda: len(world.running("web")) == 8, within=120)
    assert world.targets == {"general/a": 2}


RULES: dict[str, FailureRule] = {
    "nothing can be listed": CallFails(call=Call.LIST_GROUPS, error=DOWN),
    "listings hang": SlowCall(call=Call.LIST_GROUPS, seconds=3600),
}


@pytest.mark.parametrize("case", RULES, ids=str)
async def test_unread_for_long_nothing_is_bought_blindly(case: str) -> None:
    world = await World().started()
    world.cloud.set_failure(RULES[case])
    await world.after(minutes(12))
    world.deploy("web", 4)
    await world.after(minutes(2))
    assert world.raises == []
