"""The command `springtide` (also `kubectl springtide`): what it can do, and how each failure ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from springtide import __version__
from springtide.api.foreign_text import shown
from springtide.cli import crds, demo_command, run

COMMANDS = (run, demo_command, crds)
"""Each module brings register(subparsers) and sets `command`, a function of the parsed arguments to an exit code."""

EXIT_INTERRUPTED = 130
EXIT_FAILED = 1
MAX_ERROR = 2048
"""Characters of the line that says why a command failed."""

DESCRIPTION = """\
Springtide scales the nodes of a Kubernetes cluster: it buys nodes when pods cannot be scheduled, and gives nodes
back when their pods fit elsewhere. What it shall do is declared in the cluster, as NodePools and AutoscalerPolicies."""

EPILOG = """\
examples:
  springtide demo                                         a real control plane on this machine, growing and shrinking
  springtide crds | kubectl apply --server-side -f -      install the resource definitions
  springtide run --cluster-name prod                      run the operator with your kubeconfig
  kubectl get nodepools                                   what it does, and why

exit codes: 0 done, 1 failed (the last line says why), 2 wrong usage, 130 interrupted.
Each command explains itself: springtide COMMAND --help"""


def parser(program: str = "springtide") -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog=program,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"springtide {__version__}")
    subparsers = top.add_subparsers(metavar="COMMAND", title="commands")
    for module in COMMANDS:
        module.register(subparsers)
    version = subparsers.add_parser("version", help="print the version")
    version.set_defaults(command=print_version)
    return top


def print_version(_: argparse.Namespace) -> int:
    print(f"springtide {__version__}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. No traceback ever reaches the user."""
    plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    top = parser("kubectl springtide" if plugin else "springtide")
    arguments, rest = top.parse_known_args(argv)
    if rest and not hasattr(arguments, "takes_rest"):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    if not hasattr(arguments, "command"):
        top.print_help()
        return 0
    try:
        return int(arguments.command(arguments))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`springtide crds | head`): nothing is left to say it to.
        sys.stderr.close()
        return EXIT_FAILED
    except Exception as error:
        print(f"springtide: {describe(error)}", file=sys.stderr)
        return EXIT_FAILED


def describe(error: BaseException) -> str:
    """One line for an error that nobody expected; of a group, its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = shown(str(error), at_most=MAX_ERROR)
    name = type(error).__name__
    return f"{name}: {text}" if text else name


if __name__ == "__main__":
    sys.exit(main())
