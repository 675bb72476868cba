"""scale-in-1k: 700 of 1,000 pods leave at random, and the nodes that 300 need no more are given back: 33 to 10."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.result import Result
from benchmarks.stage import OWN, Stage, pod_spec, stage
from devcluster.api import Object, wait_for
from devcluster.cloud import BridgeOptions, GroupSpec

PODS: Final = 1000
STAY: Final = 300
SEED: Final = 1
ALLOCATABLE: Final = {"cpu": "15500m"}
"""Of 16: 31 pods of 500m a node, so 1,000 need 33 nodes and 300 need 10."""

SCALE_DOWN: Final[Mapping[str, Any]] = {
    "enabled": True,
    "unneededTime": "0s",
    "delayAfterAdd": "0s",
    "delayAfterFailure": "0s",
    "maxParallel": 100,
    "maxParallelDrain": 100,
}
"""No timers, and as many drains at once as the plan wants."""
SCAN_INTERVAL: Final = "1s"
AVAILABLE: Final = 30
"""Pods that the PodDisruptionBudget keeps at any time: the drains of 23 nodes at once leave about 90."""

DEPLOYMENT: Final = "/apis/apps/v1/namespaces/default/deployments/app"
PODS_PATH: Final = "/api/v1/namespaces/default/pods"
HARD_TAINT: Final = "ToBeDeletedByClusterAutoscaler"


@dataclass
class Course:
    """What is seen while it goes on; seconds since the 700 were told to leave."""

    began: float
    leaving: frozenset[str]
    """Names of the pods that leave by themselves."""
    staying: frozenset[str]
    seconds: dict[str, float] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)
    """Pods that were evicted: "once", or "again" for one that had been created in place of another."""
    fewest_ready: int = STAY
    tainted: set[str] = field(default_factory=set)

    def reached(self, milestone: str) -> None:
        """The milestone is reached now, perhaps not for the first time: the last time counts."""
        self.seconds[milestone] = round(time.perf_counter() - self.began, 2)

    def first(self, milestone: str) -> None:
        if milestone not in self.seconds:
            self.reached(milestone)


async def scale_in() -> Result:
    """500m and 1 GiB each, on nodes of 16 vCPU and 64 GiB of which 15.5 are allocatable."""
    group = GroupSpec(name="large", instance_type="m5.4xlarge", zones=("us-east-1a",), max_size=100)
    template = {"allocatable": ALLOCATABLE}
    async with stage(group, bridge=BridgeOptions(reserved=ALLOCATABLE), template=template) as on:
        await _fill(on)
        nodes = len(await on.api.items("/api/v1/nodes"))
        await _allow(on)
        leaving, staying = await _choose(on)
        cpu = await on.cpu_seconds()
        course = Course(time.perf_counter(), leaving, staying)
        async with _watched(on, course):
            await on.api.patch(DEPLOYMENT, {"spec": {"replicas": STAY}})
            await _until_small(on, course)
        return _result(course, nodes=nodes, cpu=await on.cpu_seconds() - cpu, left=await _nodes(on))


async def _fill(on: Stage) -> None:
    """1,000 pods, the nodes for them, and the budget."""
    labels = {"app": "app"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(cpu="500m", memory="1Gi")}
    await on.api.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {"replicas": PODS, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    await on.api.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {"minAvailable": AVAILABLE, "selector": {"matchLabels": labels}},
        }
    )
    await _until_ready(on, PODS)


async def _allow(on: Stage) -> None:
    """Put the settings of scale-down in force; nothing can go yet."""
    policy = f"{OWN}/autoscalerpolicies/default"
    await on.api.patch(policy, {"spec": {"scaleDown": dict(SCALE_DOWN), "scanInterval": SCAN_INTERVAL}})


async def _choose(on: Stage) -> tuple[frozenset[str], frozenset[str]]:
    """(who leaves, who stays), at random; their controller is told by their deletion cost."""
    pods = await on.api.items(PODS_PATH)
    names = [pod["metadata"]["name"] for pod in sorted(pods, key=lambda pod: pod["spec"]["nodeName"])]
    leaving = frozenset(random.Random(SEED).sample(names, PODS - STAY))
    cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}}
    door = asyncio.Semaphore(20)

    async def mark(name: str) -> None:
        async with door:
            await on.api.patch(f"{PODS_PATH}/{name}", cost)

    await asyncio.gather(*(mark(name) for name in sorted(leaving)))
    return leaving, frozenset(names) - leaving


@asynccontextmanager
async def _watched(on: Stage, course: Course) -> AsyncIterator[None]:
    """Follow pods and nodes for as long as the context."""
    following = [
        asyncio.create_task(_follow_pods(on, course)),
        asyncio.create_task(_follow_nodes(on, course)),
    ]
    # Both watches begin before anything happens: they start from a listing, and the first step waits for none of it.
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _follow_pods(on: Stage, course: Course) -> None:
    listed = await on.api.get(PODS_PATH)
    ready = {pod["metadata"]["name"] for pod in listed["items"] if _is_ready(pod)}
    leaving = set(course.leaving)
    async for event in on.api.watch(PODS_PATH, since=listed["metadata"]["resourceVersion"]):
        pod = event["object"]
        name = pod["metadata"]["name"]
        if event["type"] == "DELETED":
            ready.discard(name)
            _gone(name, leaving, course)
        elif _is_ready(pod):
            ready.add(name)
        else:
            ready.discard(name)
        course.fewest_ready = min(course.fewest_ready, len(ready))


def _gone(name: str, leaving: set[str], course: Course) -> None:
    if name in leaving:
        leaving.discard(name)
        course.reached("the 700 have left")
        return
    course.moved["once" if name in course.staying else "again"] += 1
    course.first("first pod evicted")
    course.reached("last pod evicted")


async def _follow_nodes(on: Stage, course: Course) -> None:
    listed = await on.api.get("/api/v1/nodes")
    async for event in on.api.watch("/api/v1/nodes", since=listed["metadata"]["resourceVersion"]):
        node = event["object"]
        name = node["metadata"]["name"]
        if event["type"] == "DELETED":
            course.first("first node gone")
            course.reached("last node gone")
        elif name not in course.tainted and HARD_TAINT in {t["key"] for t in node["spec"].get("taints", ())}:
            course.tainted.add(name)
            course.first("first node tainted")
            course.reached("last node tainted")


async def _until_small(on: Stage, course: Course) -> None:
    """Until as few nodes are left as the pods need, or for two minutes: then the figures say how far it came."""

    async def optimal() -> bool:
        return await _nodes(on) <= _OPTIMUM and course.fewest_ready <= STAY

    try:
        await wait_for(optimal, timeout=120, what=f"{_OPTIMUM} nodes", poll=0.1)
    except TimeoutError:
        return
    course.reached("as few nodes as the pods need")
    await _until_ready(on, STAY)


_OPTIMUM: Final = 10


async def _nodes(on: Stage) -> int:
    return len(await on.api.items("/api/v1/nodes"))


async def _until_ready(on: Stage, pods: int) -> None:

    async def ready() -> bool:
        status: Object = (await on.api.get(DEPLOYMENT)).get("status", {})
        return bool(status.get("readyReplicas") == pods == status.get("replicas"))

    await wait_for(ready, timeout=120, what=f"{pods} ready pods", poll=0.1)


def _is_ready(pod: Object) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _result(course: Course, *, nodes: int, cpu: float, left: int) -> Result:
    complaints = []
    if course.moved["again"]:
        complaints.append(f"{course.moved['again']} pods were evicted twice")
    if course.fewest_ready < AVAILABLE:
        complaints.append(f"only {course.fewest_ready} pods were ready: the budget asks for {AVAILABLE}")
    return Result(
        name="scale-in-1k",
        n=PODS - STAY,
        wall_s=course.seconds.get("as few nodes as the pods need"),
        cpu_s=cpu,
        nodes=left,
        removed=nodes - left,
        complaints=tuple(complaints),
        figures={
            "seconds": course.seconds,
            "nodes before": nodes,
            "pods evicted": course.moved.total(),
            "pods evicted twice": course.moved["again"],
            "fewest ready pods": course.fewest_ready,
        },
    )
