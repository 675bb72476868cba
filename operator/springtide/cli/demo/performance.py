"""One performance: the stage is set, the picture fed, the story played and shown, the summary told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from springtide.api.model import API_GROUP, API_VERSION
from springtide.cli.demo.following import follow
from springtide.cli.demo.picture import Picture
from springtide.cli.demo.plain import PlainTeller
from springtide.cli.demo.stage import Stage, open_stage
from springtide.cli.demo.story import Story
from springtide.cli.demo.summary import Summary
from springtide.cli.demo.workload import NAMESPACE, SELECTOR, Workload

FIRST_PURCHASE_NOTE = "first purchase {:.1f} s after the start"


async def perform(
    *, pods: int, live: bool, shrink: bool, keep: bool, logs: Path, clock: Callable[[], float]
) -> None:
    """Everything from nothing to nothing. Raises StoryFailed, or what made a process end."""

    def say(text: str) -> None:
        print(f"{clock():6.1f}s  {text}", flush=True)

    say("starting a Kubernetes control plane and an AWS API on this machine")
    async with open_stage(logs, say) as stage:
        picture = Picture(clock)
        say(f"in another terminal: kubectl --kubeconfig {stage.control_plane.kubeconfig} get nodepools")
        teller = PlainTeller(picture, lambda line: print(line, flush=True))
        story = Story(stage.api, picture, Workload.of(pods), teller)
        offset = clock()
        async with _running(*_feeds(stage, picture), teller.run(), _crash(stage)) as failed:
            await _first_of(story.play(shrink=shrink), failed)
            _tell_summary(stage, picture, offset)
            if keep:
                _explain_keeping(stage)
                await failed


def _feeds(stage: Stage, picture: Picture) -> list[Coroutine[Any, Any, None]]:
    api = stage.api
    return [
        follow(api, "/api/v1/nodes", picture.node),
        follow(api, f"/api/v1/namespaces/{NAMESPACE}/pods", picture.pod, labelSelector=SELECTOR),
        follow(api, f"/apis/{API_GROUP}/{API_VERSION}/nodepools", picture.pool),
        follow(api, "/api/v1/events", picture.event, fieldSelector="involvedObject.kind=NodePool"),
    ]


async def _crash(stage: Stage) -> None:
    raise await stage.crashed


@asynccontextmanager
async def _running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Future[None]]:
    """Run all of it beside the block; the future fails as soon as any of it does."""
    tasks = [asyncio.create_task(each) for each in work]

    async def first_failure() -> None:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    failed = asyncio.create_task(first_failure())
    try:
        yield failed
    finally:
        for task in (failed, *tasks):
            task.cancel()
        await asyncio.gather(failed, *tasks, return_exceptions=True)


async def _first_of(story: Coroutine[Any, Any, None], failed: asyncio.Future[None]) -> None:
    """Play to the end, unless something fails before."""
    playing = asyncio.create_task(story)
    try:
        await asyncio.wait([playing, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        playing.result()
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def _tell_summary(stage: Stage, picture: Picture, offset: float) -> None:
    purchases = stage.purchases()
    summary = Summary.of(picture, purchases=len(purchases), now=picture.clock())
    print("\nSummary")
    for line in summary.lines():
        print(f"  {line}")


def _explain_keeping(stage: Stage) -> None:
    print(
        f"\nEverything stays up until Ctrl-C:\n  export KUBECONFIG={stage.control_plane.kubeconfig}",
        flush=True,
    )
