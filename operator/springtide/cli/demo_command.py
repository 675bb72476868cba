"""`springtide demo`: hands over to the demo, if the packages it needs are installed."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springtide.cli.subcommands import Subparsers

EXTRA = "springtide[demo]"
OURS = frozenset({"springtide", "devcluster"})


def register(subparsers: Subparsers) -> None:
    # The demo parses its own options, so that their parser need not be imported to run the operator.
    parser = subparsers.add_parser(
        "demo", help="watch a real control plane on this machine grow and shrink", add_help=False
    )
    parser.set_defaults(command=demo, takes_rest=True)


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; 1 with the remedy when a package it needs is missing."""
    try:
        from springtide.cli.demo import run
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] in OURS:
            raise
        print(
            f"springtide demo: it needs packages that are not installed (first: {missing}): pip install '{EXTRA}'",
            file=sys.stderr,
        )
        return 1
    return int(run(arguments.rest))
