"""Scale-down, as whole passes in virtual time: which nodes go, when, and what keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.actuation.outcome import (
    EvictionBlocked,
    RemovalDone,
    RemovalRolledBack,
    RemovalStarted,
    RemovalTerminating,
    RollbackReason,
)
from tests.scenarios.virtual_time import now
from tests.scenarios.world import HARD, SOFT, World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

QUICK = {"scaleDown": {"unneededTime": "1m", "delayAfterAdd": "0s", "delayAfterFailure": "1m"}}


async def grown(pods: int, *, policy: Any = QUICK, cpu: str = "1", **pool: Any) -> World:
    """A world whose deployment "web" has just filled its nodes."""
    pool = {"groups": [group()], **pool}
    world = await World(pools={"general": pool}, policies={"default": policy}).started()
    world.deploy("web", pods, cpu=cpu)
    await world.until(lambda: len(world.running("web")) == pods, within=120)
    return world


async def draining(policy: Any) -> World:
    """A world in which the removal of one of two half empty nodes has just begun, with budget "web" over its pods."""
    world = await grown(8, policy=policy)
    world.budget("web", min_available=1)
    world.deploy("web", 4)
    await world.until(lambda: world.of(RemovalStarted), within=minutes(5))
    return world


async def removed(world: World, count: int, *, within: float) -> float:
    """Wait until so many removals are done."""
    return await world.until(lambda: len(world.of(RemovalDone)) == count, within=within)


# --- when --------------------------------------------------------------------------------------------------------


async def test_an_empty_node_goes_after_the_unneeded_time() -> None:
    world = await grown(4, policy={"scaleDown": {"delayAfterAdd": "0s"}})
    world.undeploy("web")
    await world.until(lambda: world.marked(SOFT), within=20)
    took = await world.until(lambda: world.marked(HARD), within=minutes(11))
    assert minutes(9.5) <= took <= minutes(10.5)
    await world.until(lambda: not world.nodes, within=60)
    assert world.targets == {"general/a": 0}


@pytest.mark.parametrize(
    ("delay", "at_least"),
    [pytest.param("5m", 5, id="delayAfterAdd"), pytest.param("20m", 20, id="a long delayAfterAdd")],
)
async def test_nothing_goes_soon_after_a_purchase(delay: str, at_least: float) -> None:
    world = await grown(4, policy={"scaleDown": {"unneededTime": "1m", "delayAfterAdd": delay}})
    bought = world.raises[-1].at
    world.undeploy("web")
    await world.until(lambda: world.of(RemovalStarted), within=minutes(30))
    assert minutes(at_least) <= (now() - bought).total_seconds() <= minutes(at_least + 1)


async def test_nothing_goes_soon_after_a_removal() -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "delayAfterDelete": "10m", "maxParallel": 1}}
    world = await grown(8, policy=policy)
    world.undeploy("web")
    await removed(world, 1, within=minutes(3))
    took = await removed(world, 2, within=minutes(15))
    assert took >= minutes(10)


async def test_nothing_goes_soon_after_a_failed_removal() -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "delayAfterFailure": "10m", "maxPodEvictionTime": "30s"}}
    world = await draining(policy)
    world.budget("web", min_available=4)
    await world.until(lambda: world.of(RemovalRolledBack), within=minutes(2))
    assert not world.marked(HARD, "cordon")
    world.undeploy("web")
    begun = len(world.of(RemovalStarted))
    took = await world.until(lambda: len(world.of(RemovalStarted)) > begun, within=minutes(15))
    assert took >= minutes(9)


async def test_a_node_that_is_needed_again_loses_its_soft_taint_and_its_timer() -> None:
    world = await grown(4, policy={"scaleDown": {"unneededTime": "4m", "delayAfterAdd": "0s"}})
    world.deploy("web", 0)
    await world.until(lambda: world.marked(SOFT), within=20)
    await world.after(minutes(3))
    world.deploy("web", 4)
    await world.until(lambda: not world.marked(SOFT), within=20)
    world.deploy("web", 0)
    took = await world.until(lambda: world.marked(HARD), within=minutes(6))
    assert took >= minutes(4)


# --- which -------------------------------------------------------------------------------------------------------


async def test_pods_move_together_before_a_node_goes() -> None:
    world = await grown(8)
    world.deploy("web", 4)
    await world.until(lambda: len(world.nodes) == 1, within=minutes(5))
    await world.until(lambda: len(world.running("web")) == 4, within=30)
    await world.after(minutes(5))
    assert world.targets == {"general/a": 1}
    assert len(world.raises) == 1


async def test_a_node_whose_pods_fit_nowhere_else_stays() -> None:
    world = await grown(4, cpu="2")
    world.deploy("web", 3, cpu="2")
    await world.after(minutes(10))
    assert world.targets == {"general/a": 2}
    assert world.evictions == []


KEEPERS: dict[str, dict[str, Any]] = {
    "a bare pod": {},
    "safe-to-evict=false": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}},
    "do-not-disrupt": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}},
}


@pytest.mark.parametrize("case", KEEPERS, ids=str)
async def test_a_pod_that_must_not_move_keeps_its_node(case: str) -> None:
    world = await grown(4)
    world.bare_pod("alone", **KEEPERS[case])
    await world.until(lambda: world.running("alone"), within=60)
    world.undeploy("web")
    await world.after(minutes(15))
    assert [pod.name for pod in world.running()] == ["alone"]
    assert len(world.nodes) == 1
    assert world.evictions == []
    (candidate_free,) = [world.status()["scaleDown"]]
    assert candidate_free["state"] == "NoCandidates"


# --- how many at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_no_more_nodes_go_at_once_than_allowed(most: int) -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "maxParallel": most}}
    world = await grown(20, policy=policy)
    world.undeploy("web")
    at_once = 0

    def gone() -> bool:
        nonlocal at_once
        at_once = max(at_once, len(world.marked(HARD)))
        return not world.nodes

    await world.until(gone, within=minutes(10))
    assert at_once == most


async def test_no_more_nodes_are_drained_at_once_than_allowed() -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "maxParallelDrain": 1}}
    world = await grown(20, policy=policy)
    world.deploy("web", 5)  # one pod on each node, most likely; they fit two
    at_once = 0

    def gone() -> bool:
        nonlocal at_once
        at_once = max(at_once, len(world.marked(HARD)))
        return len(world.nodes) == 2

    await world.until(gone, within=minutes(15))
    assert at_once >= 1
    assert len(world.running("web")) >= 4


async def test_a_drain_goes_on_as_its_budget_frees_up() -> None:
    world = await draining(QUICK)
    world.budget("web", min_available=3)
    await world.until(lambda: world.of(EvictionBlocked), within=30)
    await world.until(lambda: world.of(RemovalDone), within=minutes(2))
    assert len(world.evictions) == 2
    assert len(world.running("web")) == 4


async def test_a_budget_that_allows_nothing_keeps_the_node() -> None:
    world = await grown(8)
    world.deploy("web", 4)
    world.budget("web", min_available=4)
    await world.after(minutes(15))
    full = [node for node in world.nodes if world.residents(node.name)]
    assert len(world.nodes) == len(full)
    assert world.evictions == []


async def test_a_drain_respects_the_budget_at_every_moment() -> None:
    world = await grown(12)
    world.budget("web", min_available=5)
    world.deploy("web", 6)

    def enough() -> bool:
        assert len(world.running("web")) >= 5
        return len(world.nodes) == 2

    await world.until(enough, within=minutes(20))


# --- what happens meanwhile --------------------------------------------------------------------------------------


async def test_a_pod_that_lands_after_the_taint_ends_the_removal() -> None:
    world = await grown(4)
    world.undeploy("web")
    await world.until(lambda: world.marked(HARD), within=minutes(3))
    (node,) = world.nodes
    world.land(node.name)
    await world.until(lambda: world.of(RemovalRolledBack), within=30)
    assert world.of(RemovalRolledBack)[0].reason is RollbackReason.NEW_POD
    assert world.terminations == []
    assert not world.marked(HARD, "cordon")


async def test_pods_of_a_node_that_goes_find_room_or_it_is_bought() -> None:
    world = await grown(8)
    world.deploy("web", 4)
    await world.until(lambda: world.of(RemovalStarted), within=minutes(5))
    world.deploy("rush", 8)
    await world.until(lambda: len(world.running()) == 12, within=minutes(4))
    assert not world.marked(HARD, "cordon")
    assert len(world.nodes) <= 4


async def test_a_paused_pool_finishes_the_removal_that_is_under_way() -> None:
    world = await grown(4)
    world.undeploy("web")
    await world.until(lambda: world.marked(HARD), within=minutes(3))
    world.edit_pool(mode="Paused")
    await world.after(minutes(3))
    # Whatever pausing does to it, no node may be left between two chairs.
    assert not world.marked(HARD)


async def test_a_deleted_pool_lets_its_nodes_go_free() -> None:
    world = await draining({"scaleDown": {**QUICK["scaleDown"], "maxPodEvictionTime": "5m"}})
    world.budget("web", min_available=4)
    await world.after(10)
    world.delete_pool()
    await world.until(lambda: world.server.get("NodePool", "general") is None, within=30)
    await world.after(minutes(5))
    assert not world.marked()
    assert world.of(RemovalTerminating) == []
    assert len(world.nodes) == 2


async def test_a_deleted_policy_rolls_its_removals_back() -> None:
    world = await draining({"scaleDown": {**QUICK["scaleDown"], "maxPodEvictionTime": "5m"}})
    world.budget("web", min_available=4)
    await world.after(10)
    world.delete_policy()
    await world.until(lambda: world.server.get("AutoscalerPolicy", "default") is None, within=30)
    await world.after(minutes(5))
    assert not world.marked()
    assert len(world.nodes) == 2


async def test_a_group_taken_off_the_pool_is_released() -> None:
    world = await grown(16, groups=[group("a"), group("b", zone="zone-b")])
    world.undeploy("web")
    await world.until(lambda: len(world.marked(SOFT)) == 4, within=30)
    world.edit_pool(groups=[group("a")])
    await world.until(lambda: len(world.marked(SOFT)) == 2, within=60)
    await world.after(minutes(10))
    assert world.targets == {"general/a": 0, "general/b": 2}
    assert [node.name for node in world.nodes] == ["general-b-1", "general-b-2"]
    assert not world.marked()


# --- unready nodes -----------------------------------------------------------------------------------------------


async def test_an_unready_node_goes_after_the_unready_time() -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "unreadyTime": "10m"}}
    world = await grown(16, policy=policy)
    (first, *_) = world.nodes
    await world.after(minutes(3))
    world.control_plane.silence(first.name)
    await world.until(lambda: first.name in world.terminated, within=minutes(20))
    await world.until(lambda: len(world.running("web")) == 16, within=minutes(2))
    await world.until(lambda: len(world.nodes) == 4, within=60)


async def test_a_node_that_recovers_in_time_stays() -> None:
    policy = {"scaleDown": {**QUICK["scaleDown"], "unreadyTime": "10m"}}
    world = await grown(16, policy=policy)
    (first, *_) = world.nodes
    await world.after(minutes(3))
    world.control_plane.silence(first.name)
    await world.after(minutes(4))
    world.control_plane.recover(first.name)
    await world.after(minutes(20))
    assert first.name not in world.terminated


async def test_while_most_nodes_are_unready_nothing_changes() -> None:
    world = await grown(32)
    await world.after(minutes(3))
    for node in world.nodes[:5]:
        world.control_plane.silence(node.name)
    await world.after(minutes(2))
    bought = len(world.raises)
    world.deploy("more", 4)
    await world.after(minutes(60))
    assert world.terminations == []
    assert len(world.raises) == bought
