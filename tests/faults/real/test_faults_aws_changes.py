"""Auto Scaling groups that humans change behind our back: bounds, capacity, processes, launch template, the group itself."""

from __future__ import annotations

import pytest

from tests.e2e.test_scale_down import QUICK
from tests.e2e.world import OWNER_KEY, TERMINATE, World
from tests.faults.real.aws import Stage, stage
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]


async def test_a_maximum_that_was_lowered_holds_and_one_that_is_raised_serves_at_once(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, {"max_size": 5}) as on:
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        await on.by_hand("update_auto_scaling_group", AutoScalingGroupName=on.group, MaxSize=2)
        await on.condition("AtMax", "True")
        await world.scale(app, 4)
        await world.refused(app, 2)
        assert on.most_wanted() == 2
        await on.by_hand("update_auto_scaling_group", AutoScalingGroupName=on.group, MaxSize=5)
        await world.running(app, 4, timeout=60)
        await on.at_rest({on.group: 4})
        assert on.most_wanted() == 4


async def test_a_maximum_below_what_runs_costs_instances_that_are_told_as_lost(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        app = await on.pods(3)
        await world.running(app, 3, timeout=60)
        await on.by_hand("update_auto_scaling_group", AutoScalingGroupName=on.group, MaxSize=1)
        told = await on.told("InstanceLost")
        assert "TargetLowered" in told or "UserRequest" in told
        await on.counted("springtide_instances_lost_total", group=on.group)
        await on.condition("AtMax", "True")
        await world.running(app, 1)
        assert TERMINATE not in world.mutations(on.group)
        await on.at_rest({on.group: 1})


async def test_a_minimum_that_was_raised_is_not_bought_for_twice_and_not_undercut(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, scale_down=QUICK) as on:
        await on.by_hand("update_auto_scaling_group", AutoScalingGroupName=on.group, MinSize=2)
        await world.nodes_settle(on.group, 2)
        await on.condition("AtMin", "True")
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        await world.scale(app, 0)
        await on.condition("AtMin", "True")
        await on.at_rest({on.group: 2})
        assert world.mutations(on.group) == []


async def test_capacity_that_a_human_adds_serves_pods_and_goes_when_nobody_needs_it(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, scale_down=QUICK | {"unneededTime": "6s"}) as on:
        await on.by_hand("set_desired_capacity", AutoScalingGroupName=on.group, DesiredCapacity=2)
        app = await on.pods(1)
        await world.running(app, 1, timeout=60)
        await on.at_rest({on.group: 1}, timeout=90)
        await world.running(app, 1)
        assert world.raises(on.group) == []


async def test_capacity_that_a_human_takes_away_is_told_and_bought_again_for_its_pods(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        app = await on.pods(3)
        await world.running(app, 3, timeout=60)
        await on.at_rest({on.group: 3})
        await on.by_hand("set_desired_capacity", AutoScalingGroupName=on.group, DesiredCapacity=1)
        await on.told("InstanceLost")
        await world.running(app, 3, timeout=60)
        await on.at_rest({on.group: 3})
        assert on.most_wanted() == 3
        assert TERMINATE not in world.mutations(on.group)


async def test_an_instance_that_a_human_ends_is_told_as_a_users_request(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        await on.at_rest({on.group: 2})
        ended = on.in_service()[0]
        await on.by_hand(
            "terminate_instance_in_auto_scaling_group",
            InstanceId=ended,
            ShouldDecrementDesiredCapacity=False,
        )
        told = await on.told("InstanceLost")
        assert ended in told
        assert "UserRequest" in told
        await world.running(app, 2, timeout=60)
        await on.at_rest({on.group: 2})
        assert on.most_wanted() == 2


async def test_a_group_that_does_not_launch_is_named_and_the_next_one_serves(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, {}, {}, scale_up={"maxNodeProvisionTime": "4s"}) as on:
        first, second = on.groups
        await on.by_hand("suspend_processes", AutoScalingGroupName=first, ScalingProcesses=["Launch"])
        message = await on.condition("Degraded", "True", reason="GroupUnusable")
        assert "Launch" in message
        assert first in message
        app = await on.pods(2)
        await world.running(app, 2, timeout=90)
        await on.at_rest({first: 0, second: 2})
        assert on.most_wanted(first) <= 2
        await on.by_hand("resume_processes", AutoScalingGroupName=first, ScalingProcesses=["Launch"])
        await on.condition("Degraded", "False")


async def smaller_template(on: Stage, instance_type: str) -> None:
    """A new version of the group's launch template, which names $Latest."""
    async with on.world.cloud.client("ec2", access_key=OWNER_KEY) as client:
        await client.create_launch_template_version(
            LaunchTemplateName=f"{on.group}-template",
            SourceVersion="1",
            LaunchTemplateData={"InstanceType": instance_type},
        )


async def test_a_launch_template_that_grew_smaller_does_not_make_it_buy_for_ever(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness) as on:
        # m5.large has 2 cpu, of which no pod of 3 can have its share; our picture of the template is minutes old.
        await smaller_template(on, "m5.large")
        app = await on.pods(1)
        await world.nodes_settle(on.group, 1)
        await world.refused(app, 1)

        async def looked_again() -> bool:
            passes = await on.metric("springtide_passes_total")
            return passes >= 8

        await world.until(looked_again, "some more passes", timeout=60)
        assert on.most_wanted() <= 2


async def test_a_group_that_is_deleted_is_named_and_its_pods_go_elsewhere(
    world: World, witness: Witness
) -> None:
    async with stage(world, witness, {}, {}) as on:
        first, second = on.groups
        app = await on.pods(2)
        await world.running(app, 2, timeout=60)
        await on.at_rest({first: 2, second: 0})
        await world.cloud.delete_group(first)
        world.groups.remove(first)
        message = await on.condition("Degraded", "True", reason="GroupNotFound")
        assert first in message
        await world.running(app, 2, timeout=90)
        await on.at_rest({second: 2})
        assert TERMINATE not in world.mutations(second)


async def test_a_pool_whose_only_group_is_deleted_is_left_alone(world: World, witness: Witness) -> None:
    async with stage(world, witness) as on:
        app = await on.pods(1)
        await world.running(app, 1, timeout=60)
        (group,) = on.groups
        await world.cloud.delete_group(group)
        world.groups.remove(group)
        message = await on.condition("Ready", "False", reason="GroupNotFound")
        assert group in message
        bought = len(world.raises(group))
        await world.refused(app, 1)
        assert len(world.raises(group)) == bought
        # Made anew under its name, it is taken up again.
        await world.group(name=group, labels={"place": on.place})
        await on.condition("Ready", "True", timeout=60)
        await world.running(app, 1, timeout=60)
        await on.at_rest({group: 1})
