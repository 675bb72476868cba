"""`springtide demo`: hands over to the demo, if the packages it needs are installed."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springtide.cli.subcommands import Subparsers

EXTRA = "springtide[demo]"
NEEDED = ("aioboto3", "flask", "moto", "rich")
"""The modules that the extra brings. Looked for before anything is built, which takes minutes."""


def register(subparsers: Subparsers) -> None:
    # The demo parses its own options, so that their parser need not be imported to run the operator.
    parser = subparsers.add_parser(
        "demo", help="watch a real control plane on this machine grow and shrink", add_help=False
    )
    parser.set_defaults(command=demo, takes_rest=True)


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; 1 with the remedy when a package it needs is missing."""
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        message = f"it needs packages that are not installed ({', '.join(missing)}): pip install '{EXTRA}'"
        print(f"springtide demo: {message}", file=sys.stderr)
        return 1
    from springtide.cli.demo import run

    return run(arguments.rest)
