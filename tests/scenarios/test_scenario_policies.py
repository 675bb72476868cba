"""Modes, several policies, limits, health and neighbours: when nothing must change, and that it is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from springtide.actuation.outcome import RemovalStarted
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, SOFT, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK: dict[str, Any] = {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "0s"}}


async def unneeded() -> World:
    """A world with two idle nodes above the minimum, about to be given back."""
    world = await World(policies={"default": QUICK}).started()
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=90)
    world.undeploy("web")
    await world.until(lambda: world.marked(SOFT), within=30)
    return world


QUIET: dict[str, Callable[[World], object]] = {
    "paused pool": lambda world: world.edit_pool(mode="Paused"),
    "pool in dry run": lambda world: world.edit_pool(mode="DryRun"),
    "paused policy": lambda world: world.edit_policy(mode="Paused"),
    "policy in dry run": lambda world: world.edit_policy(mode="DryRun"),
    "policy that does not exist": lambda world: world.edit_pool(policyRef={"name": "nobody"}),
}


@pytest.mark.parametrize("case", QUIET, ids=str)
async def test_what_must_not_change_anything_changes_nothing(case: str) -> None:
    world = await unneeded()
    QUIET[case](world)
    await world.after(5)
    before = (len(world.raises), len(world.terminations))
    world.deploy("big", 40)
    await world.after(minutes(15))
    world.undeploy("big")
    await world.after(minutes(15))
    assert (len(world.raises), len(world.terminations)) == before
    assert world.targets == {"general/a": 2}
    assert not world.marked(HARD, "cordon")


@pytest.mark.parametrize("case", QUIET, ids=str)
async def test_work_goes_on_when_it_may(case: str) -> None:
    world = await unneeded()
    QUIET[case](world)
    await world.after(minutes(3))
    world.edit_pool(mode="Active", policyRef={"name": "default"})
    world.edit_policy(mode="Active")
    await world.until(lambda: not world.nodes, within=minutes(5))


async def test_a_dry_run_says_what_it_would_do() -> None:
    world = await World(pools={"general": {"groups": [group()], "mode": "DryRun"}}).started()
    world.deploy("web", 8)
    await world.after(30)
    assert "DryRunScaleUp" in world.event_reasons()
    assert world.raises == []
    assert world.status()["lastDecision"]["action"] == "DryRunScaleUp"


async def test_a_pool_in_dry_run_absorbs_no_pod() -> None:
    world = await World(
        pools={
            "try": {"groups": [group(capacity={"cpu": "4", "memory": "4Gi"})], "mode": "DryRun"},
            "general": {"groups": [group()]},
        }
    ).started()
    world.deploy("web", 4)
    await world.until(lambda: len(world.running("web")) == 4, within=60)
    assert world.targets["try/a"] == 0


async def test_each_pool_follows_its_own_policy() -> None:
    world = await World(
        pools={
            "slow": {"groups": [group()], "policyRef": {"name": "slow"}},
            "quick": {"groups": [group()], "policyRef": {"name": "quick"}},
        },
        policies={
            "slow": {"scaleDown": {"unneededTime": "30m", "delayAfterAdd": "0s"}},
            "quick": {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "0s"}},
        },
    ).started()
    world.edit_pool("slow", minSize=2)
    world.edit_pool("quick", minSize=2)
    await world.until(lambda: len(world.nodes) == 4, within=90)
    world.edit_pool("slow", minSize=0)
    world.edit_pool("quick", minSize=0)
    await world.after(minutes(5))
    assert world.targets == {"slow/a": 2, "quick/a": 0}
    await world.until(lambda: not world.nodes, within=minutes(30))


async def test_the_lower_limit_of_a_policy_is_kept() -> None:
    world = await World(policies={"default": {**QUICK, "limits": {"min": {"nodes": 1}}}}).started()
    world.deploy("web", 12)
    await world.until(lambda: len(world.running("web")) == 12, within=90)
    world.undeploy("web")
    await world.after(minutes(20))
    assert world.targets == {"general/a": 1}


async def test_a_policy_edited_while_running_takes_effect_without_a_restart() -> None:
    world = await World(policies={"default": {"limits": {"max": {"nodes": 1}}}}).started()
    world.deploy("web", 8)
    await world.after(minutes(2))
    assert world.targets == {"general/a": 1}
    world.edit_policy(limits=None)
    await world.until(lambda: world.targets == {"general/a": 2}, within=5)


# --- neighbours --------------------------------------------------------------------------------------------------


async def _renewing(world: World, seconds: float) -> None:
    for _ in range(int(seconds // 5)):
        world.cluster_autoscaler_lives()
        await world.after(5)


async def test_while_cluster_autoscaler_lives_nothing_changes() -> None:
    world = await unneeded()
    world.cluster_autoscaler_lives()
    world.deploy("web", 20)
    await _renewing(world, minutes(5))
    assert len(world.raises) == 1
    assert world.terminations == []
    said = [c for c in world.status()["conditions"] if "Cluster Autoscaler" in c.get("message", "")]
    assert said
    await world.until(lambda: len(world.running("web")) == 20, within=minutes(3))


async def test_a_cluster_that_was_not_heard_of_for_long_loses_no_node() -> None:
    world = await unneeded()
    world.api_silence_seconds = minutes(4)
    await world.after(minutes(10))
    assert world.terminations == []
    assert not world.marked(HARD)
    world.api_silence_seconds = 0.0
    await world.until(lambda: not world.nodes, within=minutes(3))


async def test_a_cluster_that_was_not_heard_of_for_very_long_gets_no_node() -> None:
    world = await World().started()
    world.api_silence_seconds = minutes(11)
    world.deploy("web", 4)
    await world.after(minutes(5))
    assert world.raises == []
    world.api_silence_seconds = 0.0
    await world.until(lambda: world.raises, within=15)


# --- deletions ---------------------------------------------------------------------------------------------------


async def _at_once(world: World) -> None:
    await world.after(0)


async def _killed(world: World) -> None:
    await world.restart_operator(away=1)


@pytest.mark.parametrize("then", [_at_once, _killed], ids=["", "killed"])
@pytest.mark.parametrize("what", ["NodePool", "AutoscalerPolicy"])
async def test_what_is_deleted_leaves_no_mark_behind(
    what: str, then: Callable[[World], Awaitable[None]]
) -> None:
    world = await unneeded()
    if what == "NodePool":
        world.delete_pool()
    else:
        world.delete_policy()
    await then(world)
    await world.until(lambda: not world.server.objects[what], within=60)
    await world.after(minutes(5))
    assert not world.marked()
    assert len(world.nodes) == 2
    assert world.terminations == []


async def test_a_policy_that_comes_back_takes_its_pools_up_again() -> None:
    world = await unneeded()
    world.delete_policy()
    await world.until(lambda: not world.server.objects["AutoscalerPolicy"], within=60)
    assert world.condition()["reason"] == "PolicyNotFound"
    world.add_policy(**QUICK)
    begun = now()
    await world.until(lambda: world.of(RemovalStarted), within=minutes(3))
    assert (now() - begun).total_seconds() >= minutes(1)


async def test_a_pool_made_anew_under_the_same_name_starts_afresh() -> None:
    world = await unneeded()
    world.delete_pool()
    await world.until(lambda: not world.server.objects["NodePool"], within=60)
    await world.after(2)
    world.add_pool("general", groups=[group()])
    await world.until(lambda: not world.nodes, within=minutes(4))
