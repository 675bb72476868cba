"""One performance: the stage is set, the picture fed, the story played and shown, the summary told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from springtide.api.model import API_GROUP, API_VERSION
from springtide.cli.demo.following import follow
from springtide.cli.demo.live import LiveTeller, on_screen
from springtide.cli.demo.picture import Picture
from springtide.cli.demo.plain import PlainTeller
from springtide.cli.demo.stage import Stage, open_stage
from springtide.cli.demo.story import Story, StoryFailed
from springtide.cli.demo.summary import Summary
from springtide.cli.demo.workload import NAMESPACE, SELECTOR, Workload

LAST_LINES: Final = 8
"""Of the operator's log, shown when the story did not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user asked for."""

    pods: int
    live: bool
    """A live view rather than a plain log."""
    shrink: bool
    keep: bool
    """Stay up after the story."""


async def perform(choices: Choices, *, logs: Path, clock: Callable[[], float]) -> None:
    """Everything from nothing to nothing. Raises StoryFailed, or what made a process end."""

    def say(text: str) -> None:
        print(f"{clock():6.1f}s  {text}", flush=True)

    say("starting a Kubernetes control plane and an AWS API on this machine")
    async with open_stage(logs, say) as stage:
        kubectl = f"kubectl --kubeconfig {stage.control_plane.kubeconfig} get nodepools"
        say(f"try it in another terminal: {kubectl}")
        picture, ready_at = Picture(clock), clock()
        async with _running(*_feeds(stage, picture), _crash(stage)) as failed:
            async with _teller(choices, picture, kubectl) as teller:
                story = Story(stage.api, picture, Workload.of(choices.pods), teller)
                await _play(story, choices, failed, stage)
            _tell_summary(stage, picture, choices, ready_at=ready_at)
            if choices.keep:
                print(
                    f"\nEverything stays up until Ctrl-C:\n  export KUBECONFIG={stage.control_plane.kubeconfig}",
                    flush=True,
                )
                await failed


@asynccontextmanager
async def _teller(
    choices: Choices, picture: Picture, kubectl: str
) -> AsyncIterator[PlainTeller | LiveTeller]:
    """Who tells the story, at work."""
    if not choices.live:
        plain = PlainTeller(picture, lambda line: print(line, flush=True))
        async with _running(plain.run()):
            yield plain
        return
    live = LiveTeller(picture, kubectl=kubectl)
    try:
        async with on_screen(live, Console()):
            yield live
    finally:
        # The alternate screen is gone: what the chapters came to stays readable.
        print("\n".join(live.told))


async def _play(story: Story, choices: Choices, failed: asyncio.Future[None], stage: Stage) -> None:
    """Play to the end, unless something fails before."""
    playing = asyncio.create_task(story.play(shrink=choices.shrink))
    try:
        await asyncio.wait([playing, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        playing.result()
    except StoryFailed as error:
        last = "\n".join(stage.operator.lines().splitlines()[-LAST_LINES:])
        raise StoryFailed(f"the story did not happen: {error}\nThe operator's last lines:\n{last}") from None
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


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


def _tell_summary(stage: Stage, picture: Picture, choices: Choices, *, ready_at: float) -> None:
    summary = Summary.of(
        picture, pods=choices.pods, purchases=len(stage.purchases()), ready_at=ready_at, now=picture.clock()
    )
    print("\nSummary")
    for line in summary.lines():
        print(f"  {line}")
