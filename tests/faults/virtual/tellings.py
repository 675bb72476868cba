"""Telling a story once in virtual time, with a mishap; and what came of all tellings, as a table."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import looptime

from springtide.actuation.outcome import (
    RemovalDone,
    RemovalRolledBack,
    RemovalStarted,
    UnregisteredTerminated,
)
from tests.faults.amount import report
from tests.faults.virtual.mishaps import Mischief, Mishap
from tests.faults.virtual.story import Story
from tests.scenarios.door import Change
from tests.scenarios.world import World

AWAY_SECONDS: Final = (3.0, 0.0, 45.0)
"""How long nobody runs after a stop, in turn: a quick restart, an immediate one, a node that has to be found first."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What came of one."""

    changes: tuple[Change, ...]
    launched: dict[str, int]
    evicted: int
    drained_at_once: int
    """Removals of nodes with pods that were under way together."""
    given_back_unregistered: int
    struck: Change | None = None
    failure: str = ""
    """What did not hold; empty when all did."""


@dataclass(frozen=True, slots=True)
class Point:
    """A call at which a mishap happened."""

    number: int
    change: Change
    mishap: Mishap
    failure: str

    def __str__(self) -> str:
        return f"{self.number:4d}  {self.change!s:60}  {self.mishap.value:18}  {self.failure or 'held'}"


def told(mishap: Mishap | None = None, at: int = -1) -> Telling:
    """Tell the story in a loop of its own."""
    loop = looptime.new_event_loop(noop_cycles=1)
    try:
        return loop.run_until_complete(_tell(mishap, at))
    finally:
        loop.close()


async def _tell(mishap: Mishap | None, at: int) -> Telling:
    mischief = Mischief(mishap, at)
    story = Story(mischief)
    successor = asyncio.ensure_future(_restart_when_stopped(story, mischief, AWAY_SECONDS[at % 3]))
    failure = ""
    try:
        await story.tell()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    finally:
        successor.cancel()
        with suppress(asyncio.CancelledError):
            await successor
        await story.world.kill_operator()
    world = story.world
    return Telling(
        changes=tuple(mischief.changes),
        launched=story.launched,
        evicted=len({pod.uid for pod in world.evictions if not pod.is_daemon}),
        drained_at_once=_together(world),
        given_back_unregistered=sum(len(each.instances) for each in world.of(UnregisteredTerminated)),
        struck=mischief.struck,
        failure=failure,
    )


def _together(world: World) -> int:
    """The most removals of occupied nodes that were under way at a time."""
    under_way: set[str] = set()
    most = 0
    for outcome in world.outcomes:
        if isinstance(outcome, RemovalStarted) and outcome.pods:
            under_way.add(outcome.node)
        elif isinstance(outcome, RemovalDone | RemovalRolledBack):
            under_way.discard(outcome.node)
        most = max(most, len(under_way))
    return most


async def _restart_when_stopped(story: Story, mischief: Mischief, away: float) -> None:
    await mischief.stopped.wait()
    await story.world.kill_operator()
    await asyncio.sleep(away)
    story.world.start_operator()


def suffer(undisturbed: Telling, mishap: Mishap, at: int) -> Point:
    """Tell the story with this mishap at this call, and compare with how it went undisturbed."""
    telling = told(mishap, at)
    failure = telling.failure
    if not failure and telling.struck != undisturbed.changes[at]:
        failure = f"the story took another course: {telling.struck} at this point"
    if not failure and sum(telling.launched.values()) != sum(undisturbed.launched.values()):
        failure = f"machines were launched {telling.launched} instead of {undisturbed.launched}"
    return Point(number=at, change=undisturbed.changes[at], mishap=mishap, failure=failure)


def table(points: Iterable[Point]) -> str:
    """How many points there were and how many held, by kind of call."""
    tried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for point in points:
        tried[point.change.verb] += 1
        held[point.change.verb] += not point.failure
    lines = [f"{'call':34} {'points':>6} {'held':>6}"]
    lines += [f"{verb:34} {tried[verb]:6d} {held[verb]:6d}" for verb in sorted(tried)]
    lines.append(f"{'all':34} {sum(tried.values()):6d} {sum(held.values()):6d}")
    return "\n".join(lines)


def leave_report(name: str, points: Sequence[Point]) -> None:
    """The table, and every point; as a report."""
    text = f"{name}\n{table(points)}\n\n" + "\n".join(str(point) for point in points) + "\n"
    report(name, text)
