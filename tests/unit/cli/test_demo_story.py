"""The story on a cluster that behaves, and on clusters that do not; and how it is told as a plain log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from springtide.cli.demo.picture import Picture
from springtide.cli.demo.plain import PlainTeller
from springtide.cli.demo.story import Story, StoryFailed
from springtide.cli.demo.workload import Workload
from tests.unit.cli.demo_objects import event, node, node_pool, pod

pytestmark = pytest.mark.looptime

PODS = 20
PODS_PER_NODE = 5


class Cluster:
    """Runs Deployments at once on nodes that come and go with the pods; nothing else of a cluster is in it."""

    def __init__(self, seen: Picture, *, grows: bool = True, shrinks: bool = True) -> None:
        self._seen = seen
        self._grows = grows
        self._shrinks = shrinks
        self._replicas: dict[str, int] = {}
        self._nodes = 0

    async def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        name, wanted = manifest["metadata"]["name"], manifest["spec"]["replicas"]
        before = self._replicas.get(name, 0)
        for number in range(before, wanted):
            self._seen.pod("ADDED", pod(f"{name}-{number}"))
            if self._grows:
                self._seen.pod("MODIFIED", pod(f"{name}-{number}", node="n0", phase="Running"))
        for number in range(wanted, before):
            self._seen.pod("DELETED", pod(f"{name}-{number}"))
        self._replicas[name] = wanted
        self._resize()
        return manifest

    def _resize(self) -> None:
        wanted = -(-sum(self._replicas.values()) // PODS_PER_NODE) if self._grows else 0
        for number in range(self._nodes, wanted):
            self._seen.node("ADDED", node(f"n{number}"))
        if self._shrinks:
            for number in range(wanted, self._nodes):
                self._seen.node("DELETED", node(f"n{number}"))
        self._nodes = wanted if self._shrinks else max(wanted, self._nodes)
        self._seen.pool("MODIFIED", node_pool("general", ready=self._nodes, target=self._nodes))


def set_up(**behaviour: bool) -> tuple[Story, list[str]]:
    seen, lines = Picture(_clock()), list[str]()
    teller = PlainTeller(seen, lines.append)
    return Story(Cluster(seen, **behaviour), seen, Workload.of(PODS), teller), lines  # type: ignore[arg-type]


def _clock() -> Callable[[], float]:
    return asyncio.get_running_loop().time


async def test_the_story_has_four_chapters_and_each_comes_to_something() -> None:
    story, lines = set_up()
    await story.play()
    assert [line.split("--- ")[1][:3] for line in lines if "--- " in line] == ["1/4", "2/4", "3/4", "4/4"]
    results = [line.split("=== ")[1] for line in lines if "=== " in line]
    assert results[0].startswith("all 15 pods run on 3 nodes")
    assert results[1].startswith("all 20 pods run on 4 nodes")
    assert results[-1].startswith("1 of 4 nodes are left, and all 1 pods run")


async def test_it_can_end_when_everything_runs() -> None:
    story, lines = set_up()
    await story.play(shrink=False)
    assert not any("Night" in line for line in lines)


async def test_when_nothing_grows_it_says_what_is_missing() -> None:
    story, _ = set_up(grows=False)
    with pytest.raises(
        StoryFailed, match=r"after 60 s 0 of 15 pods run; general: 0 nodes of 0 asked for, managing 3"
    ):
        await story.play()


async def test_when_nothing_shrinks_it_says_what_is_missing() -> None:
    story, _ = set_up(shrinks=False)
    with pytest.raises(
        StoryFailed, match=r"after 90 s 4 of 4 nodes are left \(at most 2 were expected\) and 1 of 1"
    ):
        await story.play()


async def test_the_plain_log_gathers_nodes_and_tells_decisions_with_the_time() -> None:
    seen, lines = Picture(_clock()), list[str]()
    teller = PlainTeller(seen, lines.append)
    telling = asyncio.create_task(teller.run())
    await asyncio.sleep(1.2)
    seen.event("ADDED", event("scale-up: general/a 0->2 (max 30) for 9 pods"))
    seen.event("ADDED", event("removal of node n1 undone", kind="Warning"))
    seen.node("ADDED", node("n1"))
    seen.node("ADDED", node("n2"))
    await asyncio.sleep(4.0)
    seen.node("DELETED", node("n2"))
    await asyncio.sleep(0.5)
    telling.cancel()
    assert lines == [
        "   1.2s  scale-up: general/a 0->2 (max 30) for 9 pods",
        "   1.2s  warning: removal of node n1 undone",
        "   1.5s  general: 2 nodes joined, now 2",
        "   5.0s  now: 2 nodes, pods: 0 run, 0 wait, $9.22 an hour",
        "   5.5s  general: 1 node gone, now 1",
    ]
