"""The last look before the bytes of a change go out: for a process that stood still between its decision and its sending.

Whoever changes something asks for leave before it calls (actuation's Fence). Between that and the socket lie a wait for
a connection, a TLS handshake, and whatever stops processes: SIGSTOP, a paused VM, a machine that swaps. So the HTTP
clients ask once more, at the last moment at which not sending is still possible.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp

Leave = Callable[[], None]
"""Returns if a change may be sent right now, raises if not."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def give_leave() -> None:
    """For clients that nobody holds back."""


def guarded(leave: Leave) -> aiohttp.TraceConfig:
    """For an aiohttp session: what `leave` raises is raised by the request, of which then nothing was sent."""

    async def last_look(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        if request.method not in _READING:
            leave()

    trace = aiohttp.TraceConfig()
    # Despite its name it is called when the connection is there and the headers are about to be written.
    trace.on_request_headers_sent.append(last_look)
    return trace
