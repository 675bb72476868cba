"""Topology spread and anti-affinity: what is bought for such pods, and where they go when nodes are given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from tests.e2e.test_scale_down import QUICK, blocked_by
from tests.e2e.world import HOSTNAME, ZONE, ZONES, Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

EVENLY = dict.fromkeys(ZONES, 2)


def spread(app: str) -> list[Manifest]:
    """Evenly over the zones, or not at all."""
    rule = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    return [rule | {"labelSelector": {"matchLabels": {"spread": app}}}]


def apart(app: str) -> Manifest:
    """Each on a node of its own."""
    term = {"labelSelector": {"matchLabels": {"apart": app}}, "topologyKey": HOSTNAME}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


async def spread_app(world: World, replicas: int, *, cpu: str, place: str) -> str:
    """A Deployment spread over the zones of the nodes labelled place=<place>."""
    name = unique("spread")
    return await world.deployment(
        replicas,
        cpu=cpu,
        labels={"spread": name},
        nodeSelector={"place": place},
        topologySpreadConstraints=spread(name),
    )


async def apart_app(world: World, replicas: int, *, place: str) -> str:
    name = unique("apart")
    return await world.deployment(
        replicas, cpu="200m", labels={"apart": name}, nodeSelector={"place": place}, affinity=apart(name)
    )


async def cordon(world: World, nodes: Iterable[str], *, on: bool = True) -> None:
    for node in nodes:
        await world.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": on}})


async def test_all_zones_of_a_spread_are_bought_in_one_pass_and_nothing_twice(world: World) -> None:
    place, policy = unique("place"), await world.policy()
    groups = [await world.group(zones=(zone,), labels={"place": place}) for zone in ZONES]
    pools = [await world.pool(group, policy=policy) for group in groups]
    # A node holds two of these pods, so that three nodes hold six of them evenly in whatever order they come.
    app = await spread_app(world, 6, cpu="1800m", place=place)
    await world.refused(app, 6)
    async with world.operator():
        await world.running(app, 6)
        for pool in pools:
            await world.events(pool, "ScaleUpFinished")
        plans = {(await world.node_pool(pool))["status"]["lastDecision"]["planID"] for pool in pools}
        assert len(plans) == 1
        assert [world.raises(group) for group in groups] == [[1], [1], [1]]
        assert await world.pods_by(ZONE, app) == EVENLY
        # Until the other zones' new nodes are there, the first one may hold no more than one pod: the rest waits for
        # nodes on their way, and nothing is bought for it once more.
        await world.scale(app, 12)
        await world.running(app, 12)
        assert await world.pods_by(ZONE, app) == dict.fromkeys(ZONES, 4)
    assert [world.cloud.desired(group) for group in groups] == [2, 2, 2]


async def test_pods_that_keep_apart_get_a_node_each_and_no_more(world: World) -> None:
    place = unique("place")
    group = await world.group(labels={"place": place})
    await world.pool(group, policy=await world.policy())
    app = await apart_app(world, 5, place=place)
    await world.refused(app, 5)
    async with world.operator():
        await world.running(app, 5)
    assert world.raises(group) == [5]
    assert set((await world.pods_by(HOSTNAME, app)).values()) == {1}


async def test_pods_of_a_spread_move_within_their_zones_when_nodes_are_given_back(world: World) -> None:
    place = unique("place")
    groups = [await world.group(zones=(zone,), labels={"place": place}, desired=2) for zone in ZONES]
    pairs = [await world.nodes_settle(group, 2) for group in groups]
    first, second = zip(*([node["metadata"]["name"] for node in pair] for pair in pairs), strict=True)
    # A pod on each node: the scheduler alone would put two on some.
    await cordon(world, second)
    app = await spread_app(world, 3, cpu="200m", place=place)
    await world.running(app, 3)
    await cordon(world, second, on=False)
    await cordon(world, first)
    await world.scale(app, 6)
    await world.running(app, 6)
    await cordon(world, first, on=False)
    before = await world.pods_by(HOSTNAME, app)
    await world.pool(*groups, policy=await world.policy(scaleDown=QUICK))
    async with world.operator():
        for group in groups:
            await world.nodes_settle(group, 1, timeout=60)
        await world.running(app, 6)
        after = await world.pods_by(HOSTNAME, app)
    assert (len(before), len(after)) == (6, 3)
    assert await world.pods_by(ZONE, app) == EVENLY
    assert [world.cloud.desired(group) for group in groups] == [1, 1, 1]


async def test_pods_that_keep_apart_move_in_with_others(world: World) -> None:
    place = unique("place")
    group = await world.group(labels={"place": place}, desired=6)
    await world.nodes_settle(group, 6)
    apps = [await apart_app(world, 3, place=place) for _ in range(2)]
    for app in apps:
        await world.running(app, 3)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    async with world.operator():
        await world.nodes_settle(group, 3, timeout=60)
        for app in apps:
            await world.running(app, 3)
        await blocked_by(world, pool, "its pods fit nowhere else")
    homes = [await world.pods_by(HOSTNAME, app) for app in apps]
    assert homes[0] == homes[1] == Counter(node["metadata"]["name"] for node in await world.nodes(group))
