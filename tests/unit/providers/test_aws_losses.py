"""Instances that AWS takes away: which process did, in AWS's words; our own terminations are no losses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from devcluster.api import wait_for
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import Instance, InstanceState, Loss, LossCause, NodeGroup
from springtide.providers.aws.groups import AutoScalingGroup, Launch
from springtide.providers.aws.losses import MOST_TOLD, TOLD_FOR, Losses, classify_cause, departures
from springtide.providers.aws.session import CallSettings, Regions
from tests.unit.providers.contract import Wish
from tests.unit.providers.worlds import AwsWorld

START = datetime(2026, 1, 1, tzinfo=UTC)
SHRUNK = (
    "At 2026-01-01T00:00:09Z an instance was taken out of service in response to a difference between desired and "
    "actual capacity, shrinking the capacity from 4 to 3.  At 2026-01-01T00:00:09Z instance i-1 was selected for "
    "termination."
)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        pytest.param(
            "At 2026-01-01T00:00:00Z instances were launched to balance instances in zones us-east-1a with other zones "
            f"resulting in more than desired number of instances in the group.  {SHRUNK}",
            LossCause.AZ_REBALANCE,
            id="AZRebalance",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z an instance was taken out of service in response to an EC2 health check indicating "
            "it has been terminated or stopped.",
            LossCause.HEALTH_CHECK,
            id="ended behind the group's back",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z an instance was taken out of service in response to an ELB system health check "
            "failure.",
            LossCause.HEALTH_CHECK,
            id="the load balancer's check",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z an instance was taken out of service in response to an EC2 instance rebalance "
            "recommendation.",
            LossCause.REBALANCE_RECOMMENDATION,
            id="capacity rebalancing",
        ),
        pytest.param(
            f"At 2026-01-01T00:00:00Z an instance was taken out of service in response to an instance refresh.  {SHRUNK}",
            LossCause.INSTANCE_REFRESH,
            id="instance refresh",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z a monitor alarm cpu-low in state ALARM triggered policy in changing the desired "
            f"capacity from 4 to 3.  {SHRUNK}",
            LossCause.SCALING_POLICY,
            id="scaling policy",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z a scheduled action update of AutoScalingGroup constraints to min: 1, max: 5, "
            f"desired: 3 changing the desired capacity from 4 to 3.  {SHRUNK}",
            LossCause.SCHEDULED_ACTION,
            id="scheduled action",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z a user request explicitly set group desired capacity changing the desired capacity "
            f"from 4 to 3.  {SHRUNK}",
            LossCause.USER_REQUEST,
            id="a human lowered the capacity",
        ),
        pytest.param(
            "At 2026-01-01T00:00:00Z instance i-1 was taken out of service in response to a user request.",
            LossCause.USER_REQUEST,
            id="a human ended the instance",
        ),
        pytest.param(SHRUNK, LossCause.TARGET_LOWERED, id="too many, nobody says why"),
        pytest.param("The stars were right.", LossCause.UNKNOWN, id="words nobody foresaw"),
    ],
)
def test_the_cause_is_named(cause: str, kind: LossCause) -> None:
    assert classify_cause(cause) is kind


def test_only_activities_that_take_an_instance_away_explain_its_loss() -> None:
    activities = [
        {"Description": "Launching a new EC2 instance: i-0a", "Cause": "launched"},
        {
            "Description": "Terminating EC2 instance: i-0b - Waiting For ELB Connection Draining.",
            "Cause": "newest",
        },
        {"Description": "Terminating EC2 instance: i-0b", "Cause": "older"},
        {"Description": "Detaching EC2 instance: i-0c", "Cause": "detached"},
        {"Description": "Moving EC2 instance to Standby: i-0d", "Cause": "standby"},
        {"Description": None, "Cause": None},
    ]
    assert departures(activities) == {"i-0b": "newest", "i-0c": "detached", "i-0d": "standby"}


# --- against an AWS with real manners ------------------------------------------------------------------------------


async def one_group(world: AwsWorld, pool: NodePool) -> NodeGroup:
    [group] = (await world.provider.list_groups([pool]))[pool.name].groups
    return group


async def grown(world: AwsWorld, to: int) -> tuple[NodePool, list[str]]:
    """A pool whose group has so many running instances; their ids."""
    pool = await world.pool(Wish())
    name = world.group_id(pool, "a")
    await world.provider.raise_target(pool, name, expected=0, to=to)

    async def running() -> list[str]:
        group = await one_group(world, pool)
        return [one.id for one in group.instances if one.state is InstanceState.RUNNING]

    async def all_run() -> list[str]:
        ids = await running()
        return ids if len(ids) == to else []

    return pool, await wait_for(all_run, timeout=30, what=f"{to} instances")


async def lost(world: AwsWorld, pool: NodePool) -> tuple[Loss, ...]:

    async def told() -> tuple[Loss, ...]:
        return (await one_group(world, pool)).losses

    return await wait_for(told, timeout=30, what="a loss in the listing")


@pytest.mark.asyncio(loop_scope="session")
async def test_az_rebalance_is_named_with_the_instance_it_took(aws_world: AwsWorld) -> None:
    pool, [instance, _] = await grown(aws_world, 2)
    aws_world.cloud.rebalance(instance)
    [loss] = await lost(aws_world, pool)
    assert (loss.instance, loss.cause) == (instance, LossCause.AZ_REBALANCE)
    assert loss.provider_id.endswith(instance)
    assert "to balance instances in zones us-east-1a" in loss.message


@pytest.mark.asyncio(loop_scope="session")
async def test_an_instance_that_vanishes_is_told_by_its_health_check(aws_world: AwsWorld) -> None:
    pool, [instance] = await grown(aws_world, 1)
    aws_world.cloud.lose_instance(instance)
    [loss] = await lost(aws_world, pool)
    assert (loss.instance, loss.cause) == (instance, LossCause.HEALTH_CHECK)


@pytest.mark.asyncio(loop_scope="session")
async def test_what_we_terminate_ourselves_is_no_loss_and_costs_no_call(aws_world: AwsWorld) -> None:
    pool, [ours, theirs] = await grown(aws_world, 2)
    name = aws_world.group_id(pool, "a")
    await aws_world.provider.terminate(pool, name, [ours])
    assert (await one_group(aws_world, pool)).losses == ()
    assert aws_world.cloud.calls.of("DescribeScalingActivities", group=name)[1:] == []
    aws_world.cloud.lose_instance(theirs)
    assert [loss.instance for loss in await lost(aws_world, pool)] == [theirs]


# --- the memory ----------------------------------------------------------------------------------------------------


class Readings:
    """One group, read again and again, by a region whose activities cannot be had."""

    def __init__(self) -> None:
        self.now = START
        # Nobody listens there: every call fails at once, as far as `Losses` can tell.
        settings = CallSettings(endpoint_url="http://127.0.0.1:9", read_attempts=1)
        self._regions = Regions(settings=settings)
        self.losses = Losses(self._regions["us-east-1"], clock=lambda: self.now)

    async def read(self, *alive: str, after: timedelta = timedelta(seconds=10)) -> tuple[Loss, ...]:
        self.now += after
        instances = tuple(Instance(name, f"aws:///a/{name}", InstanceState.RUNNING) for name in alive)
        group = AutoScalingGroup("g", len(alive), 0, 9, ("a",), instances, Launch(), {}, frozenset(), "")
        await self.losses.refresh([group])
        return self.losses.of("g")

    async def aclose(self) -> None:
        await self._regions.aclose()


@pytest.fixture
async def readings(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Readings]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    readings = Readings()
    yield readings
    await readings.aclose()


async def test_a_loss_nobody_explains_is_told_after_two_minutes_and_then_forgotten(
    readings: Readings,
) -> None:
    await readings.read("i-1", "i-2")
    assert await readings.read("i-2") == ()
    assert "cannot connect" in readings.losses.problem
    [loss] = await readings.read("i-2", after=timedelta(minutes=2))
    assert (loss.instance, loss.cause) == ("i-1", LossCause.UNKNOWN)
    assert "do not say why" in loss.message
    assert await readings.read("i-2", after=TOLD_FOR) == ()
    assert readings.losses.problem == ""


async def test_an_instance_that_comes_back_from_standby_was_not_lost(readings: Readings) -> None:
    await readings.read("i-1", "i-2")
    await readings.read("i-2")
    await readings.read("i-1", "i-2")
    assert await readings.read("i-1", "i-2", after=timedelta(minutes=3)) == ()


async def test_a_group_that_nobody_read_for_an_hour_is_looked_at_afresh(readings: Readings) -> None:
    await readings.read("i-1")
    assert await readings.read(after=timedelta(hours=2)) == ()
    assert await readings.read(after=timedelta(minutes=3)) == ()


async def test_of_a_whole_group_only_so_many_are_told(readings: Readings) -> None:
    await readings.read(*(f"i-{number}" for number in range(MOST_TOLD + 10)))
    await readings.read()
    assert len(await readings.read(after=timedelta(minutes=2))) == MOST_TOLD
