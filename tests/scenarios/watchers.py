"""What is watched at every moment of a story: disruption budgets, and machines that are not ours."""

from __future__ import annotations

from typing import Any

from springtide.cluster.groups import Template
from springtide.cluster.records import PodPhase
from springtide.providers.simulated.cloud import SimulatedGroup
from tests.scenarios.control_plane import ControlPlane
from tests.scenarios.world import World

FOREIGN = "foreign-1"
NOTHING = Template(capacity={}, allocatable={}, labels={})


def watch_budgets(world: World) -> None:
    """From the moment a PodDisruptionBudget is first satisfied it must be, always: nodes vanish in no story of ours."""
    satisfied: set[str] = set()

    def look(kind: str) -> None:
        if kind != "Pod":
            return
        for (_, name), budget in world.server.objects["PodDisruptionBudget"].items():
            missing = budget["spec"]["minAvailable"] - _healthy(world, budget)
            if missing <= 0:
                satisfied.add(name)
            elif name in satisfied:
                world.violations.append(f"budget {name} lacks {missing} pods")

    world.server.listeners.append(look)


def _healthy(world: World, budget: dict[str, Any]) -> int:
    return sum(
        pod.phase is PodPhase.RUNNING and pod.deletion_timestamp is None and ControlPlane.covers(budget, pod)
        for pod in world.server.pods
    )


def add_foreign_machines(world: World) -> None:
    """A Node of no group, and a group of no NodePool: of another cluster in the same account, or bought by hand."""
    elsewhere = SimulatedGroup(
        pool="elsewhere", name="x", zone="zone-a", min_size=0, max_size=9, template=NOTHING, target=1
    )
    world.cloud.add(elsewhere)
    for timer in next(iter(elsewhere.instances.values())).timers:
        timer.cancel()  # it never registers here
    world.server.create(
        "Node",
        {
            "metadata": {"name": FOREIGN, "labels": {"kubernetes.io/hostname": FOREIGN}},
            "spec": {
                "providerID": f"simulated:///zone-a/{FOREIGN}",
                "taints": [{"key": "dedicated", "effect": "NoSchedule"}],
            },
            "status": {
                "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
    )


def foreign_untouched(world: World) -> list[str]:
    """What was done to machines that are not ours."""
    found = []
    node = world.server.get("Node", FOREIGN)
    if node is None:
        found.append("the foreign Node was deleted")
    elif node["metadata"].get("annotations") or len(node["spec"]["taints"]) != 1:
        found.append("the foreign Node was marked")
    if world.cloud.group("elsewhere", "x").alive != 1 or world.cloud.group("elsewhere", "x").target != 1:
        found.append("the foreign group was changed")
    return found
