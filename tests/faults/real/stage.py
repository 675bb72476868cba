"""Setting the stage, and waiting until it is as it should be."""

from __future__ import annotations

from devcluster.api import has_condition
from tests.e2e.world import World
from tests.faults.real.witness import marks_of


async def ready_nodes(world: World, group: str, count: int) -> None:
    """Wait until so many nodes of the group can take pods: else the first one gets them all."""

    async def ready() -> bool:
        nodes = await world.nodes(group)
        usable = [node for node in nodes if has_condition(node, "Ready") and not node["spec"].get("taints")]
        return len(usable) == count

    await world.until(ready, f"{count} ready nodes in {group}")


async def budget(world: World, app: str, *, min_available: int) -> None:
    """A disruption budget for the app, known to the disruption controller when this returns."""
    applied = await world.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": app, "namespace": "default"},
            "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}},
        }
    )
    path = await world.api.path_of(applied)

    async def in_force() -> bool:
        status = (await world.api.get(path)).get("status", {})
        return bool(status.get("currentHealthy", 0) > min_available)

    await world.until(in_force, f"the budget of {app}")


async def no_marks(world: World, group: str) -> None:
    """Wait until no node of the group bears a mark of ours."""

    async def clean() -> bool:
        return all(marks_of(node) == [] for node in await world.nodes(group))

    await world.until(clean, f"the nodes of {group} to be unmarked", timeout=60)
