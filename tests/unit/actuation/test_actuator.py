"""The actuator as a whole: never blocks, resumes, releases, stops."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from springtide.actuation.outcome import (
    Outcome,
    PurchaseAcknowledged,
    RemovalDone,
    RemovalFailed,
    RemovalResumed,
    RemovalRolledBack,
    RollbackReason,
    SoftTaintFailed,
    SoftTaintLifted,
    SoftTaintSet,
)
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.taints import removal_of, unneeded_since
from springtide.api.settings import Mode
from springtide.cluster.api_errors import ApiError
from springtide.planning.plan import Purchase, PurchaseReason, SoftTaintChange
from springtide.providers.base import TerminateResult
from springtide.providers.simulated.failures import Call, SlowCall
from tests.unit.actuation.world import EPOCH, HARD, SOFT, World, blocked_by_budget, budget, clock, pod

pytestmark = pytest.mark.looptime

SINCE = EPOCH - timedelta(minutes=8)


def soft(world: World, *, present: bool, number: int = 1) -> SoftTaintChange:
    since = SINCE if present else None
    return SoftTaintChange(node=world.node(number), pool="general", present=present, since=since)


def taints(world: World, number: int = 1) -> set[str]:
    return {taint["key"] for taint in world.object(number)["spec"].get("taints", ())}


async def test_applying_a_plan_takes_no_time() -> None:
    world = await World().booted()
    world.with_pods(pod())
    begun = asyncio.get_running_loop().time()
    world.apply(
        purchases=(Purchase("general", "a", 3, 4, 10, PurchaseReason.PENDING_PODS),),
        removals=(world.removal(), world.removal(number=2)),
        soft_taints=(soft(world, present=True, number=3),),
    )
    assert asyncio.get_running_loop().time() == begun
    assert set(world.actuator.in_flight.removals) == {world.node(1), world.node(2)}
    await world.quiet()
    assert len(world.of(RemovalDone)) == 2


async def test_a_removal_that_is_under_way_is_not_begun_again() -> None:
    world = await World().booted()
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(3)
    world.apply(removals=(world.removal(),))
    world.resume()
    await world.quiet()
    assert world.story().count("RemovalStarted") == 1
    assert not world.of(RemovalResumed)


@pytest.mark.parametrize("mode", [Mode.DRY_RUN, Mode.PAUSED])
async def test_of_pools_that_are_not_active_nothing_is_changed(mode: Mode) -> None:
    world = await World().booted()
    before = copy.deepcopy(world.nodes.objects)
    world.pool = replace(world.pool, settings=replace(world.pool.settings, mode=mode))
    world.apply(
        purchases=(Purchase("general", "a", 3, 4, 10, PurchaseReason.PENDING_PODS),),
        removals=(world.removal(),),
        soft_taints=(soft(world, present=True),),
    )
    await asyncio.sleep(60)
    assert world.outcomes == []
    assert world.nodes.objects == before
    assert world.group.target == 3


async def test_soft_taints_come_and_go_and_are_told_once() -> None:
    world = await World().booted()
    for _ in range(2):
        world.apply(soft_taints=(soft(world, present=True),))
        await asyncio.sleep(5)
    assert unneeded_since(world.nodes.record(world.node())) == SINCE
    for _ in range(2):
        world.apply(soft_taints=(soft(world, present=False),))
        await asyncio.sleep(5)
    assert [type(outcome) for outcome in world.outcomes] == [SoftTaintSet, SoftTaintLifted]
    assert taints(world) == {"gpu"}


async def test_a_soft_taint_that_cannot_be_written_is_reported_and_left_to_the_next_pass() -> None:
    world = await World().booted()
    world.nodes.fail("patch", ApiError(status=403, reason="Forbidden", message="nodes is forbidden"))
    world.apply(soft_taints=(soft(world, present=True), soft(world, present=True, number=2)))
    await asyncio.sleep(10)
    assert "forbidden" in world.of(SoftTaintFailed)[0].message
    assert len(world.of(SoftTaintSet)) == 1


async def test_a_restarted_operator_finishes_what_it_finds() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    await world.actuator.stop(grace=1)
    assert removal_of(world.nodes.record(world.node())).phase == "Tainted"
    world.new_actuator()
    world.resume()
    await world.quiet()
    assert world.of(RemovalResumed)[0].plan_id == "plan-1"
    assert world.of(RemovalDone)
    assert world.provider.terminations == [world.node()]


async def test_a_removal_found_long_after_its_deadline_is_rolled_back() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    await world.actuator.stop(grace=1)
    await asyncio.sleep(3600)
    world.new_actuator()
    world.resume()
    await world.quiet()
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.DEADLINE
    assert world.object()["spec"] == before["spec"]


async def test_a_drain_that_used_up_the_budget_itself_goes_on_after_a_restart() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"), pod("web-2"))
    world.nodes.stubborn.add("web-1")
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(8)
    await world.actuator.stop(grace=1)
    assert removal_of(world.nodes.record(world.node())).phase == "Draining"
    world.nodes.stubborn.clear()
    world.budgets = [budget(0)]
    world.new_actuator()
    world.resume()
    await world.quiet()
    assert world.of(RemovalDone)


async def test_the_removal_of_a_pool_that_is_gone_is_rolled_back() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    await world.actuator.stop(grace=1)
    world.new_actuator().resume([world.nodes.record(world.node())], {})
    await asyncio.sleep(10)
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.RELEASED
    assert world.object()["spec"] == before["spec"]


async def test_an_informer_that_lags_behind_resumes_nothing() -> None:
    world = await World().booted()
    world.with_pods(pod("new"))
    world.apply(removals=(world.removal(pods=()),))
    await asyncio.sleep(2)
    stale = [world.nodes.record(world.node())]
    await world.quiet()
    before = len(world.outcomes)
    world.actuator.resume(stale, world.pools)
    await asyncio.sleep(30)
    assert len(world.outcomes) == before


async def test_a_removal_is_done_once_though_the_informer_still_shows_its_node() -> None:
    world = await World().booted()
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.phase() == "Terminating", step=0.005)
    stale = [world.nodes.record(world.node())]
    await world.quiet()
    for _ in range(3):
        world.actuator.resume(stale, world.pools)
        await asyncio.sleep(10)
    assert len(world.of(RemovalDone)) == 1
    assert not world.of(RemovalResumed)


async def test_a_failed_removal_is_taken_up_again_at_growing_intervals() -> None:
    world = await World(settings=ActuationSettings(node_deletion_grace=0.0)).booted()
    world.cloud.on_instance_gone = lambda instance: None
    await world.remove()
    for _ in range(400):
        await asyncio.sleep(10)
        world.resume()
    failures = world.of(RemovalFailed)
    assert [failure.failures for failure in failures] == list(range(1, len(failures) + 1))
    waits = [failure.retry_at - failure.at for failure in failures]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=30)
    world.nodes.objects.pop(world.node())
    await world.quiet()
    assert world.of(RemovalDone)
    assert world.provider.terminations == [world.node()]


async def test_releasing_a_pool_takes_every_mark_off_and_deletes_nothing() -> None:
    world = await World().booted()
    before = copy.deepcopy({name: node["spec"] for name, node in world.nodes.objects.items()})
    world.with_pods(pod("web-1"))
    world.nodes.fail("evict", blocked_by_budget(), times=1000)
    world.apply(removals=(world.removal(),), soft_taints=(soft(world, present=True, number=2),))
    await asyncio.sleep(20)
    assert HARD in taints(world)
    assert SOFT in taints(world, 2)
    records = [world.nodes.record(name) for name in world.nodes.objects]
    assert await world.actuator.release_pool("general", records, world.pool) == ()
    assert {name: node["spec"] for name, node in world.nodes.objects.items()} == before
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.RELEASED
    assert world.provider.terminations == []


async def test_releasing_finds_marks_the_informer_has_not_seen_yet() -> None:
    world = await World().booted()
    before = copy.deepcopy(world.object())
    stale = [world.nodes.record(name) for name in world.nodes.objects]
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    assert await world.actuator.release_pool("general", stale, world.pool) == ()
    assert world.object()["spec"] == before["spec"]


async def test_releasing_leaves_an_instance_that_is_going_already_to_go() -> None:
    world = await World().booted()
    world.apply(removals=(world.removal(),))
    await world.until(lambda: world.provider.terminations)
    await asyncio.sleep(1)
    records = [world.nodes.record(name) for name in world.nodes.objects]
    assert await world.actuator.release_pool("general", records, world.pool) == ()
    assert HARD in taints(world)


async def test_releasing_says_which_nodes_it_could_not_reach() -> None:
    world = await World().booted()
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(2)
    records = [world.nodes.record(name) for name in world.nodes.objects]
    world.nodes.fail("patch", times=10_000)
    assert await world.actuator.release_pool("general", records, world.pool) == (world.node(),)
    world.nodes.heal()
    assert await world.actuator.release_pool("general", records, world.pool) == ()
    assert taints(world) == {"gpu"}


async def test_stopping_interrupts_removals_at_once_but_lets_a_purchase_hear_its_answer() -> None:
    world = await World().booted()
    world.with_pods(pod("web-1"))
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=1))
    purchase = Purchase("general", "a", 3, 4, 10, PurchaseReason.PENDING_PODS)
    world.apply(purchases=(purchase,), removals=(world.removal(),))
    await asyncio.sleep(0.5)
    begun = asyncio.get_running_loop().time()
    await world.actuator.stop(grace=2)
    assert asyncio.get_running_loop().time() - begun < 1
    assert world.of(PurchaseAcknowledged)
    assert world.apply(purchases=(purchase,)) == ()


async def test_stopping_waits_no_longer_than_its_grace() -> None:
    world = await World().booted()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=15))
    world.apply(purchases=(Purchase("general", "a", 3, 4, 10, PurchaseReason.PENDING_PODS),))
    await asyncio.sleep(0.5)
    begun = asyncio.get_running_loop().time()
    await world.actuator.stop(grace=2)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(2)


async def test_pods_evicted_a_moment_ago_are_remembered_for_two_minutes() -> None:
    world = await World().booted()
    web = pod("web-1")
    world.with_pods(web)
    await world.remove()
    assert world.actuator.in_flight.recently_evicted == (web.uid,)
    await asyncio.sleep(130)
    assert world.actuator.in_flight.recently_evicted == ()


async def test_a_reporter_that_fails_is_logged_and_ends_no_process(caplog: pytest.LogCaptureFixture) -> None:
    world = await World().booted()

    def broken(outcome: Outcome) -> None:
        raise ValueError("no such phrase")

    world.outcomes = type("Broken", (list,), {"append": lambda self, outcome: broken(outcome)})()
    world.new_actuator()
    world.apply(removals=(world.removal(),))
    await asyncio.sleep(30)
    assert "no such phrase" in caplog.text
    assert world.actuator.in_flight.removals == {}
    assert clock() > EPOCH


async def test_a_node_is_not_given_back_while_a_call_that_was_cut_off_may_still_take_effect() -> None:
    world = await World().booted()
    terminate = world.provider.terminate
    late: list[asyncio.Future[Mapping[str, TerminateResult]]] = []

    async def answers_late(*asked: Any) -> Mapping[str, TerminateResult]:
        """The call goes on in the cloud, whatever becomes of who sent it."""

        async def in_the_cloud() -> Mapping[str, TerminateResult]:
            await asyncio.sleep(2)
            return await terminate(*asked)

        late.append(asyncio.ensure_future(in_the_cloud()))
        return await asyncio.shield(late[0])

    world.provider.terminate = answers_late  # type: ignore[method-assign,assignment]
    world.apply(removals=(world.removal(),))
    await world.until(lambda: late)
    await asyncio.sleep(1)
    await world.actuator.withdraw_removals("a zone failed")
    await world.until(lambda: world.provider.terminations)
    assert HARD in taints(world)
    await asyncio.sleep(60)
    assert not world.of(RemovalRolledBack)
