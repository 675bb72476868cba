"""Child processes that we own: started, watched, stopped by their id, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
TAIL_LINES = 15


class ProcessCrashed(RuntimeError):
    """A process ended although nobody stopped it; the message holds its last words."""

    def __init__(self, *, name: str, returncode: int, log: Path, tail: str) -> None:
        self.name = name
        self.returncode = returncode
        self.log = log
        ending = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        super().__init__(f"{name} ended with {ending}; the last lines of {log}:\n{tail}")


class Process:
    """One child in a process group of its own, its output in a log file.

    Its own group keeps the terminal's Ctrl-C away from it, so that we decide the order of stopping; the
    tether makes the kernel kill it when we are killed without a chance to stop it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        on_crash: Callable[[ProcessCrashed], None] | None = None,
    ) -> None:
        """``environment`` is added to ours; ``on_crash`` is called in the event loop."""
        self.name = name
        self.command = tuple(command)
        self.log = log
        self.environment = dict(environment or {})
        self.on_crash = on_crash
        self._child: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Return the process id, None before the start."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    @property
    def crash(self) -> ProcessCrashed | None:
        """Return why it is not running although it should be."""
        if self._child is None or self._child.returncode is None or self._stopping:
            return None
        return ProcessCrashed(
            name=self.name, returncode=self._child.returncode, log=self.log, tail=self.tail()
        )

    async def start(self) -> None:
        """Start it, appending to its log. It may not be running."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self._stopping = False
        with self.log.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *self.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self._watcher = asyncio.create_task(self._watch(self._child), name=f"watch {self.name}")

    async def stop(self, *, grace: float = 5.0) -> None:
        """Send SIGTERM to the process group, after ``grace`` seconds SIGKILL; return when it is gone."""
        self._stopping = True
        child, watcher = self._child, self._watcher
        if child is None:
            return
        try:
            if child.returncode is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace):
                        await child.wait()
        finally:
            # Also when we are cancelled while waiting.
            if child.returncode is None:
                self._signal(signal.SIGKILL)
            await child.wait()
            if watcher is not None:
                await watcher

    def kill(self) -> None:
        """Send SIGKILL and do not wait: for an exit that has no time left."""
        self._stopping = True
        if self._child is not None and self._child.returncode is None:
            self._signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return await self._child.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines of its log."""
        try:
            with self.log.open(errors="replace") as output:
                return "".join(deque(output, maxlen=lines)).rstrip()
        except FileNotFoundError:
            return "(nothing was written)"

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        # The group has the child's id, and keeps it reserved as long as any member lives.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        await child.wait()
        # What the child may have left in its group; later the id could be somebody else's.
        self._signal(signal.SIGKILL)
        if self.crash is not None and self.on_crash is not None:
            self.on_crash(self.crash)
