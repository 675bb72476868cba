"""The witness: sees every pod at every moment, and every instance at the moment its termination is asked for.

What it swears to are the invariants that no fault may break: no disruption budget violated, no instance terminated with
pods on it, nothing bought twice, nothing of others touched.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from devcluster.api import has_condition
from devcluster.cloud import EventKind, FleetEvent, State
from devcluster.cloud.protocol import Request
from tests.e2e.world import HARD_TAINT, SET, SOFT_TAINT, TERMINATE, Manifest, World

PODS = "/api/v1/namespaces/default/pods"
REMOVAL = "springtide.dev/removal"
UNNEEDED_SINCE = "springtide.dev/unneeded-since"

MEMORY_SECONDS = 20.0
"""For so long a pod that left may still be bought for: a watch that is cut is late, and so is a request that is refused."""


@dataclass
class Witness:
    """Looks on for as long as its context; `verify` is asked at the end."""

    world: World
    pods: dict[str, Manifest] = field(default_factory=dict)
    """By name, as the API server shows them now."""
    violations: list[str] = field(default_factory=list)
    launched: Counter[str] = field(default_factory=Counter)
    """Instances that came into service, by group."""
    _floors: dict[str, int] = field(default_factory=dict)
    _unbound: deque[tuple[float, int]] = field(default_factory=deque)
    """How many pods waited for a node, at the loop times when that changed; as old as MEMORY_SECONDS."""
    _purchases_watched: frozenset[str] = frozenset()
    _looking: ExitStack = field(default_factory=ExitStack)
    _watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        listed = await self.world.api.get(PODS)
        since = listed["metadata"]["resourceVersion"]
        self.pods = {pod["metadata"]["name"]: pod for pod in listed["items"]}
        self._watching = asyncio.create_task(self._watch(since))
        self.world.cloud.listen(self._count)
        self._looking.enter_context(self.world.cloud.traps.seen_by(self._see_call))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def guard(self, app: str, at_least: int) -> None:
        """From now on so many pods of the app must be healthy at every moment, as its disruption budget says."""
        self._floors[app] = at_least
        self._look(app)

    def watch_purchases(self, *groups: str) -> None:
        """From now on these groups may together never ask for more nodes than pods wait, or waited a moment ago.

        What is bought twice is more: the first purchase's nodes are asked for, and not there yet.
        """
        self._purchases_watched = frozenset(groups)

    def on(self, node: str) -> list[Manifest]:
        """The pods on a node that nobody has asked to go yet."""
        pods = self.pods.values()
        return [p for p in pods if p["spec"].get("nodeName") == node and not _is_leaving(p)]

    def healthy(self, app: str) -> int:
        """As the disruption controller counts: ready, and not leaving."""
        return sum(
            pod["metadata"]["labels"].get("app") == app
            and has_condition(pod, "Ready")
            and not _is_leaving(pod)
            for pod in self.pods.values()
        )

    async def _watch(self, since: str) -> None:
        async for event in self.world.api.watch(PODS, since=since):
            pod = event["object"]
            if event["type"] == "DELETED":
                self.pods.pop(pod["metadata"]["name"], None)
            else:
                self.pods[pod["metadata"]["name"]] = pod
            self._look(pod["metadata"].get("labels", {}).get("app", ""))
            self._note_unbound()

    def _note_unbound(self) -> None:
        now = asyncio.get_running_loop().time()
        self._unbound.append((now, sum(not pod["spec"].get("nodeName") for pod in self.pods.values())))
        # One older entry stays: it is what was true at the beginning of the window.
        while len(self._unbound) > 1 and self._unbound[1][0] < now - MEMORY_SECONDS:
            self._unbound.popleft()

    def _look(self, app: str) -> None:
        floor = self._floors.get(app)
        if floor is not None and (healthy := self.healthy(app)) < floor:
            self.violations.append(f"{app} has {healthy} healthy pods, its budget demands {floor}")

    def _count(self, event: FleetEvent) -> None:
        if event.kind is EventKind.IN_SERVICE:
            self.launched[event.instance.group] += 1

    async def _see_call(self, request: Request) -> None:
        if request.action == SET:
            await self._see_purchase(request)
        elif request.action == TERMINATE:
            await self._see_termination(request)

    async def _see_purchase(self, request: Request) -> None:
        """All that is asked for and not there yet must be wanted by a pod each."""
        if request.params["AutoScalingGroupName"] not in self._purchases_watched:
            return
        desired = {group: self.world.cloud.desired(group) for group in self._purchases_watched}
        desired[request.params["AutoScalingGroupName"]] = int(request.params["DesiredCapacity"])
        nodes = [len(await self.world.nodes(group)) for group in self._purchases_watched]
        upcoming, waiting = sum(desired.values()) - sum(nodes), max((n for _, n in self._unbound), default=0)
        if upcoming > waiting:
            self.violations.append(
                f"{request.params} asks for {upcoming} nodes in all, {waiting} pods waited at most: bought twice"
            )

    async def _see_termination(self, request: Request) -> None:
        """Whose termination is asked for must be empty: read from the API server while the call waits."""
        instance = request.params.get("InstanceId", "")
        nodes = await self.world.api.items("/api/v1/nodes")
        for node in nodes:
            if node["spec"].get("providerID", "").endswith(f"/{instance}"):
                await self._must_be_empty(node["metadata"]["name"], instance)

    async def _must_be_empty(self, node: str, instance: str) -> None:
        pods = await self.world.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
        left = [pod["metadata"]["name"] for pod in pods if not _may_stay(pod)]
        if left:
            self.violations.append(f"instance {instance} ({node}) was terminated with pods on it: {left}")

    # --- the end --------------------------------------------------------------------------------------------------

    async def verify(self, *groups: str, foreign: str = "") -> None:
        """At rest: nothing was violated on the way, no mark is left, targets are what is there."""
        assert self.violations == [], "\n".join(self.violations)
        for group in groups:
            nodes = await self.world.nodes(group)
            marks = {node["metadata"]["name"]: found for node in nodes if (found := marks_of(node))}
            assert marks == {}, f"marks left on nodes of {group}"
            assert self.world.cloud.desired(group) == len(self.alive(group)) == len(nodes)
        if foreign:
            assert self.world.mutations(foreign) == []
            assert [instance.state for instance in self.world.cloud.instances(foreign)] == [State.IN_SERVICE]
            (node,) = await self.world.nodes(foreign)
            assert marks_of(node) == []

    def alive(self, group: str) -> list[str]:
        """Instances of the group that are alive."""
        alive = (State.PENDING, State.IN_SERVICE)
        return [each.instance_id for each in self.world.cloud.instances(group) if each.state in alive]


def marks_of(node: Manifest) -> list[str]:
    """What an autoscaler may leave on a node."""
    spec, annotations = node["spec"], node["metadata"].get("annotations", {})
    found = [taint["key"] for taint in spec.get("taints", []) if taint["key"] in (HARD_TAINT, SOFT_TAINT)]
    found += [name for name in (REMOVAL, UNNEEDED_SINCE) if name in annotations]
    return [*found, "unschedulable"] if spec.get("unschedulable") else found


def _is_leaving(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _may_stay(pod: Manifest) -> bool:
    owners = [owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])]
    return "DaemonSet" in owners or pod["status"]["phase"] in ("Succeeded", "Failed")
