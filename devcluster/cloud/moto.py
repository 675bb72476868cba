"""Starting and stopping moto's server, the AWS behind the proxy, as a child process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from devcluster.api import wait_for
from devcluster.ports import LOOPBACK, free_ports
from devcluster.process import Process, ProcessCrashed

READY_TIMEOUT_S = 60.0
"""Loading moto takes 2 to 3 s on an idle machine; a cold disk cache or a busy machine multiplies that."""

_MAIN = Path(__file__).with_name("moto_main.py")


class MotoServer:
    """moto's server on a free loopback port; real HTTP, one process, gone when this one is gone."""

    def __init__(
        self, *, region: str, log: Path, on_crash: Callable[[ProcessCrashed], None] | None = None
    ) -> None:
        """`log` gets the server's output; `on_crash` is called when it ends without being stopped."""
        [self._port] = free_ports(1)
        # -P: the script's own folder, which holds a moto.py, must not come first on the path.
        command = [sys.executable, "-P", str(_MAIN), str(self._port), region]
        self.process = Process("moto", command, log=log, on_crash=on_crash)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.process.start()
        try:
            await wait_for(self._ready, timeout=READY_TIMEOUT_S, what="moto's server to listen", poll=0.02)
        except BaseException:
            await self.process.stop(grace=0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # It holds nothing worth a farewell.
        await self.process.stop(grace=0)

    async def _ready(self) -> bool:
        if self.process.crash is not None:
            raise self.process.crash
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self._port)
        except OSError:
            return False
        writer.close()
        return True
