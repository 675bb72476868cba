"""Pods pend, nodes are bought: on the real control plane, against the devcluster's AWS."""

from __future__ import annotations

import pytest

from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ENABLED = "k8s.io/cluster-autoscaler/enabled"
OURS = "k8s.io/cluster-autoscaler/e2e"


async def test_a_group_found_by_its_tags_grows_from_zero(world: World) -> None:
    group = await world.group(tags={ENABLED: "", OURS: ""})
    pool = await world.pool(policy=await world.policy(), tags={ENABLED: "", OURS: ""})
    async with world.operator():
        app = await world.deployment(3, nodeSelector={"group": group})
        await world.running(app, 3)
        await world.events(pool, "ScaledUpGroup")
        await world.condition(pool, "Ready", "True", reason="Accepted")
    assert world.raises(group) == [1]
    status = (await world.node_pool(pool))["status"]
    assert status["size"]["target"] == 1
    assert status["groups"][0]["id"] == group
