"""The live view on the terminal: redrawn a few times a second while the story goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console
from rich.live import Live

from springtide.cli.demo.picture import Picture
from springtide.cli.demo.scene import scene_of
from springtide.cli.demo.story import Chapter, Teller
from springtide.cli.demo.view import SceneView

FRAME_SECONDS: Final = 0.25


class LiveTeller(Teller):
    """Shows the story on an alternate screen; what the chapters came to is kept for after it."""

    def __init__(self, picture: Picture, *, kubectl: str) -> None:
        self._picture = picture
        self._kubectl = kubectl
        self._chapter: Chapter | None = None
        self._result = ""
        self.told: list[str] = []

    def chapter(self, chapter: Chapter) -> None:
        self._chapter, self._result = chapter, ""

    def result(self, text: str) -> None:
        self._result = text
        title = self._chapter.title if self._chapter else ""
        self.told.append(f"{self._picture.clock():6.1f}s  {title}: {text}")

    def note(self, text: str) -> None:
        self._result = text

    def frame(self) -> SceneView:
        """The screen as it should be now."""
        return SceneView(
            scene_of(self._picture, chapter=self._chapter, result=self._result, kubectl=self._kubectl)
        )


@asynccontextmanager
async def on_screen(teller: LiveTeller, console: Console) -> AsyncIterator[None]:
    """Show it for as long as the block; then the terminal is as before, and has what the chapters came to."""
    try:
        with Live(teller.frame(), console=console, screen=True, auto_refresh=False) as live:
            redrawing = asyncio.create_task(_redraw(teller, live))
            try:
                yield
            finally:
                redrawing.cancel()
                await asyncio.gather(redrawing, return_exceptions=True)
    finally:
        for line in teller.told:
            console.print(line, markup=False, highlight=False)


async def _redraw(teller: LiveTeller, live: Live) -> None:
    while True:
        live.update(teller.frame(), refresh=True)
        await asyncio.sleep(FRAME_SECONDS)
