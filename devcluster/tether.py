"""Run a command that dies with the process that started it: ``python tether.py PARENT_PID COMMAND…``.

A program of its own, not subprocess's ``preexec_fn``, because running Python between fork and exec can
deadlock when the parent has threads. It needs only the standard library and replaces itself by the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h; the setting survives exec."""


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before we asked; nobody would ever stop the command.
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
