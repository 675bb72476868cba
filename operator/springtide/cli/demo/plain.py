"""The story as a plain log: one line an event, with the seconds since the demo began."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from springtide.cli.demo.picture import Decision, NodeSeen, Picture
from springtide.cli.demo.story import CHAPTERS, Chapter, Teller

GATHER_SECONDS: Final = 0.5
"""Nodes that join or leave within this time share a line."""

STATE_SECONDS: Final = 5.0

SAID_BY_NODES: Final = frozenset({"ScaledDownNode"})
"""Reasons of events that the line about nodes that left tells already."""


class PlainTeller(Teller):
    """Writes lines; `run` must run beside the story."""

    def __init__(self, picture: Picture, write: Callable[[str], None]) -> None:
        self._picture = picture
        self._write = write
        self._joined: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        picture.listeners.append(self.hear)

    def chapter(self, chapter: Chapter) -> None:
        self._flush()
        self.line(f"--- {chapter.number}/{CHAPTERS} {chapter.title}: {chapter.text}")

    def result(self, text: str) -> None:
        self._flush()
        self.line(f"=== {text}")

    def note(self, text: str) -> None:
        self.line(text)

    def line(self, text: str) -> None:
        """Write one line with the time."""
        self._write(f"{self._picture.clock():6.1f}s  {text}")

    def hear(self, news: Decision | NodeSeen) -> None:
        """Something happened."""
        if isinstance(news, NodeSeen):
            (self._joined if news.left is None else self._left)[news.pool] += 1
        elif news.reason not in SAID_BY_NODES:
            self.line(f"{'warning: ' if news.warning else ''}{news.message}")

    async def run(self) -> None:
        """Write, until cancelled, what is gathered and from time to time how things stand."""
        elapsed = 0.0
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            self._flush()
            elapsed += GATHER_SECONDS
            if elapsed >= STATE_SECONDS:
                elapsed = 0.0
                self.line(self.state())

    def state(self) -> str:
        """How things stand, in one line."""
        picture = self._picture
        waiting = len(picture.waiting())
        return (
            f"now: {nodes(len(picture.nodes))}, pods: {picture.running()} run, {waiting} wait, "
            f"${picture.hourly_cost():.2f} an hour"
        )

    def _flush(self) -> None:
        for counter, what in ((self._joined, "joined"), (self._left, "gone")):
            for pool, count in sorted(counter.items()):
                self.line(f"{pool}: {nodes(count)} {what}, now {self._picture.count(pool)}")
            counter.clear()


def nodes(count: int) -> str:
    """ "1 node", "2 nodes"."""
    return f"{count} node" if count == 1 else f"{count} nodes"
