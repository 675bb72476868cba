"""The child process: moto's server on a loopback port.

Run by path with ``python -P`` so that this folder does not shadow installed packages.
"""

import functools
import logging
import sys


def main() -> None:
    """Serve until killed; arguments: the port, and the region whose backends are loaded beforehand."""
    port, region = int(sys.argv[1]), sys.argv[2]

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

    # A line for every request would fill the disk in a long run; the proxy records the calls.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = DomainDispatcherApplication(create_backend_app)
    # Loaded now rather than by the first two requests, which would wait for it (0.4 s).
    for service in ("ec2", "autoscaling"):
        application.app_instances[service] = create_backend_app(service)
    autoscaling_backends[DEFAULT_ACCOUNT_ID][region]
    make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler
    ).serve_forever()


if __name__ == "__main__":
    main()
