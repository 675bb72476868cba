"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import contextlib
import random
import socket

LOOPBACK = "127.0.0.1"

FIRST_PORT, LAST_PORT = 20000, 32000
"""Below Linux's and macOS's ephemeral ranges (32768 and 49152), from which the kernel serves outgoing
connections: a port found free there may be some client's a moment later."""


def free_ports(count: int) -> list[int]:
    """Return distinct ports that nothing listens on; they are held together, so none is found twice."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(FIRST_PORT, LAST_PORT), LAST_PORT - FIRST_PORT):
            if len(found) == count:
                return found
            candidate = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind((LOOPBACK, port))
                found.append(port)
    raise OSError(f"no {count} free ports between {FIRST_PORT} and {LAST_PORT} on {LOOPBACK}")
