"""One performance: the stage is set, the picture fed, the story played and shown, the summary told."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from springtide.api.model import API_GROUP, API_VERSION
from springtide.cli.demo.following import follow
from springtide.cli.demo.live import LiveTeller, on_screen
from springtide.cli.demo.picture import Picture
from springtide.cli.demo.plain import PlainTeller
from springtide.cli.demo.stage import Stage, open_stage
from springtide.cli.demo.story import Story, StoryFailed, Teller
from springtide.cli.demo.summary import Summary
from springtide.cli.demo.workload import NAMESPACE, SELECTOR, Workload

CRASH_SECONDS: Final = 2.0
"""Until the end of a process is noticed, at the latest."""

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
        say(f"try it in another terminal: {stage.kubectl}")
        picture = Picture(clock)
        teller, showing = _teller(choices, picture, stage.kubectl)
        # The first burst need not wait for the operator: it arrives while that is starting.
        works = (*_feeds(stage, picture), stage.watch_components(), stage.run_operator(teller.note))
        async with _running(*works) as failed:
            async with showing:
                story = Story(stage.api, picture, Workload.of(choices.pods), teller)
                await _play(story.play(shrink=choices.shrink), failed, operator_log=stage.operator_log)
            _tell_summary(stage, picture, choices)
            if choices.keep:
                print(
                    f"\nEverything stays up until Ctrl-C:\n  export KUBECONFIG={stage.control_plane.kubeconfig}"
                )
                sys.stdout.flush()
                await failed


def _teller(
    choices: Choices, picture: Picture, kubectl: str
) -> tuple[Teller, AbstractAsyncContextManager[object]]:
    """Who tells the story, and the context in which it is shown."""
    if choices.live:
        live = LiveTeller(picture, kubectl=kubectl)
        return live, on_screen(live, Console())
    plain = PlainTeller(picture, lambda line: print(line, flush=True))
    return plain, _running(plain.run())


async def _play(
    story: Coroutine[Any, Any, None], failed: asyncio.Future[None], *, operator_log: Path
) -> None:
    """Play to the end, unless something fails before."""
    playing = asyncio.create_task(story)
    try:
        await asyncio.wait([playing, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        playing.result()
    except aiohttp.ClientError:
        # The API server is away; if it crashed, that is the better explanation, and known in a moment.
        await asyncio.wait([failed], timeout=CRASH_SECONDS)
        if failed.done():
            failed.result()
        raise
    except StoryFailed as error:
        last = _last_lines(operator_log)
        raise StoryFailed(f"the story did not happen: {error}\nThe operator's last lines:\n{last}") from None
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-LAST_LINES:]) if log.exists() else "(it had not started)"


def _feeds(stage: Stage, picture: Picture) -> list[Coroutine[Any, Any, None]]:
    api = stage.api
    return [
        follow(api, "/api/v1/nodes", picture.node),
        follow(api, f"/api/v1/namespaces/{NAMESPACE}/pods", picture.pod, labelSelector=SELECTOR),
        follow(api, f"/apis/{API_GROUP}/{API_VERSION}/nodepools", picture.pool),
        follow(api, "/api/v1/events", picture.event, fieldSelector="involvedObject.kind=NodePool"),
    ]


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


def _tell_summary(stage: Stage, picture: Picture, choices: Choices) -> None:
    start = time.monotonic() - picture.clock()
    purchases = [call.monotonic - start for call in stage.purchases()]
    summary = Summary.of(picture, pods=choices.pods, purchases=purchases)
    print("\nSummary")
    for line in summary.lines():
        print(f"  {line}")
