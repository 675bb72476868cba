"""Changes of targets: serialised, read before repeated, remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from springtide.actuation.outcome import (
    CancellationDone,
    CancellationFailed,
    PurchaseAcknowledged,
    PurchaseDeferred,
    PurchaseFailed,
    PurchaseRefused,
    UnregisteredFailed,
    UnregisteredTerminated,
)
from springtide.cluster.groups import FailureClass
from springtide.planning.plan import Cancellation, Purchase, PurchaseReason, UnregisteredRemoval
from springtide.providers.base import AmbiguousError, CredentialsError, ThrottledError
from springtide.providers.simulated.failures import (
    AnswerLost,
    Call,
    CallFails,
    NeverRegisters,
    SlowCall,
    no_capacity,
)
from tests.unit.actuation.world import EPOCH, World

pytestmark = pytest.mark.looptime


def purchase(*, start: int = 3, to: int = 5, **fields: Any) -> Purchase:
    return Purchase(
        pool="general",
        group="a",
        from_target=start,
        to_target=to,
        max_size=10,
        reason=PurchaseReason.PENDING_PODS,
        **fields,
    )


def unregistered(*instances: str) -> UnregisteredRemoval:
    return UnregisteredRemoval(
        pool="general", group="a", instances=instances, since=EPOCH, message="no Node in 15m"
    )


async def bought(world: World, *purchases: Purchase) -> None:
    tasks = world.apply(purchases=purchases)
    await asyncio.wait(tasks)


async def test_a_purchase_raises_the_target_and_is_acknowledged() -> None:
    world = await World().booted()
    await bought(world, purchase())
    assert world.story() == ["PurchaseStarted", "PurchaseAcknowledged"]
    [done] = world.of(PurchaseAcknowledged)
    assert (done.before, done.target, done.plan_id) == (3, 5, "plan-1")
    assert world.group.target == 5


async def test_a_stale_purchase_is_refused_by_the_fresh_read() -> None:
    world = await World().booted()
    world.cloud.set_target(world.group, 4)
    await bought(world, purchase())
    assert "the target is 4, not 3" in world.of(PurchaseRefused)[0].message
    assert world.group.target == 4


async def test_a_purchase_whose_answer_is_lost_is_not_made_twice() -> None:
    world = await World().booted()
    world.cloud.set_failure(AnswerLost(call=Call.RAISE_TARGET, times=1))
    await bought(world, purchase())
    [done] = world.of(PurchaseAcknowledged)
    assert (done.before, done.target) == (3, 5), "the growth is ours, though the second call found it there"
    assert world.group.target == 5


async def test_answers_lost_twice_are_reported_as_unknown() -> None:
    world = await World().booted()
    error = AmbiguousError("connection reset")
    world.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, error=error, times=2))
    await bought(world, purchase())
    [failed] = world.of(PurchaseFailed)
    assert failed.ambiguous
    assert failed.message == "connection reset"


async def test_a_call_that_takes_too_long_counts_as_lost() -> None:
    world = await World().booted()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=3600, times=1))
    await bought(world, purchase())
    assert world.of(PurchaseAcknowledged)
    assert asyncio.get_running_loop().time() < 60


async def test_a_throttled_purchase_is_repeated_only_until_the_next_pass() -> None:
    world = await World().booted()
    rule = CallFails(call=Call.RAISE_TARGET, error=ThrottledError("rate exceeded"), times=2)
    world.cloud.set_failure(rule)
    await bought(world, purchase())
    assert world.of(PurchaseAcknowledged)
    rule.times = None
    begun = asyncio.get_running_loop().time()
    await bought(world, purchase(start=5, to=6))
    assert world.of(PurchaseFailed)[0].ambiguous is False
    assert asyncio.get_running_loop().time() - begun < 10


async def test_denied_credentials_are_not_tried_again() -> None:
    world = await World().booted()
    world.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, error=CredentialsError("access denied")))
    await bought(world, purchase())
    assert world.of(PurchaseRefused)[0].message == "access denied"


async def test_a_second_purchase_waits_for_the_plan_that_knows_of_the_first() -> None:
    world = await World().booted()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=5, times=1))
    first = world.apply(purchases=(purchase(),))
    await asyncio.sleep(1)
    assert ("general", "a") in world.actuator.in_flight.purchases
    await bought(world, purchase(to=7))
    assert world.of(PurchaseDeferred)
    await asyncio.wait(first)
    assert world.group.target == 5
    assert not world.actuator.in_flight.busy


async def test_a_pass_waits_only_shortly_for_a_slow_cloud() -> None:
    world = await World().booted()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=15))
    tasks = world.apply(purchases=(purchase(),))
    begun = asyncio.get_running_loop().time()
    assert not await world.actuator.settled(tasks, within=2)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(2)
    await asyncio.wait(tasks)
    assert world.of(PurchaseAcknowledged)


async def test_a_purchase_under_way_counts_in_the_target() -> None:
    world = await World().booted()
    world.cloud.set_failure(SlowCall(call=Call.RAISE_TARGET, seconds=5, times=1))
    tasks = world.apply(purchases=(purchase(),))
    await asyncio.sleep(1)
    listed = (await world.provider.list_groups([world.pool.resource]))["general"].groups[0]
    assert listed.target == 3
    assert world.actuator.targets.corrected(listed).target == 5
    await asyncio.wait(tasks)


async def test_a_refused_purchase_leaves_the_target_as_read() -> None:
    world = await World().booted()
    world.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, error=CredentialsError("access denied")))
    await bought(world, purchase())
    listed = (await world.provider.list_groups([world.pool.resource]))["general"].groups[0]
    assert world.actuator.targets.corrected(listed).target == 3


async def test_capacity_that_does_not_come_is_cancelled() -> None:
    world = await World().booted()
    world.cloud.set_failure(no_capacity())
    world.cloud.set_target(world.group, 6)
    cancellation = Cancellation(
        pool="general",
        group="a",
        from_target=6,
        to_target=3,
        failure=FailureClass.OUT_OF_CAPACITY,
        message="none left",
    )
    await asyncio.wait(world.apply(cancellations=(cancellation,)))
    [done] = world.of(CancellationDone)
    assert (done.before, done.after) == (6, 3)
    world.cloud.set_failure(CallFails(call=Call.CANCEL_UNFULFILLED, error=ThrottledError("rate exceeded")))
    await asyncio.wait(world.apply(cancellations=(cancellation,)))
    assert world.of(CancellationFailed)[0].message == "rate exceeded"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_purchase_that_counts_on_a_cancellation_comes_after_it_or_not_at_all(fails: bool) -> None:
    world = await World().booted()
    world.cloud.set_failure(no_capacity())
    world.cloud.set_target(world.group, 6)
    if fails:
        world.cloud.set_failure(
            CallFails(call=Call.CANCEL_UNFULFILLED, error=ThrottledError("rate exceeded"))
        )
    given_up = Cancellation(
        pool="general",
        group="a",
        from_target=6,
        to_target=3,
        failure=FailureClass.OUT_OF_CAPACITY,
        message="none left",
    )
    await asyncio.wait(world.apply(cancellations=(given_up,), purchases=(purchase(start=3, to=4),)))
    assert len(world.of(PurchaseAcknowledged)) == (0 if fails else 1)
    assert len(world.of(PurchaseDeferred)) == (1 if fails else 0)
    assert world.group.target == (6 if fails else 4)


async def test_unregistered_instances_are_given_back_once() -> None:
    world = await World(size=1).booted()
    world.cloud.set_failure(NeverRegisters())
    world.cloud.set_target(world.group, 3)
    wanted = unregistered("general-a-2", "general-a-3")
    await asyncio.wait(world.apply(unregistered=(wanted,)))
    [done] = world.of(UnregisteredTerminated)
    assert done.instances == ("general-a-2", "general-a-3")
    await asyncio.wait(world.apply(unregistered=(wanted,)))
    assert world.provider.terminations == ["general-a-2", "general-a-3"]
    assert world.group.target == 1


async def test_after_a_lost_answer_the_rest_is_terminated_and_nothing_twice() -> None:
    world = await World(size=1).booted()
    world.cloud.set_target(world.group, 4)
    world.cloud.set_failure(AnswerLost(call=Call.TERMINATE, times=1))
    wanted = unregistered("general-a-2", "general-a-3", "general-a-4")
    await asyncio.wait(world.apply(unregistered=(wanted,)))
    assert world.group.target == 1
    assert set(world.of(UnregisteredTerminated)[0].instances) == set(wanted.instances)


async def test_an_instance_of_another_group_is_refused_and_said_so() -> None:
    world = await World().booted()
    await asyncio.wait(world.apply(unregistered=(unregistered("general-a-99"),)))
    assert world.story() == []
    world.cloud.set_failure(CallFails(call=Call.TERMINATE, error=CredentialsError("access denied")))
    await asyncio.wait(world.apply(unregistered=(unregistered("general-a-1"),)))
    assert world.of(UnregisteredFailed)[0].message == "access denied"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"purchases": (purchase(),)}, PurchaseDeferred, id="purchase"),
        pytest.param({"unregistered": (unregistered("general-a-1"),)}, UnregisteredFailed, id="termination"),
    ],
)
async def test_without_leave_to_act_the_cloud_is_not_called(
    change: dict[str, Any], reason: type[Any]
) -> None:
    world = await World().booted()
    world.gate.close("the lease is lost")
    await asyncio.wait(world.apply(**change))
    assert world.log.written == []
    assert world.of(reason)[0].message == "the lease is lost"
    assert world.group.target == 3


async def test_a_defect_in_a_provider_is_an_outcome() -> None:
    world = await World().booted()
    world.cloud.set_failure(CallFails(call=Call.RAISE_TARGET, error=KeyError("oops")))  # type: ignore[arg-type]
    await bought(world, purchase())
    assert world.of(PurchaseFailed)[0].ambiguous


# --- written ahead -----------------------------------------------------------------------------------------------


async def test_the_cloud_is_asked_only_after_the_purchase_was_written_down() -> None:
    world = await World().booted()
    world.log.seconds = 3
    tasks = world.apply(purchases=(purchase(),))
    await asyncio.sleep(2)
    assert world.story() == []
    assert ("general", "a") in world.actuator.in_flight.purchases
    await asyncio.wait(tasks)
    assert world.log.written == [(purchase(),)]
    assert world.group.target == 5


async def test_what_cannot_be_written_down_is_not_bought() -> None:
    world = await World().booted()
    world.log.trouble = "403 Forbidden: nodepools/status"
    await bought(world, purchase())
    [deferred] = world.of(PurchaseDeferred)
    assert deferred.fault
    assert "403 Forbidden" in deferred.message
    assert world.group.target == 3
    assert not world.actuator.in_flight.busy


async def test_an_api_server_that_hangs_holds_a_purchase_up_only_shortly() -> None:
    world = await World().booted()
    world.log.seconds = 3600
    begun = asyncio.get_running_loop().time()
    await bought(world, purchase())
    assert world.of(PurchaseDeferred)
    assert asyncio.get_running_loop().time() - begun <= world.settings.write_ahead_patience + 0.1
    assert world.group.target == 3


async def test_a_process_that_lost_its_lease_while_writing_buys_nothing() -> None:
    world = await World().booted()
    world.log.seconds = 1
    tasks = world.apply(purchases=(purchase(),))
    await asyncio.sleep(0.5)
    world.gate.close("the lease is lost")
    await asyncio.wait(tasks)
    assert world.of(PurchaseDeferred)[0].message == "the lease is lost"
    assert world.group.target == 3
