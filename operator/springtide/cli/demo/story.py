"""The story itself: a burst, a second wave, a quiet phase, and the machines go; or what of it did not happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from devcluster.api import Api
from springtide.cli.demo.picture import Picture, pool_target
from springtide.cli.demo.workload import Replicas, Workload, changed, deployments, describe, total

POLL_SECONDS: Final = 0.1

PEOPLE_LOOK_SECONDS: Final = 4.0
"""Between two chapters, so that one can see what the last one did."""

GROW_SECONDS: Final = 60.0
SHRINK_SECONDS: Final = 90.0
CALM_SECONDS: Final = 3.0
"""The shrink is over when so long nothing was under way."""

CHAPTERS: Final = 4


class StoryFailed(Exception):
    """What did not happen, in words."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Where the story is."""

    number: int
    title: str
    text: str


class Teller(Protocol):
    """Who shows the story: a plain log or a live view."""

    def chapter(self, chapter: Chapter) -> None:
        """A new chapter begins."""

    def result(self, text: str) -> None:
        """What the chapter came to."""

    def note(self, text: str) -> None:
        """Something by the way."""


class Story:
    """Plays the workload on a cluster and waits for what must follow."""

    def __init__(self, api: Api, picture: Picture, workload: Workload, teller: Teller) -> None:
        self._api = api
        self._picture = picture
        self._workload = workload
        self._teller = teller

    async def play(self, *, shrink: bool = True) -> None:
        """The whole story, or only its growing half. Raises StoryFailed."""
        load = self._workload
        await self._grow(
            Chapter(
                1,
                "The burst",
                f"no node is there, and these arrive, shaped as in a production cluster: {describe(load.burst)}",
            ),
            before={},
            after=load.burst,
        )
        more = total(load.second_wave) - total(load.burst)
        if more:
            await self._look()
            await self._grow(
                Chapter(
                    2, "The second wave", f"{more} more pods: free room is used first, then nodes are bought"
                ),
                before=load.burst,
                after=load.second_wave,
            )
        if shrink:
            await self._look()
            await self._quieten()
            await self._look_at_shrinking()

    async def _grow(self, chapter: Chapter, *, before: Replicas, after: Replicas) -> None:
        self._teller.chapter(chapter)
        began = self._picture.clock()
        await self._apply(changed(before, after))
        wanted = total(after)
        await self._until(
            lambda: self._picture.running() == wanted, GROW_SECONDS, self._why_not_running(wanted)
        )
        took = self._picture.clock() - began
        if not self._picture.nodes:
            raise StoryFailed("all pods run but no node was bought: the cluster is not ours alone")
        self._teller.result(
            f"all {wanted} pods run on {len(self._picture.nodes)} nodes, {took:.1f} s after the "
            f"{'burst' if not before else 'wave'} began, at ${self._picture.hourly_cost():.2f} an hour"
        )

    async def _quieten(self) -> None:
        night = self._workload.night
        self._teller.chapter(
            Chapter(
                3, "Night", f"most work ends; what goes on: {describe(night) if total(night) else 'nothing'}"
            )
        )
        await self._apply(changed(self._workload.second_wave, night))
        wanted = total(night)
        await self._until(
            lambda: len(self._picture.pods) == wanted,
            GROW_SECONDS,
            lambda: f"{len(self._picture.pods)} pods are left where {wanted} should be",
        )
        self._teller.result(f"{wanted} pods are left on {len(self._picture.nodes)} nodes")

    async def _look_at_shrinking(self) -> None:
        peak, wanted = self._picture.peak_nodes, total(self._workload.night)
        self._teller.chapter(
            Chapter(
                CHAPTERS,
                "The shrink",
                "under-used nodes are marked, after 10 s (GPU: 5 s) tainted, drained and terminated",
            )
        )

        def shrunk() -> bool:
            return len(self._picture.nodes) <= peak // 2 and self._picture.running() == wanted

        await self._until(shrunk, SHRINK_SECONDS, lambda: self._why_not_shrunk(peak, wanted))
        await self._until_calm()
        if not shrunk():
            raise StoryFailed(self._why_not_shrunk(peak, wanted))
        self._teller.result(
            f"{len(self._picture.nodes)} of {peak} nodes are left, and all {wanted} pods run: "
            f"${self._picture.hourly_cost():.2f} an hour"
        )

    async def _until_calm(self) -> None:
        """Until nothing is under way for a while; what still moves after the patience is no failure."""
        deadline = self._picture.clock() + SHRINK_SECONDS
        calm_since = self._picture.clock()
        while self._picture.clock() - calm_since < CALM_SECONDS and self._picture.clock() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            if not self._picture.is_quiet():
                calm_since = self._picture.clock()

    async def _look(self) -> None:
        await asyncio.sleep(PEOPLE_LOOK_SECONDS)

    async def _apply(self, replicas: Replicas) -> None:
        await asyncio.gather(*(self._api.apply(manifest) for manifest in deployments(replicas)))

    async def _until(self, happened: Callable[[], bool], seconds: float, missing: Callable[[], str]) -> None:
        deadline = self._picture.clock() + seconds
        while not happened():
            if self._picture.clock() > deadline:
                raise StoryFailed(f"after {seconds:.0f} s {missing()}")
            await asyncio.sleep(POLL_SECONDS)

    def _why_not_running(self, wanted: int) -> Callable[[], str]:
        return lambda: f"{self._picture.running()} of {wanted} pods run; {self._pools()}"

    def _why_not_shrunk(self, peak: int, wanted: int) -> str:
        return (
            f"{len(self._picture.nodes)} of {peak} nodes are left (at most {peak // 2} were expected) and "
            f"{self._picture.running()} of {wanted} pods run; {self._pools()}"
        )

    def _pools(self) -> str:
        """What the pools say, for a failure's message."""
        said = []
        for name, pool in sorted(self._picture.pools.items()):
            conditions = pool.get("status", {}).get("conditions", ())
            ready = next(
                (entry["message"] for entry in conditions if entry["type"] == "Ready"), "no status yet"
            )
            said.append(
                f"{name}: {self._picture.count(name)} nodes of {pool_target(pool)} asked for, {ready}"
            )
        return "; ".join(said) or "there is no NodePool"
