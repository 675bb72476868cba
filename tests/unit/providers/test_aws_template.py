"""The imagined fresh node of an Auto Scaling group."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from springtide.api.nodepool import NodeTemplate
from springtide.cluster.groups import Template
from springtide.cluster.records import Taint, TaintEffect
from springtide.providers.aws.groups import AutoScalingGroup, Launch, parse_group
from springtide.providers.aws.template import TAG_PREFIX, BuiltTemplate, Machine, build_template, read_tags

GIB = 2**30


def group(
    *, zones: tuple[str, ...] = ("us-east-1a",), tags: Mapping[str, str] | None = None
) -> AutoScalingGroup:
    raw = {
        "AutoScalingGroupName": "asg",
        "DesiredCapacity": 0,
        "MinSize": 0,
        "MaxSize": 5,
        "AvailabilityZones": list(zones),
        "Tags": [{"Key": TAG_PREFIX + key, "Value": value} for key, value in (tags or {}).items()],
    }
    parsed = parse_group(raw)
    assert parsed.launch == Launch()
    return parsed


def machine(name: str, *, cpu: int = 4, gib: int = 16, arch: str = "amd64", gpus: int = 0) -> Machine:
    capacity = {"cpu": cpu * 1000, "memory": gib * GIB, "pods": 58}
    if gpus:
        capacity["nvidia.com/gpu"] = gpus
    return Machine(instance_type=name, arch=arch, capacity=capacity, source="EC2")


def build(asg: AutoScalingGroup, *machines: Machine, overrides: NodeTemplate | None = None) -> BuiltTemplate:
    return build_template(asg, machines, region="us-east-1", overrides=overrides, hourly_price=None)


def template(asg: AutoScalingGroup, *machines: Machine) -> Template:
    built = build(asg, *machines).template
    assert built is not None
    return built


def test_a_group_over_several_zones_promises_none_of_them() -> None:
    one = template(group(), machine("m5.xlarge"))
    several = template(group(zones=("us-east-1a", "us-east-1b")), machine("m5.xlarge"))
    zone_labels = {"topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone"}
    assert zone_labels <= one.labels.keys()
    assert not zone_labels & several.labels.keys()
    assert several.labels["topology.kubernetes.io/region"] == "us-east-1"


def test_several_types_promise_the_least_of_each_resource_and_only_common_labels() -> None:
    big = machine("g5.xlarge", cpu=8, gib=16, gpus=1)
    arm = machine("m6g.xlarge", cpu=4, gib=32, arch="arm64")
    built = template(group(), big, arm)
    assert built.capacity == {"cpu": 4000, "memory": 16 * GIB, "pods": 58}
    assert not {"kubernetes.io/arch", "node.kubernetes.io/instance-type"} & built.labels.keys()


def test_the_same_type_named_twice_is_one_type() -> None:
    built = template(group(), machine("m5.xlarge"), machine("m5.xlarge"))
    assert built.labels["node.kubernetes.io/instance-type"] == "m5.xlarge"
    assert built.source == "instance type m5.xlarge (EC2)"


def test_a_type_without_a_published_price_has_none() -> None:
    assert template(group(), machine("hpc7a.12xlarge")).hourly_price is None
    assert template(group(), machine("m5.xlarge")).hourly_price == 0.192


def test_without_a_known_type_tags_may_tell_enough() -> None:
    tags = {"resources/cpu": "2", "resources/memory": "4Gi"}
    assert build(group()).template is None
    built = template(group(tags=tags))
    assert built.capacity == {"cpu": 2000, "memory": 4 * GIB, "pods": 110}
    assert built.source == "tags"


def test_tags_are_read_and_override_the_type() -> None:
    tags = {
        "label/kubernetes.io/os": "windows",
        "taint/dedicated": "gpu:NoSchedule",
        "taint/bare": ":NoExecute",
        "resources/memory": "15Gi",
        "autoscaling-options/scaledownunneededtime": "1m",
    }
    built = template(group(tags=tags), machine("m5.xlarge"))
    assert built.labels["kubernetes.io/os"] == "windows"
    assert built.capacity["memory"] == 15 * GIB
    assert set(built.taints) == {
        Taint("dedicated", "gpu", TaintEffect.NO_SCHEDULE),
        Taint("bare", "", TaintEffect.NO_EXECUTE),
    }


@pytest.mark.parametrize(
    ("tag", "value", "complaint"),
    [
        ("taint/dedicated", "gpu", "value:Effect"),
        ("taint/dedicated", "gpu:Sometimes", "value:Effect"),
        ("resources/cpu", "many", "not a quantity"),
    ],
)
def test_a_wrong_tag_is_left_out_and_named(tag: str, value: str, complaint: str) -> None:
    read = read_tags({TAG_PREFIX + tag: value, TAG_PREFIX + "label/team": "blue"})
    assert read.labels == {"team": "blue"}
    assert (read.taints, read.capacity) == ((), {})
    [problem] = read.problems
    assert f"{tag}={value}" in problem
    assert complaint in problem


@pytest.mark.parametrize(
    ("template", "contradiction"),
    [
        pytest.param(
            {"allocatable": {"cpu": 64}},
            "cpu 64, but the capacity is 4 (instance type m5.xlarge (EC2) + spec.template)",
            id="more allocatable than the type has",
        ),
        pytest.param(
            {"capacity": {"memory": "8Gi"}, "allocatable": {"cpu": 4, "memory": "9Gi"}},
            "memory 9Gi, but the capacity is 8Gi (instance type m5.xlarge (EC2) + spec.template)",
            id="more than the template's own capacity",
        ),
        pytest.param({"allocatable": {"cpu": "3920m", "memory": "15Gi"}}, "", id="less"),
        pytest.param(
            {"allocatable": {"example.com/widget": 2}}, "", id="a resource the type knows nothing of"
        ),
    ],
)
def test_allocatable_beyond_the_capacity_is_no_template(
    template: dict[str, object], contradiction: str
) -> None:
    built = build(group(), machine("m5.xlarge"), overrides=NodeTemplate.model_validate(template))
    assert built.contradiction == contradiction
    assert (built.template is None) is bool(contradiction)
