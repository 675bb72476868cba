"""Auto Scaling groups as AWS describes them."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.cluster.groups import InstanceState
from springtide.providers.aws.groups import LaunchTemplateRef, Override, has_tags, parse_group


def described(**fields: Any) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": "asg",
        "DesiredCapacity": 2,
        "MinSize": 1,
        "MaxSize": 5,
        "AvailabilityZones": ["us-east-1b", "us-east-1a"],
        **fields,
    }


@pytest.mark.parametrize(
    ("lifecycle", "state"),
    [
        ("Pending", InstanceState.PENDING),
        ("Pending:Wait", InstanceState.PENDING),
        ("Pending:Proceed", InstanceState.PENDING),
        ("InService", InstanceState.RUNNING),
        ("Terminating", InstanceState.DELETING),
        ("Terminating:Wait", InstanceState.DELETING),
        ("Terminating:Proceed", InstanceState.DELETING),
    ],
)
def test_a_lifecycle_state_is_mapped(lifecycle: str, state: InstanceState) -> None:
    raw = {"InstanceId": "i-1", "AvailabilityZone": "us-east-1a", "LifecycleState": lifecycle}
    [instance] = parse_group(described(Instances=[raw])).instances
    assert instance.state is state
    assert instance.provider_id == "aws:///us-east-1a/i-1"


@pytest.mark.parametrize(
    "lifecycle", ["Standby", "EnteringStandby", "Terminated", "Detached", "Warmed:Stopped"]
)
def test_instances_outside_the_desired_capacity_do_not_count(lifecycle: str) -> None:
    raw = {"InstanceId": "i-1", "AvailabilityZone": "us-east-1a", "LifecycleState": lifecycle}
    assert parse_group(described(Instances=[raw])).instances == ()


def test_instances_going_away_are_not_alive() -> None:
    states = ["InService", "Pending", "Terminating"]
    raw = [{"InstanceId": f"i-{state}", "LifecycleState": state} for state in states]
    assert parse_group(described(Instances=raw)).alive == 2


def test_a_mixed_instances_policy_is_read_with_its_overrides() -> None:
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "$Latest"},
            "Overrides": [
                {"InstanceType": "m5.xlarge"},
                {"InstanceType": "m6g.xlarge", "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-arm"}},
                {"InstanceRequirements": {"VCpuCount": {"Min": 4}, "MemoryMiB": {"Min": 8192}}},
            ],
        }
    }
    launch = parse_group(described(MixedInstancesPolicy=policy)).launch
    assert launch.template == LaunchTemplateRef("lt-1", "$Latest")
    assert launch.overrides == (
        Override(instance_type="m5.xlarge"),
        Override(instance_type="m6g.xlarge", template=LaunchTemplateRef("lt-arm", "$Default")),
        Override(min_vcpu=4, min_memory_mib=8192),
    )
    assert not launch.weighted


@pytest.mark.parametrize(("weight", "weighted"), [("1", False), ("2", True)])
def test_weights_other_than_one_are_noticed(weight: str, weighted: bool) -> None:
    override = {"InstanceType": "m5.xlarge", "WeightedCapacity": weight}
    policy = {"LaunchTemplate": {"Overrides": [override]}}
    assert parse_group(described(MixedInstancesPolicy=policy)).launch.weighted is weighted


def test_a_launch_configuration_is_read() -> None:
    assert parse_group(described(LaunchConfigurationName="lc-1")).launch.configuration == "lc-1"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"a": "1"}, True),
        ({"a": ""}, True),
        ({"a": "2"}, False),
        ({"b": ""}, False),
        ({"a": "1", "b": ""}, False),
        ({"a": "", "empty": ""}, True),
    ],
)
def test_all_tags_are_needed_and_an_empty_value_matches_any(wanted: dict[str, str], expected: bool) -> None:
    tags = [{"Key": "a", "Value": "1"}, {"Key": "empty", "Value": ""}]
    assert has_tags(parse_group(described(Tags=tags)), wanted) is expected
