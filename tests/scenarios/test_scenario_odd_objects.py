"""Objects that no sane person writes, but that the API server stores: one of them must never end the passes of all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.process import Statuses
from tests.scenarios.world import World, group

pytestmark = pytest.mark.looptime(noop_cycles=1)

ZONES = {"general": {"groups": [group("a", zone="zone-a"), group("b", zone="zone-b")]}}


def spread(app: str) -> list[dict[str, Any]]:
    return [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": app}},
        }
    ]


async def still_served(world: World, *, pods: int = 2) -> None:
    """What is in order is served beside what is not."""
    world.deploy("web", pods)
    await world.until(lambda: len(world.running("web")) == pods, within=90)


@pytest.mark.parametrize("amount", ["1e30", "8E", "9" * 5000])
async def test_pods_that_ask_for_more_than_there_is_in_the_world(amount: str) -> None:
    world = await World(pools=ZONES).started()
    for number in range(3):
        world.deploy(
            f"odd-{number}", 40, cpu=amount, memory=amount, topologySpreadConstraints=spread(f"odd-{number}")
        )
    await still_served(world)
    assert len(world.pending) == 120


async def test_pods_spread_over_zones_that_would_weigh_more_than_a_number_holds() -> None:
    """They fit a group whose machines were given a capacity without end; their weights are added up over all pods."""
    endless = {"cpu": "9e12", "memory": "8E", "pods": "9000"}
    groups = [group(name, zone=zone, capacity=endless) for name, zone in (("a", "zone-a"), ("b", "zone-b"))]
    world = await World(pools={"general": {"groups": groups}}).started()
    world.deploy("odd", 100, cpu="9e11", memory="1", topologySpreadConstraints=spread("odd"))
    await world.until(lambda: world.raises, within=30)
    await still_served(world)


async def test_a_pod_that_may_take_longer_than_the_universe_to_end() -> None:
    world = await World().started()
    world.deploy("odd", 1, grace_seconds=2**62)
    await world.until(lambda: world.running("odd"), within=90)
    pod = world.server.get("Pod", world.running("odd")[0].name, "default")
    assert pod is not None
    metadata = {
        **pod["metadata"],
        "deletionTimestamp": "2026-01-01T12:01:00Z",
        "deletionGracePeriodSeconds": 2**62,
    }
    world.server.put("Pod", {**pod, "metadata": metadata})
    await still_served(world, pods=6)


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
async def test_a_kubelet_whose_clock_is_out_of_this_world(time: str) -> None:
    world = await World().started()
    world.deploy("odd", 1)
    await world.until(lambda: world.running("odd"), within=90)
    (node,) = world.nodes
    manifest = world.server.get("Node", node.name)
    assert manifest is not None
    conditions = [{"type": "Ready", "status": "Unknown", "lastTransitionTime": time}]
    metadata = {**manifest["metadata"], "creationTimestamp": time}
    world.server.put(
        "Node", {**manifest, "metadata": metadata, "status": {**manifest["status"], "conditions": conditions}}
    )
    passes = sum(world.passes.values())
    await world.after(60)
    assert sum(world.passes.values()) > passes


async def test_groups_that_are_larger_together_than_a_status_can_say() -> None:
    """Once the status could not be made, and the operator ended with it, again and again."""
    world = await World(
        pools={
            "general": {"groups": [group()]},
            "vast": {"groups": [group(f"g{number}", maxSize=1_000_000) for number in range(5)]},
        }
    ).started()
    await world.after(15)
    assert world.status("vast")["size"]["max"] == 1_000_000
    await still_served(world)
    assert world.condition("Ready", pool="vast")["status"] == "True"


async def test_a_status_that_cannot_be_made_or_written_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = Statuses.patch

    async def defective(self: Statuses, path: str, body: Any, content_type: str = "") -> Any:
        if "/nodepools/odd/" in path:
            raise TypeError("a defect")
        return await write(self, path, body, content_type)

    monkeypatch.setattr(Statuses, "patch", defective)
    world = await World(pools={"general": {"groups": [group()]}, "odd": {"groups": [group("o")]}}).started()
    await still_served(world)
    assert world.condition("Ready")["status"] == "True"
    assert not world.condition("Ready", pool="odd")
