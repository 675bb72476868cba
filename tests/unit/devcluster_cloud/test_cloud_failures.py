"""Rules of failure, and how they are written on a command line."""

import pytest

from devcluster.cloud.failures import (
    Failures,
    Latency,
    NeverRegisters,
    NoCapacity,
    SlowBoot,
    Throttled,
    parse_rule,
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("no-capacity", NoCapacity()),
        ("no-capacity:zone=us-east-1a,available=2", NoCapacity(zone="us-east-1a", available=2)),
        ("slow-boot:group=general,seconds=30", SlowBoot(group="general", seconds=30.0)),
        ("never-registers:instance-type=m5.xlarge", NeverRegisters(instance_type="m5.xlarge")),
        (
            "throttled:action=SetDesiredCapacity,next-calls=3",
            Throttled(action="SetDesiredCapacity", next_calls=3),
        ),
        ("throttled:per_second=0.5", Throttled(per_second=0.5)),
        ("latency:seconds=0.2", Latency(seconds=0.2)),
    ],
)
def test_rules_are_read_from_text(text, rule):
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no-capcity", "known are .*no-capacity"),
        ("no-capacity:region=us", "it has available, group, instance_type, zone"),
        ("slow-boot", "seconds"),
        ("no-capacity:available=many", "many"),
    ],
)
def test_text_that_is_no_rule_says_what_would_be(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_rule(text)


def test_a_rule_covers_only_what_all_its_bounds_allow():
    rule = NoCapacity(zone="us-east-1a", instance_type="m5.xlarge")
    assert rule.covers(group="any", zone="us-east-1a", instance_type="m5.xlarge")
    assert not rule.covers(group="any", zone="us-east-1b", instance_type="m5.xlarge")
    assert not rule.covers(group="any", zone="us-east-1a", instance_type="c5.xlarge")


def test_a_counted_rule_wears_out():
    rule = Throttled(action="SetDesiredCapacity", next_calls=2)
    assert not rule.applies("DescribeAutoScalingGroups")
    assert [rule.applies("SetDesiredCapacity") for _ in range(3)] == [True, True, False]


def test_rules_given_at_the_start_are_copied_so_that_one_option_can_serve_two_clouds():
    option = NoCapacity(available=1)
    Failures([option]).of(NoCapacity)[0].available -= 1
    assert option.available == 1


def test_equal_rules_are_removed_one_by_one():
    failures = Failures()
    first, second = failures.add(NoCapacity()), failures.add(NoCapacity())
    failures.remove(first)
    assert failures.rules == (second,)
    failures.clear()
    assert failures.rules == ()
