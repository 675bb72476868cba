"""Scale-up, as whole passes in virtual time: what is bought, when, where and how often."""

from __future__ import annotations

import math
from typing import Any

import pytest

from springtide.actuation.outcome import PurchaseStarted
from springtide.planning.plan import PurchaseReason
from springtide.providers.simulated.failures import SlowBoot
from tests.scenarios.world import World, group, minutes

pytestmark = pytest.mark.looptime(noop_cycles=1)

NODE_CPU = 4
PODS_A_NODE = 4


def changes(world: World) -> list[tuple[str, int, int]]:
    """Every raise of a target: group, from, to."""
    return [(each.group, each.before, each.after) for each in world.raises]


async def test_the_first_pod_brings_the_first_node() -> None:
    world = await World().started()
    world.deploy("web", 1)
    took = await world.until(lambda: world.raises, within=2)
    assert took <= 1, "a lone pod waits for the settle window, not for a scan"
    await world.until(lambda: world.running("web"), within=60)
    assert world.targets == {"general/a": 1}
    assert {"TriggeredScaleUp", "ScaledUpGroup", "ScaleUpFinished"} <= world.event_reasons()


@pytest.mark.parametrize("pods", [1, 4, 5, 12, 37])
async def test_a_burst_is_bought_for_once(pods: int) -> None:
    world = await World().started()
    world.deploy("web", pods)
    await world.until(lambda: len(world.running("web")) == pods, within=90)
    await world.after(minutes(3))
    assert changes(world) == [("a", 0, math.ceil(pods / PODS_A_NODE))]


async def test_nothing_more_is_bought_while_nodes_boot_slowly() -> None:
    world = await World().started()
    world.cloud.set_failure(SlowBoot(seconds=minutes(10)))
    world.deploy("web", 8)
    await world.until(lambda: len(world.running("web")) == 8, within=minutes(11))
    assert changes(world) == [("a", 0, 2)]


async def test_a_second_burst_fills_what_is_coming_before_more_is_bought() -> None:
    world = await World().started()
    world.deploy("web", 6)  # two nodes, the second half full
    await world.after(10)
    world.deploy("api", 2)
    await world.after(10)
    assert changes(world) == [("a", 0, 2)]
    world.deploy("batch", 3)
    await world.until(lambda: len(world.running()) == 11, within=120)
    assert changes(world) == [("a", 0, 2), ("a", 2, 3)]


async def test_pods_that_are_gone_before_their_node_comes_are_not_bought_for_again() -> None:
    world = await World().started()
    world.deploy("web", 4)
    await world.until(lambda: world.raises, within=5)
    world.undeploy("web")
    world.deploy("api", 4)
    await world.until(lambda: len(world.running("api")) == 4, within=90)
    assert changes(world) == [("a", 0, 1)]


async def test_two_groups_of_a_pool_are_balanced() -> None:
    world = await World(pools={"general": {"groups": [group("a"), group("b", zone="zone-b")]}}).started()
    world.deploy("web", 24)
    await world.until(lambda: len(world.running("web")) == 24, within=90)
    assert world.targets == {"general/a": 3, "general/b": 3}


async def test_daemon_pods_are_counted_on_every_new_node() -> None:
    world = await World().started()
    world.daemon_set("agent", cpu="500m")
    world.deploy("web", 6)
    await world.until(lambda: len(world.running("web")) == 6, within=90)
    await world.after(minutes(2))
    assert changes(world) == [("a", 0, 2)]


LIMITS: dict[str, dict[str, Any]] = {
    "maxSize of the pool": {"pool": {"maxSize": 2}},
    "maxSize of the group": {"group": {"maxSize": 2}},
    "limits.max.nodes of the policy": {"policy": {"limits": {"max": {"nodes": 2}}}},
    "limits.max.cpu of the policy": {"policy": {"limits": {"max": {"cpu": "11"}}}},
    "limits.max.hourlyCost of the policy": {
        "policy": {"limits": {"max": {"hourlyCost": "0.5"}}},
        "group": {"hourlyPrice": "0.2"},
    },
}


@pytest.mark.parametrize("case", LIMITS, ids=str)
async def test_no_limit_is_exceeded(case: str) -> None:
    given = LIMITS[case]
    pool = {"groups": [group(**given.get("group", {}))], **given.get("pool", {})}
    world = await World(pools={"general": pool}, policies={"default": given.get("policy", {})}).started()
    world.deploy("web", 20)
    await world.after(minutes(5))
    assert world.targets == {"general/a": 2}
    assert len(world.running("web")) == 8
    assert "NotTriggerScaleUp" in world.event_reasons()


async def test_the_limit_of_a_policy_counts_its_own_pools_only() -> None:
    world = await World(
        pools={
            "general": {"groups": [group()]},
            "gpu": {
                "groups": [group(capacity={"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"})],
                "policyRef": {"name": "dear"},
                "template": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]},
            },
        },
        policies={"default": {}, "dear": {"limits": {"max": {"nodes": 1}}}},
    ).started()
    world.deploy("web", 12)
    world.deploy("train", 2, containers=[_with_gpu()], tolerations=[{"key": "gpu", "operator": "Exists"}])
    await world.after(minutes(3))
    assert world.targets["gpu/a"] == 1
    assert len(world.running("web")) == 12
    assert len(world.running("train")) == 1


def _with_gpu() -> dict[str, Any]:
    requests = {"cpu": "3", "memory": "1Gi", "nvidia.com/gpu": "1"}
    return {"name": "main", "resources": {"requests": requests, "limits": {"nvidia.com/gpu": "1"}}}


# --- the minimum -------------------------------------------------------------------------------------------------


async def test_the_minimum_is_there_without_any_pod() -> None:
    world = await World(pools={"general": {"groups": [group()], "minSize": 2}}).started()
    await world.until(lambda: len(world.nodes) == 2, within=60)
    assert {each.reason for each in world.of(PurchaseStarted)} == {PurchaseReason.BELOW_MINIMUM}


async def test_the_minimum_is_restored_after_somebody_shrank_the_group() -> None:
    world = await World(pools={"general": {"groups": [group()], "minSize": 3}}).started()
    await world.until(lambda: len(world.nodes) == 3, within=60)
    world.cloud.set_target(world.group(), 1)
    await world.until(lambda: world.targets == {"general/a": 3}, within=15)
    await world.until(lambda: sum(node.ready for node in world.nodes) == 3, within=90)
    assert world.terminations == []


async def test_the_minimum_is_never_gone_below() -> None:
    world = await World(pools={"general": {"groups": [group()], "minSize": 2}}).started()
    world.deploy("web", 16)
    await world.until(lambda: len(world.running("web")) == 16, within=90)
    world.undeploy("web")
    await world.after(minutes(30))
    assert world.targets == {"general/a": 2}


async def test_a_raised_minimum_takes_effect_at_once() -> None:
    world = await World().started()
    world.edit_pool(minSize=2)
    await world.until(lambda: world.targets == {"general/a": 2}, within=3)


async def test_a_lowered_maximum_removes_nothing() -> None:
    world = await World().started()
    world.deploy("web", 16)
    await world.until(lambda: len(world.running("web")) == 16, within=90)
    world.edit_pool(maxSize=2)
    await world.after(minutes(30))
    assert world.targets == {"general/a": 4}
    assert world.terminations == []
    assert world.evictions == []


async def test_a_group_added_later_is_used() -> None:
    world = await World(pools={"general": {"groups": [group(maxSize=1)]}}).started()
    world.deploy("web", 8)
    await world.after(minutes(2))
    assert len(world.running("web")) == 4
    world.edit_pool(groups=[group(maxSize=1), group("b")])
    await world.until(lambda: len(world.running("web")) == 8, within=90)


async def test_pods_that_fit_no_template_cause_no_purchase() -> None:
    world = await World().started()
    world.deploy("huge", 3, cpu="5")
    await world.after(minutes(5))
    assert world.raises == []
    assert "NotTriggerScaleUp" in world.event_reasons()
