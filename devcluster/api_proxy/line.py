"""The line between a client and the API server: whole, or cut in one of the ways in which networks break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from enum import StrEnum

_LINGER_NOT = struct.pack("ii", 1, 0)
"""struct linger: on, 0 seconds. Closing then sends RST, where it would else say goodbye properly."""


class Cut(StrEnum):
    """How a line breaks."""

    RESET = "reset"
    """Every connection is answered by RST at once, as when the server's machine refuses."""
    SILENT = "silent"
    """Nothing comes back, as from a firewall that drops packets; when the line heals, the old connections are unknown."""


class Line:
    """The connections of one client."""

    def __init__(self) -> None:
        self._cut: Cut | None = None
        self._cuts = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._transports: dict[asyncio.Transport, int] = {}

    @contextlib.contextmanager
    def carrying(self, transport: asyncio.Transport) -> Iterator[int]:
        """Know the connection of a request for as long as that lasts; yields what `survived` wants to be told."""
        self._transports[transport] = self._transports.get(transport, 0) + 1
        try:
            yield self._cuts
        finally:
            self._transports[transport] -= 1
            if not self._transports[transport]:
                del self._transports[transport]

    def cut(self, how: Cut) -> None:
        """Break it: from this moment on nothing is passed on, in either direction."""
        self._cut = how
        self._cuts += 1
        self._whole.clear()
        if how is Cut.RESET:
            self._reset_all()

    def heal(self) -> None:
        """New connections work again; those from before are reset. Nothing happens to a line that is whole."""
        if self._cut is None:
            return
        self._cut = None
        self._reset_all()
        self._whole.set()

    def survived(self, since: int) -> bool:
        """Whether it was whole all the time since `carrying` began."""
        return self._cut is None and since == self._cuts

    async def swallow(self, transport: asyncio.Transport) -> None:
        """End a request that the cut caught: at once, or after silence until the line heals."""
        if self._cut is Cut.SILENT:
            await self._whole.wait()
        reset(transport)

    def _reset_all(self) -> None:
        for transport in tuple(self._transports):
            reset(transport)


def reset(transport: asyncio.Transport) -> None:
    """Break a connection with RST."""
    wire = transport.get_extra_info("socket")
    if wire is not None:
        with contextlib.suppress(OSError):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
