"""Reading clouds: a pool whose kind of provider is not installed learns why, and the others go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from springtide.api.conditions import Reason
from springtide.api.nodepool import NodePool
from springtide.api.parse import parse_nodepool, parse_policy
from springtide.runtime.cloud_watch import CloudWatch
from springtide.runtime.pools import pool_views

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AWS = {"aws": {"region": "us-east-1", "autoScalingGroups": ["asg-a"]}}


def pool(name: str, provider: dict[str, Any]) -> NodePool:
    parsed = parse_nodepool({"metadata": {"name": name, "uid": name}, "spec": {"provider": provider}})
    assert isinstance(parsed, NodePool)
    return parsed


def watch(**not_installed: str) -> CloudWatch:
    return CloudWatch(
        {},
        idle=timedelta(seconds=10),
        busy=timedelta(seconds=2),
        changed=lambda _: None,
        not_installed=not_installed,
    )


def test_a_pool_whose_provider_is_not_installed_says_what_to_install() -> None:
    clouds = watch(aws="install Springtide with the extra 'aws'")
    general = pool("general", AWS)
    clouds.follow([general])
    policy = parse_policy({"metadata": {"name": "default", "uid": "d"}, "spec": {}})
    (view,) = pool_views([general], [policy], clouds.listings, {}, now=NOW)
    (problem,) = view.problems
    assert (problem.reason, problem.fatal) == (Reason.PROVIDER_NOT_INSTALLED, True)
    assert problem.message == "spec.provider: install Springtide with the extra 'aws'"


def test_it_is_forgotten_with_its_pool() -> None:
    clouds = watch(aws="install it")
    clouds.follow([pool("general", AWS)])
    clouds.follow([])
    assert clouds.listings == {}
