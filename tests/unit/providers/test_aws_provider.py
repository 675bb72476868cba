"""The aws provider against an AWS with real manners: discovery, batching, templates, errors, interference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from devcluster.cloud.failures import Denied, InvalidCredentials, QuotaReached, ServerError, Throttled
from devcluster.cloud.groups import GroupSpec
from springtide.api.nodepool import NodePool
from springtide.cluster.groups import FailureClass, PoolListing
from springtide.cluster.records import Taint, TaintEffect
from springtide.providers.aws.iam import POLICY
from springtide.providers.aws.provider import AwsProvider
from springtide.providers.aws.session import CallSettings
from springtide.providers.base import AmbiguousError, CredentialsError, Provider
from tests.unit.providers.contract import Wish
from tests.unit.providers.worlds import NUMBERS, REGION, AwsWorld, make_pool

pytestmark = pytest.mark.asyncio(loop_scope="session")

OURS = "k8s.io/cluster-autoscaler/demo"
ENABLED = "k8s.io/cluster-autoscaler/enabled"


def named(*names: str, region: str = REGION, **spec: object) -> NodePool:
    aws = {"region": region, "autoScalingGroups": list(names)}
    return make_pool(f"pool-{next(NUMBERS)}", {"aws": aws}, **spec)


def discovered(tags: Mapping[str, str], **spec: object) -> NodePool:
    aws = {"region": REGION, "discovery": {"tags": dict(tags)}}
    return make_pool(f"pool-{next(NUMBERS)}", {"aws": aws}, **spec)


def fresh_name() -> str:
    return f"asg-{next(NUMBERS)}"


async def listed(provider: Provider, pool: NodePool) -> PoolListing:
    return (await provider.list_groups([pool]))[pool.name]


def has(listing: PoolListing, reason: str, field: str) -> bool:
    return any((problem.reason, problem.field) == (reason, field) for problem in listing.problems)


# --- discovery ---------------------------------------------------------------------------------------------------


async def test_an_unknown_name_is_a_problem_with_its_field_and_the_other_groups_go_on(
    aws_world: AwsWorld,
) -> None:
    pool = await aws_world.pool(Wish())
    known = aws_world.group_id(pool, "a")
    listing = await listed(aws_world.provider, named(known, "no-such-group"))
    assert [group.id for group in listing.groups] == [known]
    [problem] = listing.problems
    assert (problem.reason, problem.field) == ("GroupNotFound", "spec.provider.aws.autoScalingGroups[1]")
    assert not problem.fatal
    assert problem.field in problem.message
    assert "correct the name" in problem.message


async def test_a_pool_without_any_existing_group_is_left_alone(aws_world: AwsWorld) -> None:
    listing = await listed(aws_world.provider, named("no-such-group"))
    assert [problem.fatal for problem in listing.problems] == [True]


async def test_groups_are_discovered_by_all_their_tags(aws_world: AwsWorld) -> None:
    team = f"team-{next(NUMBERS)}"
    both, cluster_only, other_value = fresh_name(), fresh_name(), fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=both, tags={OURS: "owned", "team": team}))
    await aws_world.cloud.create_group(GroupSpec(name=cluster_only, tags={OURS: "owned"}))
    await aws_world.cloud.create_group(GroupSpec(name=other_value, tags={OURS: "owned", "team": "other"}))
    listing = await listed(aws_world.provider, discovered({OURS: "", "team": team}))
    assert [group.id for group in listing.groups] == [both]


@pytest.mark.parametrize(
    ("tags", "owned"),
    [
        pytest.param({ENABLED: ""}, False, id="a tag that every cluster's groups have"),
        pytest.param({"k8s.io/cluster-autoscaler/demo2": ""}, False, id="another cluster's name"),
        pytest.param({OURS: ""}, True, id="the cluster's name in the key"),
        pytest.param({"eks:cluster-name": "demo"}, True, id="the cluster's name as value"),
    ],
)
async def test_discovery_must_name_this_cluster(
    aws_world: AwsWorld, tags: dict[str, str], owned: bool
) -> None:
    listing = await listed(aws_world.provider, discovered(tags))
    assert has(listing, "DiscoveryNotOwned", "spec.provider.aws.discovery.tags") is not owned


async def test_without_a_cluster_name_nothing_is_discovered(aws_world: AwsWorld) -> None:
    nameless = AwsProvider(cluster_name="")
    listing = await listed(nameless, discovered({OURS: ""}))
    await nameless.aclose()
    [problem] = listing.problems
    assert problem.fatal
    assert "--cluster-name" in problem.message


async def test_tags_that_no_group_has_are_named(aws_world: AwsWorld) -> None:
    listing = await listed(aws_world.provider, discovered({OURS: "", "team": "nobody"}))
    assert has(listing, "GroupNotFound", "spec.provider.aws.discovery.tags")
    assert "team=nobody" in listing.problems[0].message


async def test_many_groups_are_read_in_few_calls(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    real = aws_world.group_id(pool, "a")
    await aws_world.listing(pool)
    aws_world.cloud.calls.clear()
    half = [f"missing-{number}" for number in range(120)]
    listings = await aws_world.provider.list_groups([named(real, *half[:70]), named(real, *half[70:])])
    calls = aws_world.cloud.calls.of("DescribeAutoScalingGroups")
    assert len(calls) == 2, "121 names in batches of 100"
    assert [len(listing.groups) for listing in listings.values()] == [1, 1]


async def test_an_idle_listing_is_a_single_call(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish(), Wish(name="b"))
    await aws_world.listing(pool)
    aws_world.cloud.calls.clear()
    await aws_world.listing(pool)
    assert [call.action for call in aws_world.cloud.calls] == ["DescribeAutoScalingGroups"]


# --- templates ---------------------------------------------------------------------------------------------------


async def test_an_empty_groups_template_comes_from_type_tags_and_spec(aws_world: AwsWorld) -> None:
    name = fresh_name()
    group = GroupSpec(
        name=name,
        instance_type="m5.xlarge",
        zones=("us-east-1b",),
        labels={"team": "blue", "tier": "web"},
        taints={"dedicated": "web:NoSchedule"},
        resources={"ephemeral-storage": "20Gi"},
    )
    await aws_world.cloud.create_group(group)
    spec = {"labels": {"tier": "api"}, "allocatable": {"cpu": "3500m"}}
    listing = await listed(aws_world.provider, named(name, template=spec, hourlyPrice="0.5"))
    template = listing.groups[0].template
    assert template is not None
    assert template.capacity == {
        "cpu": 4000,
        "memory": 16 * 2**30,
        "pods": 58,
        "ephemeral-storage": 20 * 2**30,
    }
    assert template.allocatable == {**template.capacity, "cpu": 3500}
    assert template.labels == {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "m5.xlarge",
        "team": "blue",
        "tier": "api",
        "topology.ebs.csi.aws.com/zone": "us-east-1b",
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": "us-east-1b",
    }
    assert template.taints == (Taint("dedicated", "web", TaintEffect.NO_SCHEDULE),)
    assert template.hourly_price == 0.5
    assert template.source == "instance type m5.xlarge (EC2) + tags + spec.template"


async def test_a_gpu_type_offers_its_gpus_at_the_packaged_price(aws_world: AwsWorld) -> None:
    name = fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=name, instance_type="g4dn.12xlarge"))
    template = (await listed(aws_world.provider, named(name))).groups[0].template
    assert template is not None
    assert template.capacity["nvidia.com/gpu"] == 4
    assert template.hourly_price == 3.912


async def test_a_mixed_group_promises_the_least_of_its_types(aws_world: AwsWorld) -> None:
    name = fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=name, override_types=("m5.xlarge", "c5.xlarge")))
    template = (await listed(aws_world.provider, named(name))).groups[0].template
    assert template is not None
    assert template.capacity == {"cpu": 4000, "memory": 8 * 2**30, "pods": 58}
    assert "node.kubernetes.io/instance-type" not in template.labels
    assert template.labels["kubernetes.io/arch"] == "amd64"
    assert template.source == "the least of m5.xlarge, c5.xlarge (EC2)"


async def test_an_unreadable_launch_template_is_a_problem_and_spec_template_helps(
    aws_world: AwsWorld,
) -> None:
    provider = AwsProvider(cluster_name="demo")
    name = fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=name))
    aws_world.cloud.failures.add(Denied(action="DescribeLaunchTemplateVersions"))
    capacity = {"cpu": 2, "memory": "4Gi"}
    bare, told = named(name), named(name, template={"capacity": capacity})
    listings = await provider.list_groups([bare, told])
    await provider.aclose()
    assert listings[bare.name].groups[0].template is None
    assert has(listings[bare.name], "TemplateUnknown", "spec.template.capacity")
    assert "ec2:DescribeLaunchTemplateVersions" in listings[bare.name].problems[0].message
    template = listings[told.name].groups[0].template
    assert template is not None
    assert (template.capacity["cpu"], template.source) == (2000, "spec.template")


async def test_the_packaged_table_serves_where_instance_types_may_not_be_described(
    aws_world: AwsWorld,
) -> None:
    provider = AwsProvider(cluster_name="demo")
    name = fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=name, instance_type="m5.xlarge"))
    aws_world.cloud.failures.add(Denied(action="DescribeInstanceTypes"))
    template = (await listed(provider, named(name))).groups[0].template
    await provider.aclose()
    assert template is not None
    assert template.capacity == {"cpu": 4000, "memory": 16 * 2**30, "pods": 58}
    assert template.source == "instance type m5.xlarge (packaged table)"


# --- failures and interference -----------------------------------------------------------------------------------


async def test_a_used_up_quota_is_told_in_one_sentence(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    group_id = aws_world.group_id(pool, "a")
    aws_world.cloud.failures.add(QuotaReached(group=group_id, vcpu_limit=32))
    await aws_world.provider.raise_target(pool, group_id, expected=0, to=1)
    group = await aws_world.until(pool, lambda group: bool(group.failures))
    assert group.failures[0].failure_class is FailureClass.QUOTA
    assert "vCPU limit of 32" in group.failures[0].message
    assert group.failures[0].message.count(". ") == 0


async def test_activities_are_read_only_for_groups_that_lack_instances(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish(name="a"), Wish(name="b"))
    lacking = aws_world.group_id(pool, "b")
    aws_world.run_out_of_capacity(pool, lacking, after=0)
    await aws_world.provider.raise_target(pool, lacking, expected=0, to=1)
    aws_world.cloud.calls.clear()
    await aws_world.listing(pool)
    assert [call.group for call in aws_world.cloud.calls.of("DescribeScalingActivities")] == [lacking]


async def test_after_a_restart_recent_failures_are_still_seen(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    group_id = aws_world.group_id(pool, "a")
    aws_world.run_out_of_capacity(pool, group_id, after=0)
    await aws_world.provider.raise_target(pool, group_id, expected=0, to=1)
    await aws_world.until(pool, lambda group: bool(group.failures))
    restarted = AwsProvider(cluster_name="demo")
    assert (await listed(restarted, pool)).groups[0].failures
    await restarted.aclose()
    later = AwsProvider(cluster_name="demo", clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    assert not (await listed(later, pool)).groups[0].failures
    await later.aclose()


async def test_what_else_changes_a_group_is_named(aws_world: AwsWorld) -> None:
    several_zones, one_zone = fresh_name(), fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=several_zones, zones=("us-east-1a", "us-east-1b")))
    await aws_world.cloud.create_group(GroupSpec(name=one_zone, zones=("us-east-1a",)))
    async with aws_world.cloud.client("autoscaling") as client:
        await client.put_scaling_policy(
            AutoScalingGroupName=one_zone,
            PolicyName="cpu-target",
            PolicyType="SimpleScaling",
            AdjustmentType="ChangeInCapacity",
            ScalingAdjustment=1,
        )
    provider = AwsProvider(cluster_name="demo")
    listing = await listed(provider, named(several_zones, one_zone))
    found = {group.id: group.interference for group in listing.groups}
    assert [text.partition(" is active")[0] for text in found[several_zones]] == ["AZRebalance"]
    assert "suspend that process" in found[several_zones][0]
    assert [text.partition(" changes")[0] for text in found[one_zone]] == ["scaling policy cpu-target"]
    assert "delete or disable that policy" in found[one_zone][0]
    async with aws_world.cloud.client("autoscaling") as client:
        await client.suspend_processes(AutoScalingGroupName=several_zones, ScalingProcesses=["AZRebalance"])
    assert (await listed(provider, named(several_zones))).groups[0].interference == ()
    await provider.aclose()


async def test_a_group_that_may_not_launch_is_named(aws_world: AwsWorld) -> None:
    name = fresh_name()
    await aws_world.cloud.create_group(GroupSpec(name=name))
    async with aws_world.cloud.client("autoscaling") as client:
        await client.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["Launch"])
    listing = await listed(aws_world.provider, named(name))
    assert has(listing, "GroupUnusable", "spec.provider.aws")
    assert [group.id for group in listing.groups] == [name]


async def test_what_may_not_be_read_beside_the_groups_is_told_and_the_pool_goes_on(
    aws_world: AwsWorld,
) -> None:
    pool = await aws_world.pool(Wish())
    provider = AwsProvider(cluster_name="demo")
    aws_world.cloud.failures.add(Denied(action="DescribePolicies"))
    listing = await listed(provider, pool)
    await provider.aclose()
    [problem] = listing.problems
    assert not problem.fatal
    assert "autoscaling:DescribePolicies" in problem.message
    assert len(listing.groups) == 1


# --- errors ------------------------------------------------------------------------------------------------------


async def test_a_denied_call_names_the_iam_action_to_allow(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    aws_world.cloud.failures.add(Denied(action="SetDesiredCapacity"))
    with pytest.raises(CredentialsError, match=r"allow the IAM action autoscaling:SetDesiredCapacity"):
        await aws_world.provider.raise_target(pool, aws_world.group_id(pool, "a"), expected=0, to=1)


async def test_unknown_credentials_are_said_to_be_so(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    aws_world.cloud.failures.add(InvalidCredentials())
    listing = await aws_world.listing(pool)
    assert listing.error_reason == "CredentialsDenied"
    assert "does not accept the credentials" in listing.error


async def test_a_server_error_of_a_mutation_is_ambiguous_and_not_retried(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    aws_world.cloud.failures.add(ServerError(action="SetDesiredCapacity"))
    aws_world.cloud.calls.clear()
    with pytest.raises(AmbiguousError):
        await aws_world.provider.raise_target(pool, aws_world.group_id(pool, "a"), expected=0, to=1)
    assert len(aws_world.cloud.calls.of("SetDesiredCapacity")) == 1


async def test_a_read_survives_a_passing_fault(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    provider = AwsProvider(cluster_name="demo")
    aws_world.cloud.failures.add(ServerError(action="DescribeAutoScalingGroups", next_calls=1))
    listing = await listed(provider, pool)
    await provider.aclose()
    assert (listing.error, len(listing.groups)) == ("", 1)


async def test_throttled_listings_are_told_apart(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    aws_world.cloud.failures.add(Throttled(action="DescribeAutoScalingGroups"))
    assert (await aws_world.listing(pool)).error_reason == "ProviderThrottled"


async def test_an_unreachable_endpoint_is_told_without_a_traceback(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    nowhere = AwsProvider(
        cluster_name="demo", settings=CallSettings(endpoint_url="http://127.0.0.1:9", read_attempts=1)
    )
    unreachable = await listed(nowhere, pool)
    await nowhere.aclose()
    assert unreachable.error_reason == "ProviderError"
    assert "cannot connect" in unreachable.error
    assert "Traceback" not in unreachable.error


async def test_only_calls_that_the_iam_policy_allows_are_made(aws_world: AwsWorld) -> None:
    pool = await aws_world.pool(Wish())
    provider = AwsProvider(cluster_name="demo")
    aws_world.cloud.calls.clear()
    await listed(provider, pool)
    group_id = aws_world.group_id(pool, "a")
    await provider.raise_target(pool, group_id, expected=0, to=1)
    instance = (await aws_world.until(pool, lambda group: bool(group.instances))).instances[0]
    await provider.terminate(pool, group_id, [instance.id, "i-00000000000000000"])
    await provider.aclose()
    allowed = {action for statement in POLICY["Statement"] for action in statement["Action"]}
    made = {f"{call.service}:{call.action}" for call in aws_world.cloud.calls}
    assert made <= allowed
    assert made >= {"autoscaling:SetDesiredCapacity", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes"}
