"""The stage of the tests on a faulty AWS: one pool, one operator, somebody else's group, and what is asked at rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from devcluster.cloud import State
from devcluster.operator_process import OperatorProcess
from tests.e2e.world import OWNER_KEY, World, unique
from tests.faults.real.witness import Witness

BACKOFF = {"backoff": {"initial": "3s", "max": "6s"}}
"""As short as a test needs: the default is five minutes."""

ONE_A_NODE = {"cpu": "3", "memory": "1Gi"}
"""Of 4 cpu: every pod needs a node of its own."""


@dataclass(frozen=True)
class Stage:
    """A running operator and what it manages. All groups carry the label place=<place>."""

    world: World
    witness: Witness
    operator: OperatorProcess
    place: str
    pool: str
    groups: tuple[str, ...]
    foreign: str
    """An idle group that no NodePool names: a temptation."""

    @property
    def group(self) -> str:
        (only,) = self.groups
        return only

    async def pods(self, count: int) -> str:
        """So many pods, each of which needs a node of its own; their app."""
        return await self.world.deployment(count, nodeSelector={"place": self.place}, **ONE_A_NODE)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 if there is none."""
        url = f"http://127.0.0.1:{self.operator.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def counted(self, name: str, *, timeout: float = 30, **labels: str) -> float:
        """Wait until the metric is above zero."""

        async def above() -> float:
            return await self.metric(name, **labels)

        return await self.world.until(above, f"metric {name} {labels}", timeout=timeout)

    async def told(self, reason: str, *, timeout: float = 30) -> str:
        """Wait for an event of this reason on the pool; all of their messages."""
        events = await self.world.events(self.pool, reason, timeout=timeout)
        return "\n".join(event["message"] for event in events)

    async def condition(
        self, kind: str, status: str, *, reason: str | None = None, timeout: float = 40
    ) -> str:
        """Wait for the condition, and for the metric that shows it; its message."""
        found = await self.world.condition(self.pool, kind, status, reason=reason, timeout=timeout)
        if status != "Unknown":
            wanted = float(status == "True")

            async def shown() -> bool:
                value = await self.metric("springtide_pool_condition", pool=self.pool, condition=kind)
                return value == wanted

            await self.world.until(shown, f"metric of {kind}={status}")
        return str(found["message"])

    async def by_hand(self, action: str, **params: Any) -> None:
        """What a human does to a group in the AWS console."""
        async with self.world.cloud.client("autoscaling", access_key=OWNER_KEY) as client:
            await getattr(client, action)(**params)

    def refused(self, action: str) -> int:
        """Calls of the operator that failed."""
        calls = self.world.cloud.calls.of(action)
        return sum(call.outcome != "ok" for call in calls if call.access_key != OWNER_KEY)

    async def at_rest(self, need: Mapping[str, int], *, timeout: float = 60) -> None:
        """Wait until each group has the nodes that are needed; then the invariants that hold whatever happened.

        Never was more asked for than needed, nobody's instance was terminated but those of our groups, and none with
        pods on it; targets are what is there.
        """

        async def settled() -> bool:
            nodes = {group: len(await self.world.nodes(group)) for group in need}
            return nodes == dict(need) == {group: self.world.cloud.desired(group) for group in need}

        await self.world.until(settled, f"{dict(need)} nodes", timeout=timeout)
        await self.world.condition(self.pool, "ScalingUp", "False", timeout=30)
        await self.world.condition(self.pool, "ScalingDown", "False", timeout=30)
        for group, count in need.items():
            assert self.world.cloud.desired(group) == count
        await self.witness.verify(*need, foreign=self.foreign)

    def most_wanted(self, group: str | None = None) -> int:
        """The highest capacity the operator ever asked for."""
        return max(self.world.raises(group or self.group), default=0)

    def in_service(self, group: str | None = None) -> list[str]:
        """Instances in service."""
        instances = self.world.cloud.instances(group or self.group)
        return [one.instance_id for one in instances if one.state is State.IN_SERVICE]


@asynccontextmanager
async def stage(
    world: World,
    witness: Witness,
    *groups: Mapping[str, Any],
    scale_up: Mapping[str, Any] | None = None,
    scale_down: Mapping[str, Any] | None = None,
    flags: tuple[str, ...] = (),
) -> AsyncIterator[Stage]:
    """A pool over these groups (each a GroupSpec's fields; one plain group unless given), and its operator.

    The policy prefers the groups in the order they are given.
    """
    place = unique("place")
    names = []
    for fields in groups or ({},):
        names.append(await world.group(**{**fields, "labels": {"place": place, **fields.get("labels", {})}}))
    foreign = await world.group(desired=1)
    await world.nodes_settle(foreign, 1)
    priorities = "".join(f"{100 - number}:\n  - ^{name}$\n" for number, name in enumerate(names))
    policy = await world.policy(
        expanders=["priority"],
        priorities=priorities,
        scaleUp={**BACKOFF, **(scale_up or {})},
        scaleDown=dict(scale_down or {"enabled": False}),
    )
    pool = await world.pool(*names, policy=policy)
    async with world.operator(*flags) as operator:
        found = Stage(world, witness, operator, place, pool, tuple(names), foreign)
        await found.condition("Ready", "True")
        yield found
        operator.check()
        assert "Traceback" not in operator.lines()
