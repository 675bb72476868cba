"""Virtual time for whole operators: hours pass in milliseconds, and work in threads takes no time at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakSet

EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)

Tasks = WeakSet[asyncio.Task[Any]]

OWN_TASKS: ContextVar[Tasks | None] = ContextVar("OWN_TASKS", default=None)
"""Where the tasks that are created in this context are noted: all that a process must lose when it is killed."""


def now() -> datetime:
    """The loop's virtual time as a date."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def outside(call: Callable[..., None]) -> Callable[..., None]:
    """The call as nobody's: what the cloud does belongs to no process, though one may have asked for it."""
    return lambda *arguments: Context().run(call, *arguments)


class InlineExecutor(ThreadPoolExecutor):
    """Runs what is submitted at once: a real thread would let real time into the virtual one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def prepare(loop: asyncio.AbstractEventLoop) -> None:
    """Make a loop of virtual time fit for whole operators that can be killed."""
    loop.set_default_executor(InlineExecutor(max_workers=1))
    loop.set_task_factory(_noted_task)


def _noted_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **options)
    tasks = OWN_TASKS.get()
    if tasks is not None:
        tasks.add(task)
    return task
