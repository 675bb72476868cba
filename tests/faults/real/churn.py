"""Work that goes on: pods arrive and leave, so that nodes are bought and given back all the time.

The end does not depend on the way there: each large pod fills a node, and the small ones fit beside them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.e2e.world import Manifest, World
from tests.faults.real.stage import budget
from tests.faults.real.witness import Witness, marks_of

QUICK_TIMERS = {
    "unneededTime": "3s",
    "delayAfterAdd": "1s",
    "delayAfterDelete": "0s",
    "delayAfterFailure": "1s",
}
STEADY, STEADY_MINIMUM = 4, 3
LARGEST = 5
"""Large pods at most; with what is on its way out, the groups hold twice as many nodes."""


@dataclass(frozen=True)
class EndState:
    """What is there when all has come to rest."""

    running: int
    target: int
    nodes: int
    marks: tuple[str, ...]


@dataclass
class Churn:
    """Two interchangeable groups in one pool, one app whose size changes, one that must always be there."""

    world: World
    witness: Witness
    groups: tuple[str, str]
    pool: str
    changing: str
    steady: str

    async def step(self, large_pods: int) -> None:
        """So many large pods from now on."""
        await self.world.scale(self.changing, large_pods)

    async def steps(self, *, seed: int, count: int, pause: float) -> None:
        """A walk of so many steps, the same for the same seed."""
        walk = random.Random(seed)
        for _ in range(count):
            await self.step(walk.randint(0, LARGEST))
            # The pace is what this is about, not a condition to wait for.
            await asyncio.sleep(pause)

    async def come_to_rest(self, large_pods: int, *, timeout: float) -> EndState:
        """Wait until so many large pods and all steady ones run, on as many nodes, without marks; what is there."""
        await self.step(large_pods)
        wanted = EndState(running=large_pods + STEADY, target=large_pods, nodes=large_pods, marks=())

        async def reached() -> bool:
            return await self.state() == wanted

        try:
            await self.world.until(reached, "rest", timeout=timeout)
        except TimeoutError:
            # The difference is the better message.
            return await self.state()
        return wanted

    async def state(self) -> EndState:
        """What is there now."""
        pods = [*await self.world.pods(self.changing), *await self.world.pods(self.steady)]
        nodes = [node for group in self.groups for node in await self.world.nodes(group)]
        return EndState(
            running=sum(_runs(pod) for pod in pods),
            target=self.target,
            nodes=len(nodes),
            marks=tuple(mark for node in nodes for mark in marks_of(node)),
        )

    @property
    def target(self) -> int:
        return sum(self.world.cloud.desired(group) for group in self.groups)


def _runs(pod: Manifest) -> bool:
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]


@asynccontextmanager
async def churning(world: World, witness: Witness) -> AsyncIterator[Churn]:
    """A pool with one node on which the steady pods run, and the changing app at zero; no operator yet."""
    label = {"churn": "yes"}
    groups = (await world.group(labels=label, desired=1), await world.group(labels=label))
    await world.nodes_settle(groups[0], 1)
    on_them = {"nodeSelector": label}
    steady = await world.deployment(STEADY, cpu="100m", memory="64Mi", **on_them)
    await world.running(steady, STEADY)
    await budget(world, steady, min_available=STEADY_MINIMUM)
    witness.guard(steady, STEADY_MINIMUM)
    changing = await world.deployment(0, cpu="3", **on_them)
    pool = await world.pool(*groups, policy=await world.policy(scaleDown=QUICK_TIMERS))
    yield Churn(world=world, witness=witness, groups=groups, pool=pool, changing=changing, steady=steady)
