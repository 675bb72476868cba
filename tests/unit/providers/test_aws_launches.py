"""What a group launches, and what each instance type is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from devcluster.cloud.cloud import Cloud
from devcluster.cloud.failures import Denied, ServerError
from springtide.providers.aws.groups import Launch, LaunchTemplateRef, Override
from springtide.providers.aws.instance_types import (
    InstanceTypes,
    eni_pods,
    packaged_prices,
    packaged_types,
    parse_instance_type,
)
from springtide.providers.aws.launches import READ_AGAIN_AFTER, Launches, LaunchFacts
from springtide.providers.aws.session import CallSettings, Region, Regions
from springtide.providers.aws.template import launch_choices, machines_of
from tests.unit.providers.worlds import NUMBERS, REGION, AwsWorld

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def region(cloud: Cloud) -> AsyncIterator[Region]:
    regions = Regions(settings=CallSettings(read_attempts=1, reads_per_second=1000, reads_burst=1000))
    yield regions[REGION]
    await regions.aclose()


async def launch_template(cloud: Cloud, **data: object) -> LaunchTemplateRef:
    async with cloud.client("ec2") as client:
        answer = await client.create_launch_template(
            LaunchTemplateName=f"template-{next(NUMBERS)}",
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m5.large", **data},
        )
    return LaunchTemplateRef(answer["LaunchTemplate"]["LaunchTemplateId"], "$Latest")


async def new_version(cloud: Cloud, template: LaunchTemplateRef, instance_type: str) -> None:
    async with cloud.client("ec2") as client:
        await client.create_launch_template_version(
            LaunchTemplateId=template.id,
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": instance_type},
        )


async def test_the_root_disk_is_ephemeral_storage(aws_world: AwsWorld, region: Region) -> None:
    disks = [
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 500}},
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 80}},
    ]
    template = await launch_template(aws_world.cloud, BlockDeviceMappings=disks)
    launches = Launches(region, clock=Clock())
    await launches.refresh([Launch(template=template)])
    assert launches.facts(template) == LaunchFacts(instance_type="m5.large", root_gib=80)
    [machine], problems = machines_of(Launch(template=template), launches, packaged_types())
    assert machine.capacity["ephemeral-storage"] == 80 * 2**30
    assert problems == ()


async def test_latest_is_read_again_after_a_while_and_a_numbered_version_never(
    aws_world: AwsWorld, region: Region
) -> None:
    latest = await launch_template(aws_world.cloud)
    first = LaunchTemplateRef(latest.id, "1")
    clock = Clock()
    launches = Launches(region, clock=clock)
    both = [Launch(template=latest), Launch(template=first)]
    await launches.refresh(both)
    await new_version(aws_world.cloud, latest, "m5.2xlarge")
    await launches.refresh(both)
    assert launches.facts(latest).instance_type == "m5.large"
    clock.now += READ_AGAIN_AFTER
    aws_world.cloud.calls.clear()
    await launches.refresh(both)
    assert launches.facts(latest).instance_type == "m5.2xlarge"
    assert launches.facts(first).instance_type == "m5.large"
    assert len(aws_world.cloud.calls) == 1


async def test_a_passing_fault_does_not_make_a_known_template_unknown(
    aws_world: AwsWorld, region: Region
) -> None:
    template = await launch_template(aws_world.cloud)
    clock = Clock()
    launches = Launches(region, clock=clock)
    await launches.refresh([Launch(template=template)])
    clock.now += READ_AGAIN_AFTER
    aws_world.cloud.failures.add(ServerError(action="DescribeLaunchTemplateVersions"))
    await launches.refresh([Launch(template=template)])
    assert launches.facts(template) == LaunchFacts(instance_type="m5.large")


async def test_a_launch_template_that_does_not_exist_is_a_problem(region: Region) -> None:
    ghost = LaunchTemplateRef("lt-0123456789abcdef0", "1")
    launches = Launches(region, clock=Clock())
    await launches.refresh([Launch(template=ghost)])
    machines, problems = machines_of(Launch(template=ghost), launches, packaged_types())
    assert machines == ()
    assert "DescribeLaunchTemplateVersions" in problems[0]


async def test_a_launch_configuration_is_read(aws_world: AwsWorld, region: Region) -> None:
    name = f"configuration-{next(NUMBERS)}"
    async with aws_world.cloud.client("autoscaling") as client:
        await client.create_launch_configuration(
            LaunchConfigurationName=name, ImageId="ami-12c6146b", InstanceType="c5.large"
        )
    launches = Launches(region, clock=Clock())
    await launches.refresh([Launch(configuration=name), Launch(configuration="no-such")])
    assert launches.facts(name).instance_type == "c5.large"
    assert launches.facts("no-such").problem == "launch configuration no-such is gone"


async def test_overrides_need_no_readable_launch_template(aws_world: AwsWorld, region: Region) -> None:
    template = await launch_template(aws_world.cloud)
    launch = Launch(template=template, overrides=(Override(instance_type="m5.xlarge"), Override()))
    aws_world.cloud.failures.add(Denied(action="DescribeLaunchTemplateVersions"))
    launches = Launches(region, clock=Clock())
    await launches.refresh([launch])
    named, inherited = launch_choices(launch, launches)
    assert (named.instance_type, named.problem) == ("m5.xlarge", "")
    assert "access denied" in inherited.problem


async def test_instance_requirements_promise_their_minimum(region: Region) -> None:
    launch = Launch(overrides=(Override(min_vcpu=4, min_memory_mib=8192),))
    [machine], problems = machines_of(launch, Launches(region, clock=Clock()), {})
    assert machine.capacity == {"cpu": 4000, "memory": 8 * 2**30, "pods": 110}
    assert (machine.instance_type, machine.arch, problems) == ("", "", ())


async def test_a_type_is_asked_for_once_and_an_unknown_one_again_later(
    aws_world: AwsWorld, region: Region
) -> None:
    clock = Clock()
    types = InstanceTypes(region, clock=clock)
    aws_world.cloud.calls.clear()
    for _ in range(3):
        found = await types.get(["m5.xlarge", "x9.imaginary"])
        assert found.keys() == {"m5.xlarge"}
    assert len(aws_world.cloud.calls) == 1
    clock.now += timedelta(hours=1)
    await types.get(["m5.xlarge", "x9.imaginary"])
    assert len(aws_world.cloud.calls) == 2


async def test_ec2_and_the_packaged_table_agree(region: Region) -> None:
    names = ["m5.xlarge", "m6g.large", "p4d.24xlarge", "g4dn.xlarge", "inf2.xlarge", "t3.nano", "r5.metal"]
    described = await InstanceTypes(region, clock=Clock()).get(names)
    for name in names:
        asked, packaged = described[name], packaged_types()[name]
        assert asked.source == "EC2"
        assert (asked.arch, asked.capacity) == (packaged.arch, packaged.capacity)


async def test_the_packaged_table_is_whole() -> None:
    types, prices = packaged_types(), packaged_prices()
    assert len(types) == 1386
    assert len(prices) > 1300
    assert all(price > 0 for price in prices.values())
    assert {kind.arch for kind in types.values()} == {"amd64", "arm64"}


@pytest.mark.parametrize(
    ("name", "interfaces", "addresses", "pods"),
    [("t3.nano", 2, 2, 4), ("m5.large", 3, 10, 29), ("m5.xlarge", 4, 15, 58), ("unknown", 0, 0, 0)],
)
async def test_pods_follow_from_network_interfaces(
    name: str, interfaces: int, addresses: int, pods: int
) -> None:
    assert eni_pods(interfaces=interfaces, addresses=addresses) == pods


async def test_more_than_110_pods_are_never_promised() -> None:
    large = packaged_types()["m5.24xlarge"]
    assert large.eni_pods > 110
    assert large.capacity["pods"] == 110


async def test_an_accelerator_that_ec2_reports_the_old_way_counts() -> None:
    raw = {
        "InstanceType": "inf1.6xlarge",
        "ProcessorInfo": {"SupportedArchitectures": ["i386", "x86_64"]},
        "VCpuInfo": {"DefaultVCpus": 24},
        "MemoryInfo": {"SizeInMiB": 49152},
        "InferenceAcceleratorInfo": {
            "Accelerators": [{"Count": 4, "Name": "Inferentia", "Manufacturer": "AWS"}]
        },
    }
    kind = parse_instance_type(raw)
    assert (kind.arch, kind.gpus) == ("amd64", {"aws.amazon.com/neuron": 4})
