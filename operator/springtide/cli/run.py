"""`springtide run`: the operator as a process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from springtide.runtime.settings import SettingsError, add_arguments, from_arguments

if TYPE_CHECKING:
    from springtide.cli.subcommands import Subparsers

EXIT_USAGE = 2

DESCRIPTION = """\
Run the operator. It watches the cluster, plans as soon as something changes, and acts on the NodePools and
AutoscalerPolicies it finds. Nothing is bought before a NodePool exists; `mode: DryRun` shows what would be done.

How pools behave is declared in the cluster and takes effect without a restart; the flags say only where this process
finds things. Every flag can also be given by the environment variable that its line names; a flag wins."""

EPILOG = """\
examples:
  springtide run --cluster-name prod
  springtide run --kubeconfig ~/.kube/config --context staging --http-address 127.0.0.1:0 --log-level debug
  SPRINGTIDE_LOG_FORMAT=json springtide run

AWS credentials and endpoints are found as every AWS SDK finds them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_PROFILE, AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ENDPOINT_URL, instance metadata.
Permissions: deploy/aws/iam-policy.json (AWS), the roles in deploy/kubernetes/ (Kubernetes).

Several may run: one leads, by the Lease that --lease-namespace and --lease-name name, the others stand by.

exit codes: 0 stopped by a signal or handed over, 1 could not start or a part of it failed, 2 wrong usage,
3 leadership lost."""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run the operator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until stopped; 2 when a flag or variable cannot be understood."""
    try:
        settings = from_arguments(arguments)
    except SettingsError as error:
        print(f"springtide run: {error}", file=sys.stderr)
        return EXIT_USAGE
    # Late: kopf, numpy and the SDKs take a second to import, which --help and wrong flags need not wait for.
    from springtide.handlers import register as register_handlers
    from springtide.runtime import operator

    return operator.run(settings, register_handlers)
