"""The life of instances, in virtual time."""

import asyncio
from collections import Counter

import pytest

from devcluster.cloud.failures import Failures, NoCapacity, QuotaReached, SlowBoot, Vanishes
from devcluster.cloud.fleet import EventKind, Fleet, Timings
from devcluster.cloud.model import Definition, Group, State, Subnet

pytestmark = pytest.mark.looptime

BOOT_S, TERMINATE_S, REPLACE_S, RETRY_S = 60.0, 20.0, 30.0, 120.0
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def definition(*, min_size: int = 0, max_size: int = 20, **changes: object) -> Definition:
    values = {
        "name": "workers",
        "subnets": tuple(Subnet(zone, f"subnet-{zone[-1]}") for zone in ZONES),
        "instance_types": ("m5.xlarge",),
    }
    return Definition(min_size=min_size, max_size=max_size, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
async def fleet(failures):
    timings = Timings(boot_s=BOOT_S, terminate_s=TERMINATE_S, replace_s=REPLACE_S, retry_s=RETRY_S)
    fleet = Fleet(timings=timings, failures=failures)
    yield fleet
    fleet.close()


@pytest.fixture
async def group(fleet):
    return fleet.define(definition())


async def pass_time(seconds: float) -> None:
    """Let virtual time go by, and a little more, so that what is due at that moment has happened."""
    await asyncio.sleep(seconds + 0.001)


def states(group: Group) -> Counter[str]:
    return Counter(str(instance.state) for instance in group.instances.values())


def zones(group: Group) -> Counter[str]:
    return Counter(instance.zone for instance in group.live())


def failed(group: Group) -> list[str]:
    return [a.status_message or "" for a in group.journal.newest_first() if a.status == "Failed"]


async def test_instances_are_pending_for_the_boot_delay(fleet, group):
    fleet.resize(group, 3)
    await pass_time(0)
    assert states(group) == {"Pending": 3}
    await pass_time(BOOT_S)
    assert states(group) == {"InService": 3}


async def test_instances_are_spread_over_the_zones(fleet, group):
    fleet.resize(group, 7)
    await pass_time(0)
    assert sorted(zones(group).values()) == [2, 2, 3]


async def test_a_zone_without_capacity_fails_visibly_and_the_others_take_over(fleet, group, failures):
    failures.add(NoCapacity(zone="us-east-1b"))
    fleet.resize(group, 4)
    await pass_time(0)
    assert zones(group) == {"us-east-1a": 2, "us-east-1c": 2}
    [message] = failed(group)
    assert "sufficient m5.xlarge capacity in the Availability Zone you requested (us-east-1b)" in message
    assert "choosing us-east-1a, us-east-1c" in message
    assert message.endswith("Launching EC2 instance failed.")


async def test_partial_capacity_then_none_then_relief_at_the_next_retry(fleet, group, failures):
    shortage = failures.add(NoCapacity(group="workers", available=2))
    fleet.resize(group, 5)
    await pass_time(BOOT_S)
    assert (group.desired, states(group)) == (5, {"InService": 2})
    failures.remove(shortage)
    await pass_time(RETRY_S)
    assert len(group.live()) == 5


async def test_each_retry_without_capacity_is_another_failed_activity(fleet, group, failures):
    failures.add(NoCapacity())
    fleet.resize(group, 1)
    await pass_time(0)
    assert len(failed(group)) == len(ZONES)
    await pass_time(RETRY_S)
    assert len(failed(group)) == 2 * len(ZONES)


async def test_unfulfilled_capacity_that_is_cancelled_is_not_retried(fleet, group, failures):
    failures.add(NoCapacity())
    fleet.resize(group, 1)
    await pass_time(0)
    fleet.resize(group, 0)
    await pass_time(3 * RETRY_S)
    assert len(failed(group)) == len(ZONES)
    assert group.instances == {}


async def test_quota_failures_name_the_limit(fleet, group, failures):
    failures.add(QuotaReached(vcpu_limit=16, available=1))
    fleet.resize(group, 2)
    await pass_time(0)
    assert len(group.live()) == 1
    assert "more vCPU capacity than your current vCPU limit of 16" in failed(group)[0]


async def test_mixed_instances_fall_to_the_next_type_and_put_the_error_code_in_front(fleet, failures):
    group = fleet.define(definition(instance_types=("m5.xlarge", "m5a.xlarge"), mixed_instances=True))
    failures.add(NoCapacity(instance_type="m5.xlarge"))
    fleet.resize(group, 1)
    await pass_time(0)
    assert [instance.instance_type for instance in group.live()] == ["m5a.xlarge"]
    assert failed(group)[0].startswith(
        "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently do not have"
    )


async def test_shrinking_takes_the_oldest_of_the_fullest_zone_and_spares_the_protected(fleet, group):
    fleet.resize(group, 4)
    await pass_time(BOOT_S)
    group.live()[0].protected = True
    fleet.resize(group, 2)
    await pass_time(0)
    # The fullest zone holds the first and the fourth; the first is protected.
    assert [i.state for i in group.instances.values()] == [
        *(State.IN_SERVICE, State.TERMINATING, State.IN_SERVICE, State.TERMINATING)
    ]
    await pass_time(TERMINATE_S)
    assert states(group) == {"InService": 2}


async def test_terminate_with_decrement_is_terminating_for_a_while_then_gone_for_good(fleet, group):
    fleet.resize(group, 2)
    await pass_time(BOOT_S)
    victim = group.live()[1]
    activity = fleet.terminate(victim, decrement=True, reason="a user request")
    assert (group.desired, victim.state, activity.status) == (1, State.TERMINATING, "InProgress")
    assert "shrinking the capacity from 2 to 1" in activity.cause
    await pass_time(TERMINATE_S)
    assert (victim.state, activity.status) == (State.TERMINATED, "Successful")
    await pass_time(REPLACE_S + BOOT_S)
    assert states(group) == {"InService": 1}


async def test_terminate_without_decrement_is_followed_by_a_replacement(fleet, group):
    fleet.resize(group, 1)
    await pass_time(BOOT_S)
    victim = group.live()[0]
    fleet.terminate(victim, decrement=False, reason="a user request")
    await pass_time(REPLACE_S + BOOT_S)
    assert states(group) == {"InService": 1}
    assert victim.instance_id not in group.instances


async def test_a_lost_instance_is_gone_at_once_and_replaced_later(fleet, group):
    events = []
    fleet.listen(lambda event: events.append((event.kind, event.instance.instance_id)))
    fleet.resize(group, 1)
    await pass_time(BOOT_S)
    lost = group.live()[0].instance_id
    assert fleet.lose(lost)
    assert (states(group), group.desired) == (Counter(), 1)
    await pass_time(REPLACE_S + BOOT_S)
    replacement = group.live()[0].instance_id
    assert events == [
        (EventKind.IN_SERVICE, lost),
        (EventKind.GONE, lost),
        (EventKind.IN_SERVICE, replacement),
    ]


async def test_instances_vanish_after_the_ruled_time(fleet, group, failures):
    rule = failures.add(Vanishes(seconds=100))
    fleet.resize(group, 1)
    await pass_time(99)
    first = group.live()[0].instance_id
    failures.remove(rule)
    await pass_time(1 + REPLACE_S)
    assert [instance.instance_id for instance in group.live()] != [first]


async def test_slow_boot_holds_for_the_instances_it_covers(fleet, group, failures):
    failures.add(SlowBoot(zone="us-east-1a", seconds=600))
    fleet.resize(group, 3)
    await pass_time(BOOT_S)
    assert states(group) == {"InService": 2, "Pending": 1}
    await pass_time(600 - BOOT_S)
    assert states(group) == {"InService": 3}


async def test_a_pending_instance_that_is_terminated_never_comes_into_service(fleet, group):
    events = []
    fleet.listen(lambda event: events.append(event.kind))
    fleet.resize(group, 1)
    await pass_time(0)
    fleet.terminate(group.live()[0], decrement=True, reason="a user request")
    await pass_time(BOOT_S + TERMINATE_S)
    assert events == [EventKind.GONE]
    assert [a.status for a in group.journal.newest_first()] == ["Successful", "Cancelled"]


async def test_a_suspended_launch_process_launches_nothing_until_resumed(fleet):
    group = fleet.define(definition(suspended=frozenset({"Launch"})))
    fleet.resize(group, 2)
    await pass_time(RETRY_S)
    assert group.instances == {}
    fleet.define(definition())
    await pass_time(0)
    assert len(group.live()) == 2


async def test_desired_moves_with_the_bounds(fleet, group):
    fleet.define(definition(min_size=2))
    assert group.desired == 2
    fleet.resize(group, 10)
    fleet.define(definition(max_size=4))
    assert group.desired == 4
