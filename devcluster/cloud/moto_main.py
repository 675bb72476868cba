"""The child process: moto's server on one loopback port, ending with its parent.

Run by path with ``python -P`` so that this folder does not shadow installed packages.
Prints one line, ``ready <port>``, once the port is bound and the EC2 and Auto Scaling backends are loaded.
"""

import ctypes
import functools
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Linux prctl option: the signal this process gets when its parent dies (``man 2 prctl``)."""


def _end_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent was gone before the request was made
        sys.exit(0)


def main() -> None:
    """Serve until killed; arguments: the port (0 picks a free one), the region, the parent's process id."""
    port, region, parent = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    _end_with(parent)

    import botocore.loaders

    # moto opens a botocore session per AWS partition while it is imported, and each would read the same
    # endpoint tables again: a shared loader saves 0.4 s of the start.
    botocore.loaders.create_loader = functools.lru_cache(botocore.loaders.create_loader)

    from moto.autoscaling.models import autoscaling_backends
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    # Loaded now rather than by the first two requests, which would wait for it (0.4 s).
    for service in ("ec2", "autoscaling"):
        application.app_instances[service] = create_backend_app(service)
    autoscaling_backends[DEFAULT_ACCOUNT_ID][region]
    server = make_server(
        "127.0.0.1",
        port,
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    sys.stdout.write(f"ready {server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
