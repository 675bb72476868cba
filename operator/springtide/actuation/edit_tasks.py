"""Edits of Nodes in the background: one for each Node at a time, so many at once. One that fails is for the next pass to
plan again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from springtide.actuation.node_edits import Change, NodeEditor, NodeGone
from springtide.actuation.ports import MutationForbidden, NodeObject
from springtide.actuation.tasks import OwnedTasks


class EditTasks:
    """Owns the edits under way."""

    def __init__(self, editor: NodeEditor, *, at_a_time: int) -> None:
        self._editor = editor
        self._door = asyncio.Semaphore(at_a_time)
        self._tasks: OwnedTasks[str] = OwnedTasks()

    def start(
        self,
        node: str,
        change: Change,
        *,
        what: str,
        done: Callable[[NodeObject], None],
        failed: Callable[[str], None],
    ) -> None:
        """Make the change, unless one of this node is under way.

        Of `done` (with the Node) and `failed` (with the reason) one is called; none if there was nothing to change.
        """
        if node not in self._tasks:
            self._tasks.start(node, self._edit(node, change, done, failed), name=f"{what} of {node}")

    async def undo(self, node: str, change: Change) -> bool:
        """Make a change that takes marks off, and wait for it; whether there was anything to change. Raises what
        NodeEditor.undo raises, but a Node that is gone needs nothing."""
        try:
            return await self._through_the_door(self._editor.undo, node, change) is not None
        except NodeGone:
            return False

    async def cancel(self, nodes: Iterable[str]) -> None:
        await self._tasks.cancel(nodes)

    async def stop(self) -> None:
        await self._tasks.cancel(self._tasks)

    async def _edit(
        self, node: str, change: Change, done: Callable[[NodeObject], None], failed: Callable[[str], None]
    ) -> None:
        try:
            changed = await self._through_the_door(self._editor.apply, node, change)
        except (NodeGone, MutationForbidden):
            # Nothing to do any more, or planned again by whoever may act.
            return
        except Exception as error:
            failed(str(error) or type(error).__name__)
            return
        if changed is not None:
            done(changed)

    async def _through_the_door(
        self, edit: Callable[[str, Change], Awaitable[NodeObject]], node: str, change: Change
    ) -> NodeObject | None:
        """The Node as it is after the change; None when it was as wanted already."""
        changed = False

        def noting(present: NodeObject) -> Mapping[str, Any] | None:
            nonlocal changed
            patch = change(present)
            # After a lost answer the repetition finds it done: that was us.
            changed = changed or patch is not None
            return patch

        async with self._door:
            after = await edit(node, noting)
        return after if changed else None
