"""Who owns which group, and what is wrong with a pool: tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.api.parse import InvalidResource, parse_nodepool, parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.api.settings import Mode
from springtide.cluster.groups import NodeGroup, PoolListing
from springtide.cluster.snapshot import PoolView
from springtide.runtime.pools import pool_views

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pool(name: str = "general", *, age_minutes: int = 10, **spec: Any) -> NodePool:
    aws = {"region": "us-east-1", "autoScalingGroups": ["asg-a"]}
    created = NOW - timedelta(minutes=age_minutes)
    parsed = parse_nodepool(
        {
            "metadata": {"name": name, "uid": name, "creationTimestamp": created.isoformat()},
            "spec": {"provider": {"aws": aws}, **spec},
        }
    )
    assert isinstance(parsed, NodePool)
    return parsed


def policy(name: str = "default", **spec: Any) -> AutoscalerPolicy | InvalidResource:
    return parse_policy({"metadata": {"name": name, "uid": name}, "spec": spec})


def listing(name: str, *groups: NodeGroup, **extra: Any) -> PoolListing:
    return PoolListing(pool=name, groups=groups, **{"read_at": NOW, **extra})


def group(
    name: str = "asg-a", *, pool: str = "general", bounds: tuple[int, int] = (0, 10), **extra: Any
) -> NodeGroup:
    return NodeGroup(
        id=name,
        pool=pool,
        target=0,
        min_size=bounds[0],
        max_size=bounds[1],
        instances=(),
        template=None,
        **extra,
    )


def view(node_pool: NodePool, *listings: PoolListing, policies: tuple[Any, ...] = (policy(),)) -> PoolView:
    views = pool_views([node_pool], policies, {one.pool: one for one in listings}, {}, now=NOW)
    return views[0]


def fatal(pool_view: PoolView) -> list[str]:
    return [problem.reason for problem in pool_view.problems if problem.fatal]


def test_a_pool_whose_policy_and_groups_exist_is_managed() -> None:
    seen = view(pool(), listing("general", group()))
    assert not seen.left_alone
    assert [one.id for one in seen.groups] == ["asg-a"]


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        pytest.param((), Reason.POLICY_NOT_FOUND, id="no policy"),
        pytest.param((policy("other"),), Reason.POLICY_NOT_FOUND, id="another policy"),
        pytest.param((policy(scanInterval="soon"),), Reason.POLICY_INVALID, id="a policy nobody can read"),
    ],
)
def test_without_a_usable_policy_a_pool_is_left_alone(policies: tuple[Any, ...], reason: Reason) -> None:
    seen = view(pool(), listing("general", group()), policies=policies)
    assert fatal(seen) == [reason]
    assert "spec.policyRef.name" in seen.problems[0].message


@pytest.mark.parametrize(
    ("spec", "bounds", "words"),
    [
        pytest.param(
            {"maxSize": 11},
            (0, 10),
            ["spec.maxSize", "11", "10", "lower maxSize"],
            id="max above the groups'",
        ),
        pytest.param(
            {"maxSize": 1},
            (2, 10),
            ["spec.maxSize", "at least 2", "raise maxSize"],
            id="max below the groups' min",
        ),
        pytest.param(
            {"minSize": 11}, (0, 10), ["spec.minSize", "11", "lower minSize"], id="min above the groups'"
        ),
    ],
)
def test_bounds_that_the_groups_can_never_meet(
    spec: dict[str, int], bounds: tuple[int, int], words: list[str]
) -> None:
    seen = view(pool(**spec), listing("general", group(bounds=bounds)))
    assert fatal(seen) == [Reason.BOUNDS_CONTRADICT]
    for word in words:
        assert word in seen.problems[0].message


def test_bounds_within_the_groups_are_fine() -> None:
    assert not view(pool(minSize=1, maxSize=10), listing("general", group())).left_alone


def test_the_older_of_two_pools_keeps_the_group() -> None:
    old, new = pool("old", age_minutes=20), pool("new", age_minutes=5)
    listings = {name: listing(name, group(pool=name)) for name in ("old", "new")}
    first, second = pool_views([new, old], [policy()], listings, {}, now=NOW)
    assert (first.name, second.name) == ("old", "new")
    assert [one.id for one in first.groups] == ["asg-a"]
    assert not first.left_alone
    assert second.groups == ()
    assert fatal(second) == [Reason.GROUP_CLAIMED]
    assert "'old'" in second.problems[0].message


def test_groups_of_the_same_name_in_two_regions_are_two_groups() -> None:
    here = pool("here")
    there = parse_nodepool(
        {
            "metadata": {"name": "there", "uid": "there"},
            "spec": {"provider": {"aws": {"region": "eu-west-1", "autoScalingGroups": ["asg-a"]}}},
        }
    )
    assert isinstance(there, NodePool)
    listings = {name: listing(name, group(pool=name)) for name in ("here", "there")}
    assert not any(seen.left_alone for seen in pool_views([here, there], [policy()], listings, {}, now=NOW))


def test_before_the_cloud_was_read_a_pool_waits() -> None:
    assert fatal(view(pool())) == [Reason.NOT_LISTED_YET]


def test_a_cloud_that_never_answered_is_a_problem_and_one_that_stopped_answering_is_not_yet() -> None:
    assert fatal(view(pool(), listing("general", read_at=None, error="denied"))) == [Reason.PROVIDER_ERROR]
    assert not view(pool(), listing("general", group(), error="timeout")).left_alone


def test_interference_is_told_but_not_fatal() -> None:
    seen = view(pool(), listing("general", group(interference=("AZRebalance is active",))))
    assert not seen.left_alone
    assert [problem.reason for problem in seen.problems] == [Reason.AZ_REBALANCE_ACTIVE]


@pytest.mark.parametrize(
    ("of_pool", "of_policy", "effective"),
    [
        ("Active", "Active", Mode.ACTIVE),
        ("DryRun", "Active", Mode.DRY_RUN),
        ("Active", "Paused", Mode.PAUSED),
        ("DryRun", "Paused", Mode.PAUSED),
    ],
)
def test_the_stricter_mode_is_in_force(of_pool: str, of_policy: str, effective: Mode) -> None:
    seen = view(pool(mode=of_pool), listing("general", group()), policies=(policy(mode=of_policy),))
    assert seen.mode is effective
