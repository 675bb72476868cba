"""A story that touches everything an operator can change: it grows, is refused, waits for what never registers, and shrinks.

Told again and again, each time with another mishap, it must come to the same end.
"""

from __future__ import annotations

from springtide.actuation.outcome import RemovalStarted
from springtide.cluster.annotations import REMOVAL
from springtide.providers.simulated.failures import NeverRegisters, no_capacity
from tests.scenarios.door import Doorkeeper
from tests.scenarios.watchers import add_foreign_machines, foreign_untouched, watch_budgets
from tests.scenarios.world import HARD, SOFT, World, group, minutes

POOLS = {
    "general": {"groups": [group("a", maxSize=6), group("b", zone="zone-b", maxSize=6)], "maxSize": 8},
    "batch": {
        "groups": [group("c", maxSize=4)],
        "template": {
            "labels": {"pool": "batch"},
            "taints": [{"key": "pool", "value": "batch", "effect": "NoSchedule"}],
        },
    },
}
POLICY = {
    "scaleUp": {"maxNodeProvisionTime": "3m", "backoff": {"initial": "1m", "max": "4m", "reset": "30m"}},
    "scaleDown": {"unneededTime": "1m", "delayAfterAdd": "20s", "delayAfterFailure": "30s"},
}
ON_BATCH = {"nodeSelector": {"pool": "batch"}, "tolerations": [{"key": "pool", "operator": "Exists"}]}

WEB_IN_THE_END = 6
NODES_IN_THE_END = 3
"""Two nodes for these pods, and the one that was cordoned by hand."""


class Story:
    """One telling. `await tell()` raises AssertionError when something that must hold does not."""

    def __init__(self, keeper: Doorkeeper) -> None:
        self.world = World(pools=POOLS, policies={"default": POLICY})
        self.world.doorkeeper = keeper

    async def tell(self) -> None:
        await self.world.started()
        watch_budgets(self.world)
        add_foreign_machines(self.world)
        self.world.daemon_set("agent")
        await self._grow()
        await self._wait_for_what_never_registers()
        cordoned = await self._cordon_by_hand()
        await self._shrink()
        self._judge(cordoned)

    async def _grow(self) -> None:
        """Six nodes are needed; one of two groups has only one to give: the rest is cancelled and bought elsewhere."""
        world = self.world
        short = world.cloud.set_failure(no_capacity(group="a", available=1))
        world.budget("web", min_available=15)
        world.deploy("web", 16)
        world.deploy("job", 1, cpu="3", **ON_BATCH)
        await world.until(lambda: len(world.running("web")) == 16 and world.running("job"), within=minutes(8))
        world.cloud.clear_failure(short)

    async def _wait_for_what_never_registers(self) -> None:
        """The second machine of a group never becomes a node: it is given back in time, and another one comes."""
        world = self.world
        batch = world.group("batch", "c")
        never = world.cloud.set_failure(NeverRegisters(group="c"))
        world.deploy("job", 2, cpu="3", **ON_BATCH)
        await world.until(lambda: batch.launched == 2, within=minutes(3))
        world.cloud.clear_failure(never)
        await world.until(lambda: len(world.running("job")) == 2, within=minutes(12))

    async def _cordon_by_hand(self) -> str:
        """Somebody cordons a node on which a pod runs that nobody would start again."""
        world = self.world
        world.bare_pod("precious", cpu="100m")
        await world.until(lambda: world.running("precious"), within=minutes(3))
        (pod,) = world.running("precious")
        node = world.server.get("Node", pod.node_name)
        assert node is not None
        world.server.put("Node", {**node, "spec": {**node["spec"], "unschedulable": True}})
        return pod.node_name

    async def _shrink(self) -> None:
        """Most pods go; what is left is drained together, under its budget, one node after the other and several at once."""
        world = self.world
        world.budget("web", min_available=4)
        world.deploy("web", WEB_IN_THE_END)
        world.undeploy("job")
        await world.until(lambda: world.of(RemovalStarted), within=minutes(6))
        await world.until(self._is_small, within=minutes(20))
        await world.after(minutes(2))
        await world.until(self._is_small, within=minutes(5))

    def _is_small(self) -> bool:
        world = self.world
        return (
            sum(world.targets.values()) - 1 == len(world.nodes) - 1 == NODES_IN_THE_END
            and len(world.running("web")) == WEB_IN_THE_END
            and not world.pending
        )

    def _judge(self, cordoned: str) -> None:
        world = self.world
        found = foreign_untouched(world)
        if world.marked("cordon") != [cordoned]:
            found.append(f"cordoned: {world.marked('cordon')} instead of {cordoned}")
        found += [f"{name} is marked still" for name in world.marked(HARD, SOFT, REMOVAL)]
        for (pool, name), each in world.cloud.groups.items():
            if each.target != each.alive:
                found.append(f"{pool}/{name}: target {each.target}, instances {each.alive}")
        found += [f"{pod.name} is pending" for pod in world.pending]
        assert not found, f"{found}: {world.describe()}"

    @property
    def launched(self) -> dict[str, int]:
        """Machines that the cloud started, by group: what a purchase made twice would show in."""
        return {f"{pool}/{name}": each.launched for (pool, name), each in self.world.cloud.groups.items()}
