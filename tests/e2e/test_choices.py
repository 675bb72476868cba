"""Which of several groups is bought: least-cost, priorities, similar pools, atomic groups."""

from __future__ import annotations

import math

import aiohttp
import pytest

from tests.e2e.world import OWN, Manifest, World, unique

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_least_cost_buys_the_cheapest_mix_and_proves_how_good_it_is(world: World) -> None:
    place = unique("place")
    policy = await world.policy(expanders=["least-cost"], planningBudget="2s")
    prices = {"c5.xlarge": 0.17, "m5.xlarge": 0.192, "r5.xlarge": 0.252}
    groups = {kind: await world.group(instance_type=kind, labels={"place": place}) for kind in prices}
    for group in groups.values():
        await world.pool(group, policy=policy)
    # Alone, the lean pods would be cheapest on c5 and the heavy ones on r5: 1.184 an hour. One heavy and two lean pods
    # fill an m5: 0.768.
    lean = await world.deployment(8, cpu="1900m", memory="512Mi", nodeSelector={"place": place})
    heavy = await world.deployment(4, cpu="100m", memory="14Gi", nodeSelector={"place": place})
    await world.refused(lean, 8)
    await world.refused(heavy, 4)
    async with world.operator() as operator:
        await world.running(lean, 8)
        await world.running(heavy, 4)

        async def told() -> Manifest:
            cost: Manifest = (await world.policy_status(policy)).get("cost", {})
            return cost

        cost = await world.until(told, "the cost in the policy's status")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{operator.port}/metrics") as answer,
        ):
            metrics = await answer.text()
    assert {kind: world.cloud.desired(group) for kind, group in groups.items()} == {
        "c5.xlarge": 0,
        "m5.xlarge": 4,
        "r5.xlarge": 0,
    }
    planned, bound = float(cost["planned"]), float(cost["lowerBound"])
    assert planned == pytest.approx(4 * prices["m5.xlarge"])
    assert 0 < bound <= planned
    assert f'springtide_purchases_hourly_cost{{policy="{policy}"}} {planned:g}' in metrics
    assert f'springtide_purchases_hourly_cost_lower_bound{{policy="{policy}"}}' in metrics
    assert cost["gapPercent"] == pytest.approx(math.ceil(100 * (planned - bound) / planned), abs=1)


async def test_priorities_in_cluster_autoscalers_words_choose_the_group(world: World) -> None:
    place = unique("place")
    cheap = await world.group(instance_type="m5.large", labels={"place": place})
    wanted = await world.group(instance_type="m5.4xlarge", labels={"place": place})
    text = f"10:\n  - .*\n50:\n  - ^{wanted}$\n"
    policy = await world.policy(expanders=["priority", "least-waste"], priorities=text)
    await world.pool(cheap, wanted, policy=policy)
    async with world.operator():
        app = await world.deployment(1, cpu="1", nodeSelector={"place": place})
        await world.running(app, 1)
        await policy_condition(world, policy, "PrioritiesValid", "True")
        assert (world.raises(cheap), world.raises(wanted)) == ([], [1])
        await world.api.patch(f"{OWN}/autoscalerpolicies/{policy}", {"spec": {"priorities": "50: ["}})
        await policy_condition(world, policy, "PrioritiesValid", "False")


async def policy_condition(world: World, policy: str, kind: str, status: str) -> Manifest:

    async def said() -> Manifest:
        conditions = (await world.policy_status(policy)).get("conditions", [])
        return next((c for c in conditions if (c["type"], c["status"]) == (kind, status)), {})

    return await world.until(said, f"{kind}={status} on {policy}")


async def test_similar_pools_share_a_purchase(world: World) -> None:
    place = unique("place")
    policy = await world.policy(balanceSimilarPools=True, similarity={"ignoredLabels": ["group"]})
    groups = [await world.group(labels={"place": place}) for _ in range(2)]
    other = await world.group(instance_type="c5.2xlarge", labels={"place": place})
    pools = [await world.pool(group, policy=policy) for group in (*groups, other)]
    app = await world.deployment(4, cpu="3800m", memory="15Gi", nodeSelector={"place": place})
    await world.refused(app, 4)
    async with world.operator():
        await world.running(app, 4)

        async def compared() -> dict[str, str]:
            said = (await world.node_pool(pools[0]))["status"].get("similarPools", [])
            return {one["name"]: one.get("difference", "") for one in said}

        said = await world.until(compared, "the similar pools in the status")
    assert [world.raises(group) for group in (*groups, other)] == [[2], [2], []]
    assert not said[pools[1]]
    assert "cpu" in said[pools[2]]


async def test_an_atomic_group_is_bought_whole(world: World) -> None:
    group = await world.group(max_size=3)
    await world.pool(group, policy=await world.policy(), scaleUp={"atomic": True})
    async with world.operator():
        app = await world.deployment(1, nodeSelector={"group": group})
        await world.running(app, 1)
        await world.nodes_settle(group, 3)
    assert world.raises(group) == [3]
