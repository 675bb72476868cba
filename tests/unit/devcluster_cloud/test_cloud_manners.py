"""The cloud as an SDK sees it: aioboto3 against the proxy in front of moto's server."""

import asyncio
import json
import time
from itertools import count

import aiohttp
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError, ConnectionClosedError

from devcluster.api import wait_for
from devcluster.cloud import Cloud, CloudOptions, GroupSpec, Timings
from devcluster.cloud.failures import (
    AnswerLost,
    Denied,
    InvalidCredentials,
    Latency,
    NoCapacity,
    ServerError,
    SlowBoot,
    Throttled,
)
from devcluster.traps import Moment

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NUMBERS = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_cloud():
    timings = Timings(boot_s=0.1, terminate_s=0.3, replace_s=0.1, retry_s=0.2)
    async with Cloud(CloudOptions(timings=timings)) as cloud:
        yield cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asg(shared_cloud):
    async with shared_cloud.client("autoscaling") as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ec2(shared_cloud):
    async with shared_cloud.client("ec2") as client:
        yield client


@pytest.fixture
def cloud(shared_cloud):
    yield shared_cloud
    shared_cloud.failures.clear()


async def new_group(cloud: Cloud, **changes) -> str:
    name = f"group-{next(_NUMBERS)}"
    await cloud.create_group(GroupSpec(name=name, **{"max_size": 5, **changes}))
    return name


async def described(asg, name: str) -> dict:
    answer = await asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return answer["AutoScalingGroups"][0]


async def in_service(asg, name: str, number: int) -> list[str]:
    """Wait until exactly so many instances are in service and none is in another state; their ids."""

    async def settled():
        group = await described(asg, name)
        states = [instance["LifecycleState"] for instance in group["Instances"]]
        return group if states == ["InService"] * number else None

    group = await wait_for(settled, timeout=5, what=f"{number} instances in service", poll=0.02)
    return [instance["InstanceId"] for instance in group["Instances"]]


async def activities(asg, name: str, status: str, *, at_least: int = 1) -> list[dict]:
    async def enough():
        answer = await asg.describe_scaling_activities(AutoScalingGroupName=name)
        found = [a for a in answer["Activities"] if a["StatusCode"] == status]
        return found if len(found) >= at_least else None

    return await wait_for(enough, timeout=5, what=f"{at_least} {status} activities", poll=0.02)


def refused(code: str, message: str = ""):
    return pytest.raises(ClientError, match=rf"\({code}\).*{message}")


# Capacity.


async def test_instances_are_pending_until_they_have_booted(cloud, asg):
    name = await new_group(cloud)
    cloud.failures.add(SlowBoot(group=name, seconds=3600))
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    await activities(asg, name, "InProgress", at_least=2)
    group = await described(asg, name)
    assert group["DesiredCapacity"] == 2
    assert [instance["LifecycleState"] for instance in group["Instances"]] == ["Pending", "Pending"]


async def test_capacity_comes_into_service_in_all_zones(cloud, asg):
    name = await new_group(cloud)
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
    await in_service(asg, name, 3)
    instances = (await described(asg, name))["Instances"]
    assert {i["AvailabilityZone"] for i in instances} == {"us-east-1a", "us-east-1b", "us-east-1c"}
    assert {i["InstanceType"] for i in instances} == {"m5.xlarge"}
    [launched, *_] = await activities(asg, name, "Successful", at_least=3)
    assert launched["Description"].startswith("Launching a new EC2 instance: i-")
    assert "changing the desired capacity from 0 to 3" in launched["Cause"]


@pytest.mark.parametrize(
    ("desired", "message"),
    [
        (6, "New SetDesiredCapacity value 6 is above max value 5 for the AutoScalingGroup"),
        (0, "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup"),
    ],
)
async def test_capacity_outside_the_bounds_is_refused(cloud, asg, desired, message):
    name = await new_group(cloud, min_size=1)
    with refused("ValidationError", message):
        await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired)
    assert cloud.desired(name) == 1


async def test_unknown_groups_are_refused(asg):
    with refused("ValidationError", "not found"):
        await asg.set_desired_capacity(AutoScalingGroupName="nobody", DesiredCapacity=1)
    with refused("ValidationError", "not found"):
        await asg.describe_scaling_activities(AutoScalingGroupName="nobody")
    assert (await asg.describe_auto_scaling_groups(AutoScalingGroupNames=["nobody"]))[
        "AutoScalingGroups"
    ] == []


async def test_honouring_the_cooldown_waits_for_running_activities(cloud, asg):
    cloud.failures.add(SlowBoot(seconds=3600))
    name = await new_group(cloud, desired=1)
    await activities(asg, name, "InProgress")
    with refused("ScalingActivityInProgress"):
        await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2, HonorCooldown=True)


async def test_lowering_below_what_exists_lets_the_cloud_choose_the_victims(cloud, asg):
    name = await new_group(cloud, desired=3)
    await in_service(asg, name, 3)
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    await in_service(asg, name, 1)
    assert len(await activities(asg, name, "Successful", at_least=5)) == 5


async def test_protected_instances_are_no_victims(cloud, asg):
    name = await new_group(cloud, desired=2)
    ids = await in_service(asg, name, 2)
    await asg.set_instance_protection(AutoScalingGroupName=name, InstanceIds=ids, ProtectedFromScaleIn=True)
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
    await asg.set_instance_protection(
        AutoScalingGroupName=name, InstanceIds=ids[:1], ProtectedFromScaleIn=False
    )
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
    assert await in_service(asg, name, 1) == ids[1:]


# No capacity.


async def test_missing_capacity_shows_only_in_failed_activities(cloud, asg):
    cloud.failures.add(NoCapacity(zone="us-east-1a"))
    name = await new_group(cloud, zones=("us-east-1a",))
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    [failed] = await activities(asg, name, "Failed")
    assert failed["StatusMessage"].startswith(
        "We currently do not have sufficient m5.xlarge capacity in the Availability Zone you requested "
        "(us-east-1a)."
    )
    assert failed["StatusMessage"].endswith("Launching EC2 instance failed.")
    assert failed["Progress"] == 100
    assert failed["EndTime"] >= failed["StartTime"]
    details = json.loads(failed["Details"])
    assert details["Availability Zone"] == "us-east-1a"
    assert details["Subnet ID"].startswith("subnet-")
    group = await described(asg, name)
    assert (group["DesiredCapacity"], group["Instances"]) == (2, [])
    await activities(asg, name, "Failed", at_least=2)  # AWS tries again


async def test_unfulfilled_capacity_can_be_cancelled(cloud, asg):
    cloud.failures.add(NoCapacity(available=1))
    name = await new_group(cloud, desired=3)
    await activities(asg, name, "Failed")
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    cloud.failures.clear()
    [survivor] = await in_service(asg, name, 1)
    assert (await described(asg, name))["DesiredCapacity"] == 1
    assert [i.instance_id for i in cloud.instances(name)] == [survivor]


async def test_activities_come_in_pages_newest_first(cloud, asg):
    name = await new_group(cloud, desired=5)
    await in_service(asg, name, 5)
    pages = asg.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=name, PaginationConfig={"PageSize": 2}
    )
    sizes, seen = [], []
    async for page in pages:
        sizes.append(len(page["Activities"]))
        seen += [activity["ActivityId"] for activity in page["Activities"]]
    assert sizes == [2, 2, 1]
    whole = await asg.describe_scaling_activities(AutoScalingGroupName=name)
    assert seen == [activity["ActivityId"] for activity in whole["Activities"]]


# Terminations.


async def test_terminating_with_decrement_takes_its_time_and_lowers_desired(cloud, asg):
    name = await new_group(cloud, desired=2)
    first, second = await in_service(asg, name, 2)
    answer = await asg.terminate_instance_in_auto_scaling_group(
        InstanceId=first, ShouldDecrementDesiredCapacity=True
    )
    assert answer["Activity"]["Description"] == f"Terminating EC2 instance: {first}"
    group = await described(asg, name)
    states = {i["InstanceId"]: i["LifecycleState"] for i in group["Instances"]}
    assert (group["DesiredCapacity"], states) == (1, {first: "Terminating", second: "InService"})
    assert await in_service(asg, name, 1) == [second]


async def test_terminating_without_decrement_brings_a_replacement(cloud, asg):
    name = await new_group(cloud, desired=1)
    [first] = await in_service(asg, name, 1)
    await asg.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=False)
    await activities(asg, name, "Successful", at_least=3)
    assert await in_service(asg, name, 1) != [first]


async def test_a_decrement_below_min_size_is_refused(cloud, asg):
    name = await new_group(cloud, min_size=1)
    [only] = await in_service(asg, name, 1)
    with refused("ValidationError", r"Currently, desiredSize equals minSize \(1\)"):
        await asg.terminate_instance_in_auto_scaling_group(
            InstanceId=only, ShouldDecrementDesiredCapacity=True
        )
    assert await in_service(asg, name, 1) == [only]


async def test_unknown_and_already_terminating_instances_are_refused(cloud, asg):
    with refused("ValidationError", "No managed instance found for instance ID: i-0123456789abcdef0"):
        await asg.terminate_instance_in_auto_scaling_group(
            InstanceId="i-0123456789abcdef0", ShouldDecrementDesiredCapacity=True
        )
    name = await new_group(cloud, desired=2)
    first, _ = await in_service(asg, name, 2)
    again = {"InstanceId": first, "ShouldDecrementDesiredCapacity": True}
    await asg.terminate_instance_in_auto_scaling_group(**again)
    with refused("ValidationError", "not in correct state"):
        await asg.terminate_instance_in_auto_scaling_group(**again)
    assert cloud.desired(name) == 1


async def test_a_lost_instance_is_replaced(cloud, asg):
    name = await new_group(cloud, desired=1)
    [first] = await in_service(asg, name, 1)
    assert cloud.lose_instance(first)
    assert (await described(asg, name))["DesiredCapacity"] == 1
    await activities(asg, name, "Successful", at_least=2)
    assert await in_service(asg, name, 1) != [first]
    assert not cloud.lose_instance(first)


# Definitions.


async def test_definitions_survive_updates_and_bounds_move_desired(cloud, asg):
    name = await new_group(cloud, override_types=("c5.large", "c5a.large"))
    await asg.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=2)
    group = await described(asg, name)
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (2, 5, 2)
    overrides = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [override["InstanceType"] for override in overrides] == ["c5.large", "c5a.large"]
    await in_service(asg, name, 2)
    assert {i.instance_type for i in cloud.instances(name)} == {"c5.large"}
    with refused("ValidationError", "must be between the specified min size"):
        await asg.update_auto_scaling_group(AutoScalingGroupName=name, DesiredCapacity=9)


async def test_a_group_is_created_once_and_deleted_with_force_while_it_has_instances(cloud, asg):
    name = await new_group(cloud, desired=1)
    [instance] = await in_service(asg, name, 1)
    with refused("AlreadyExists"):
        await asg.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=1, AvailabilityZones=["us-east-1a"]
        )
    with refused("ResourceInUse"):
        await asg.delete_auto_scaling_group(AutoScalingGroupName=name)
    await cloud.delete_group(name)
    assert (await asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name]))["AutoScalingGroups"] == []
    answer = await asg.describe_auto_scaling_instances(InstanceIds=[instance])
    assert answer["AutoScalingInstances"] == []


async def test_groups_are_found_by_tags_and_in_pages(cloud, asg):
    names = [await new_group(cloud, tags={"team": "blue"}, desired=1) for _ in range(3)]
    pages = asg.get_paginator("describe_auto_scaling_groups").paginate(
        Filters=[{"Name": "tag:team", "Values": ["blue"]}], PaginationConfig={"PageSize": 2}
    )
    found = [group async for page in pages for group in page["AutoScalingGroups"]]
    assert [group["AutoScalingGroupName"] for group in found] == names
    assert {group["DesiredCapacity"] for group in found} == {1}


async def test_new_tags_reach_the_instances_launched_after_them(cloud, asg):
    name = await new_group(cloud)
    tag = {"ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    await asg.create_or_update_tags(Tags=[{**tag, "Key": "stage", "Value": "late"}])
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    await in_service(asg, name, 1)
    assert cloud.instances(name)[0].tags == {"stage": "late"}


async def test_a_new_version_of_the_launch_template_holds_for_new_instances(cloud, asg, ec2):
    name = await new_group(cloud, desired=1)
    await in_service(asg, name, 1)
    await ec2.create_launch_template_version(
        LaunchTemplateName=f"{name}-template", LaunchTemplateData={"InstanceType": "m5.2xlarge"}
    )
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    await in_service(asg, name, 2)
    assert [i.instance_type for i in cloud.instances(name)] == ["m5.xlarge", "m5.2xlarge"]


async def test_what_the_cloud_does_not_model_is_refused(cloud, asg):
    name = await new_group(cloud, desired=1)
    [instance] = await in_service(asg, name, 1)
    with refused("NotImplemented", "has no DetachInstances"):
        await asg.detach_instances(
            AutoScalingGroupName=name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
        )


# EC2 and the rest.


async def test_all_listings_agree_about_an_instance(cloud, asg, ec2):
    name = await new_group(cloud, desired=1, zones=("us-east-1b",))
    [instance_id] = await in_service(asg, name, 1)
    [member] = (await asg.describe_auto_scaling_instances(InstanceIds=[instance_id]))["AutoScalingInstances"]
    assert (member["AutoScalingGroupName"], member["LifecycleState"]) == (name, "InService")
    by_id = await ec2.describe_instances(InstanceIds=[instance_id])
    by_tag = await ec2.describe_instances(
        Filters=[{"Name": "tag:aws:autoscaling:groupName", "Values": [name]}]
    )
    assert by_id["Reservations"] == by_tag["Reservations"]
    [instance] = by_id["Reservations"][0]["Instances"]
    assert instance["State"]["Name"] == "running"
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert instance["PrivateDnsName"].startswith("ip-10-")


async def test_an_instance_terminated_through_ec2_is_replaced_by_its_group(cloud, asg, ec2):
    name = await new_group(cloud, desired=1)
    [first] = await in_service(asg, name, 1)
    answer = await ec2.terminate_instances(InstanceIds=[first])
    assert answer["TerminatingInstances"][0]["PreviousState"]["Name"] == "running"
    gone = await ec2.describe_instances(InstanceIds=[first])
    assert gone["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    await activities(asg, name, "Successful", at_least=2)
    assert await in_service(asg, name, 1) != [first]


async def test_other_calls_are_motos(cloud, ec2):
    answer = await ec2.describe_instance_types(InstanceTypes=["g4dn.xlarge"])
    assert answer["InstanceTypes"][0]["GpuInfo"]["Gpus"][0]["Count"] == 1
    async with cloud.client("sts") as sts:
        assert (await sts.get_caller_identity())["Account"] == "123456789012"


# Calls that go wrong.


@pytest.mark.parametrize(
    ("rule", "code", "status"),
    [
        (Throttled(action="SetDesiredCapacity"), "Throttling", 400),
        (Denied(action="SetDesiredCapacity"), "AccessDenied", 403),
        (InvalidCredentials(), "InvalidClientTokenId", 403),
        (ServerError(action="SetDesiredCapacity"), "InternalFailure", 500),
    ],
)
async def test_refused_calls_have_no_effect(cloud, asg, rule, code, status):
    name = await new_group(cloud)
    cloud.failures.add(rule)
    with refused(code) as refusal:
        await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert cloud.desired(name) == 0


async def test_ec2_refuses_in_its_own_words(cloud, ec2):
    for rule, code in [
        (Throttled(), "RequestLimitExceeded"),
        (Denied(), "UnauthorizedOperation"),
        (InvalidCredentials(), "AuthFailure"),
    ]:
        cloud.failures.add(rule)
        with refused(code):
            await ec2.describe_instances()
        cloud.failures.clear()


async def test_credentials_are_refused_by_key(cloud, asg):
    cloud.failures.add(InvalidCredentials(access_key="AKIAWRONG"))
    await asg.describe_auto_scaling_groups()
    async with cloud.client("autoscaling", access_key="AKIAWRONG") as stranger:
        with refused("InvalidClientTokenId"):
            await stranger.describe_auto_scaling_groups()


async def test_throttling_ends_after_the_counted_calls_and_whoever_retries_gets_through(cloud):
    name = await new_group(cloud)
    cloud.failures.add(Throttled(action="SetDesiredCapacity", next_calls=1))
    async with cloud.client("autoscaling", retries=2) as patient:
        await patient.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    outcomes = [call.outcome for call in cloud.calls.of("SetDesiredCapacity", group=name)]
    assert outcomes == ["Throttling", "ok"]


async def test_a_rate_lets_that_many_calls_through(cloud, asg):
    cloud.failures.add(Throttled(action="DescribeAutoScalingGroups", per_second=0.5))
    calls = [asg.describe_auto_scaling_groups(AutoScalingGroupNames=["x"]) for _ in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [answer for answer in answers if isinstance(answer, ClientError)]
    assert len(refusals) == 5


async def test_a_call_whose_answer_is_lost_has_taken_effect(cloud, asg):
    name = await new_group(cloud)
    cloud.failures.add(AnswerLost(action="SetDesiredCapacity", next_calls=1))
    with pytest.raises((ConnectionClosedError, aiohttp.ClientError, OSError)):
        await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    assert cloud.desired(name) == 1


async def test_latency_delays_the_answer(cloud, asg):
    cloud.failures.add(Latency(seconds=0.15))
    started = time.monotonic()
    await asg.describe_auto_scaling_groups(AutoScalingGroupNames=["x"])
    assert time.monotonic() - started >= 0.15


async def test_every_call_is_recorded_with_time_parameters_and_outcome(cloud, asg):
    name = await new_group(cloud)
    seen = len(cloud.calls)
    before = time.monotonic()
    waiting = asyncio.ensure_future(cloud.calls.wait_for("SetDesiredCapacity", group=name, count=2))
    await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    with refused("ValidationError"):
        await asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=9)
    first, second = await waiting
    assert (first.params["DesiredCapacity"], first.outcome) == ("2", "ok")
    assert (second.params["DesiredCapacity"], second.outcome) == ("9", "ValidationError")
    assert before <= first.monotonic <= second.monotonic <= time.monotonic()
    await asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    later = cloud.calls[seen:]
    assert [call.is_mutation for call in later] == [True, True, False]


@pytest.mark.parametrize(
    ("moment", "desired"),
    [
        pytest.param(Moment.BEFORE, 0, id="before: nothing was bought"),
        pytest.param(Moment.AFTER, 1, id="after: bought, but the answer is lost"),
    ],
)
async def test_a_call_can_be_held_and_dropped(cloud, asg, moment, desired):
    name = await new_group(cloud)
    trap = cloud.traps.set(lambda request: request.action == "SetDesiredCapacity", moment=moment)
    sent = asyncio.create_task(asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1))
    held = await trap.caught(timeout=5)
    assert (held.params["AutoScalingGroupName"], cloud.desired(name)) == (name, desired)
    trap.drop()
    with pytest.raises(ConnectionClosedError):
        await sent
    assert cloud.desired(name) == desired
