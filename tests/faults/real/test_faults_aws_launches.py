"""AWS that cannot deliver: no capacity, a part of it, instances that never register, vanish, or are taken away."""

from __future__ import annotations

import pytest

from devcluster.cloud.failures import NeverRegisters, NoCapacity, QuotaReached, Vanishes
from tests.e2e.world import SET, TERMINATE, ZONES, World
from tests.faults.real.aws import stage
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    ("shortage", "reason"),
    [
        pytest.param(NoCapacity, "OutOfCapacity", id="InsufficientInstanceCapacity"),
        pytest.param(QuotaReached, "QuotaExceeded", id="VcpuLimitExceeded"),
    ],
)
async def test_a_group_that_cannot_deliver_backs_off_and_the_next_one_serves(
    world: World, witness: Witness, shortage: type[NoCapacity] | type[QuotaReached], reason: str
) -> None:
    async with stage(world, witness, {}, {}) as on:
        first, second = on.groups
        rule = world.cloud.failures.add(shortage(group=first))
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        told = await on.told("ScaleUpFailed")
        assert first in told
        assert reason in told
        message = await on.condition("Degraded", "True", reason="GroupsBackingOff")
        assert first in message
        assert reason in message
        assert await on.metric("springtide_purchase_failures_total", group=first, reason=reason) == 1
        await on.at_rest({first: 0, second: 2})
        # When it is over, and the backoff with it, the preferred group serves again.
        world.cloud.failures.remove(rule)
        await on.condition("Degraded", "False")
        await world.scale(app, 3)
        await world.running(app, 3, timeout=60)
        await on.at_rest({first: 1, second: 2})


async def test_three_of_five_are_kept_and_the_next_group_brings_the_rest(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, {}, {}) as on:
        first, second = on.groups
        world.cloud.failures.add(NoCapacity(group=first, available=3))
        app = await on.pods(5)
        await world.running(app, 5, timeout=60)
        assert "5->3" in await on.told("ScaleUpFailed")
        await on.at_rest({first: 3, second: 2})
        assert (on.most_wanted(first), on.most_wanted(second)) == (5, 2)
        assert TERMINATE not in world.mutations(first)


async def test_where_no_group_can_deliver_the_pods_are_told_and_nothing_piles_up(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, {}, {}, scale_up={"backoff": {"initial": "2s", "max": "2s"}}) as on:
        rule = world.cloud.failures.add(NoCapacity())
        app = await on.pods(2)

        async def tried_often() -> bool:
            return all(len(world.raises(group)) >= 3 for group in on.groups)

        await world.until(tried_often, "three attempts at each group", timeout=90)
        assert all(on.most_wanted(group) <= 2 for group in on.groups)
        (pod, *_) = await world.pods(app)
        await world.events(pod["metadata"]["name"], "NotTriggerScaleUp")
        world.cloud.failures.remove(rule)
        await world.running(app, 2, timeout=90)

        async def no_more_than_needed() -> bool:
            return sum(len(on.in_service(group)) for group in on.groups) == 2

        await world.until(no_more_than_needed, "two instances")
        assert sum(world.cloud.desired(group) for group in on.groups) == 2


async def test_instances_that_never_register_are_given_back_one_by_one_and_only_ours(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, scale_up={"maxNodeProvisionTime": "4s"}) as on:
        app = await on.pods(1)
        await world.running(app, 1, timeout=60)
        (known,) = on.in_service()
        rule = world.cloud.failures.add(NeverRegisters(group=on.group))
        await world.scale(app, 3)
        told = await on.told("DeleteUnregistered", timeout=90)
        assert known not in told
        await on.counted("springtide_unregistered_instances_terminated_total", group=on.group)
        await on.condition("Degraded", "True", reason="GroupsBackingOff")
        world.cloud.failures.remove(rule)
        await world.running(app, 3, timeout=120)
        await on.at_rest({on.group: 3}, timeout=90)
        assert known in on.in_service()
        assert on.most_wanted() == 3
        terminated = {call.params["InstanceId"] for call in world.cloud.calls.of(TERMINATE, outcome="ok")}
        assert known not in terminated


async def test_instances_that_die_young_are_not_bought_on_top_of_their_replacements(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        rule = world.cloud.failures.add(Vanishes(group=on.group, seconds=0.1))
        app = await on.pods(2)
        await world.cloud.calls.wait_for(SET, group=on.group)

        async def some_died() -> bool:
            return len({name for name, group in world.group_of_instance.items() if group == on.group}) >= 4

        await world.until(some_died, "two generations of instances")
        world.cloud.failures.remove(rule)
        await world.running(app, 2, timeout=90)
        await on.at_rest({on.group: 2})
        # AWS calls their launches cancelled: given up, and tried again after the backoff, but never more than needed.
        assert on.most_wanted() == 2


async def test_an_instance_that_dies_later_is_told_by_name_and_its_pods_run_again(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        await on.at_rest({on.group: 2})
        lost, kept = on.in_service()
        (node,) = [n for n in await world.nodes(on.group) if n["spec"]["providerID"].endswith(lost)]
        assert world.cloud.lose_instance(lost)
        told = await on.told("InstanceLost")
        assert lost in told
        assert node["metadata"]["name"] in told
        assert "HealthCheck" in told
        assert "EC2 health check" in told
        assert await on.metric("springtide_instances_lost_total", group=on.group, cause="HealthCheck") == 1
        await world.running(app, 2, timeout=60)
        await on.at_rest({on.group: 2})
        assert kept in on.in_service()
        assert on.most_wanted() == 2


async def test_what_az_rebalance_takes_is_told_by_that_name(world: World, witness: Witness) -> None:
    async with stage(world, witness, {"zones": ZONES}) as on:
        message = await on.condition("Degraded", "True", reason="AZRebalanceActive")
        assert "suspend that process" in message
        app = await on.pods(3)
        await world.running(app, 3, timeout=60)
        await on.at_rest({on.group: 3})
        taken = on.in_service()[0]
        world.cloud.rebalance(taken)
        told = await on.told("InstanceLost")
        assert taken in told
        assert "AZRebalance" in told
        assert "to balance instances in zones" in told
        assert await on.metric("springtide_instances_lost_total", group=on.group, cause="AZRebalance") == 1
        await world.running(app, 3, timeout=60)
        await on.at_rest({on.group: 3})
        # Replaced by AWS itself: nothing is bought for it.
        assert on.most_wanted() == 3
        assert TERMINATE not in world.mutations(on.group)
