"""`springtide crds`: the CustomResourceDefinitions, to be piped to kubectl or written to files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from springtide.cli.subcommands import Subparsers

DESCRIPTION = """\
Print the CustomResourceDefinitions of NodePool and AutoscalerPolicy, or write one file each with --output."""

EPILOG = """\
examples:
  springtide crds | kubectl apply --server-side -f -
  springtide crds --output crds"""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "crds",
        help="print the CustomResourceDefinitions, or write them to a folder",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="write the files here instead of printing them"
    )
    parser.set_defaults(command=crds)


def crds(arguments: argparse.Namespace) -> int:
    """Print or write; 1 when the folder cannot be written to."""
    from springtide.api.crd import render

    files = render()
    if arguments.output is None:
        sys.stdout.write("---\n".join(files.values()))
        sys.stdout.flush()
        return 0
    try:
        write(files, arguments.output)
    except OSError as error:
        print(f"springtide crds: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files into the folder, which is made when it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        print(path)
