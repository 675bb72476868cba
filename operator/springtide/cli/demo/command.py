"""The command line of the demo: its options, how it ends, and what it leaves (nothing, or logs after a failure)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from devcluster.build import BuildFailed
from devcluster.operator_process import OperatorEnded
from devcluster.process import ProcessCrashed
from devcluster.toolchain import NoToolchain
from springtide.cli.demo.performance import Choices, perform
from springtide.cli.demo.stage import NotACheckout
from springtide.cli.demo.story import StoryFailed

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DEFAULT_PODS = 160
MAX_PODS = 600
"""More would not fit into the pools of examples/demo."""

EXPECTED: Final = (
    StoryFailed,
    NotACheckout,
    OperatorEnded,
    ProcessCrashed,
    BuildFailed,
    NoToolchain,
    TimeoutError,
)
"""Failures whose message says all there is to say."""

DESCRIPTION = """\
Watch Springtide work: a real Kubernetes control plane and an AWS API with the manners of EC2 start on this machine,
the operator watches them, and pods shaped like those of a production GPU cluster come in two waves and go again. Nodes
are bought and given back. The nodes are hollow: everything about them is real but the machines.

The first run builds the control plane, which takes minutes and is said; later runs take about a minute and a half.
Ctrl-C ends it at any time and leaves nothing behind."""

EPILOG = """\
In another terminal, while it runs (it prints the path):
  kubectl --kubeconfig PATH get nodepools
  kubectl --kubeconfig PATH describe nodepool general
  kubectl --kubeconfig PATH get nodes

exit codes: 0 the story happened, 1 it did not (the last lines say what was missing and where the logs are), 2 wrong
usage, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Of the options of `springtide demo`."""
    options = argparse.ArgumentParser(
        prog="springtide demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "--pods",
        type=_pods,
        default=DEFAULT_PODS,
        metavar="N",
        help=f"pods of both waves together, 10 to {MAX_PODS} (default: %(default)s)",
    )
    options.add_argument(
        "--plain",
        action="store_true",
        help="a plain log instead of the live view; so it is without a terminal",
    )
    options.add_argument("--no-shrink", action="store_true", help="end when everything runs")
    options.add_argument(
        "--keep",
        action="store_true",
        help="when the story is over, keep everything up until Ctrl-C, to play with",
    )
    return options


def run(argv: Sequence[str]) -> int:
    """Play the demo with these options; the exit code."""
    options = parser().parse_args(argv)
    began = time.monotonic()
    # What libraries have to say would tear the picture; the processes' logs are in their folder.
    logging.basicConfig(level=logging.CRITICAL)
    logs = Path(tempfile.mkdtemp(prefix="springtide-demo-logs-"))
    try:
        asyncio.run(_until_signal(options, logs, lambda: time.monotonic() - began))
    except EXPECTED as error:
        print(f"springtide demo: {error}\nThe logs of all processes: {logs}", file=sys.stderr)
        return EXIT_FAILED
    except asyncio.CancelledError:
        shutil.rmtree(logs, ignore_errors=True)
        print("interrupted; everything is stopped, nothing is left", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BaseException:
        print(f"springtide demo: the logs of all processes: {logs}", file=sys.stderr)
        raise
    shutil.rmtree(logs, ignore_errors=True)
    return 0


async def _until_signal(options: argparse.Namespace, logs: Path, clock: Callable[[], float]) -> None:
    loop = asyncio.get_running_loop()
    performance = asyncio.create_task(perform(_choices(options), logs=logs, clock=clock))

    def stop() -> None:
        # Only once: a second cancellation would cut the tidying up short.
        if not performance.cancelling():
            performance.cancel()

    for number in SIGNALS:
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    await performance


def _choices(options: argparse.Namespace) -> Choices:
    return Choices(
        pods=options.pods,
        live=sys.stdout.isatty() and not options.plain,
        shrink=not options.no_shrink,
        keep=options.keep,
    )


def _pods(text: str) -> int:
    if not text.isdecimal() or not 10 <= int(text) <= MAX_PODS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 10 to {MAX_PODS}")
    return int(text)
