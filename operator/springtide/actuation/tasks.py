"""Tasks that somebody owns: found again by their key, cancelled and waited for at the end, never silently lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


class OwnedTasks(Generic[K]):
    """At most one running task for each key."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[None]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, key: K, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work`; its key is free again when it ends. The caller made sure that the key is free."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def cancel(self, keys: Iterable[K]) -> None:
        """Cancel these and wait until they have ended."""
        tasks = [self._tasks[key] for key in keys if key in self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def join(self, keys: Iterable[K]) -> None:
        """Wait until these have ended by themselves; cancelling the wait does not cancel them."""
        tasks = [self._tasks[key] for key in keys if key in self._tasks]
        if tasks:
            await asyncio.wait(tasks)

    async def wait(self, *, timeout: float) -> None:
        """Wait until all have ended, but no longer than `timeout` seconds; the late ones go on."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks.values()), timeout=timeout)

    def _ended(self, key: K, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and task.exception() is not None:
            # Work reports its own failures as outcomes; what comes here is a defect in the reporting itself.
            _log.error("task %s failed", task.get_name(), exc_info=task.exception())
