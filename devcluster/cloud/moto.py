"""Starting and stopping moto's server, the AWS behind the proxy, as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import IO, Self

READY_TIMEOUT_S = 60.0
"""Loading moto takes about 3 s on an idle machine; a cold disk cache or a busy machine multiplies that."""


class MotoFailed(RuntimeError):
    """moto's server did not start; the message carries its last log lines."""


class MotoServer:
    """moto's server on a free loopback port; real HTTP, one process, gone when this one is gone."""

    def __init__(self, *, region: str = "us-east-1", log_path: Path | None = None) -> None:
        self._region = region
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the server and wait until it answers; raises MotoFailed."""
        log = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", str(Path(__file__).with_name("moto_main.py"))),
                *("0", self._region, str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # A Ctrl-C in the terminal is the parent's to handle: it stops us in its own order.
                start_new_session=True,
                env=os.environ | {"AWS_EC2_METADATA_DISABLED": "true"},
            )
        finally:
            log.close()
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except BaseException:
            await self.stop()
            raise
        if not line.startswith(b"ready "):
            code = await self._process.wait()
            raise MotoFailed(f"moto's server ended with code {code} before it was ready{self._log_tail()}")
        self.url = f"http://127.0.0.1:{int(line.split()[1])}"

    async def stop(self) -> None:
        """End the server; it holds nothing worth a farewell, so it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    def _open_log(self) -> IO[bytes]:
        path = self._log_path or Path(os.devnull)
        return path.open("ab")

    def _log_tail(self) -> str:
        if self._log_path is None:
            return ""
        lines = self._log_path.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([":", *lines])
