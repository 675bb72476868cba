"""What an operator process is told at start: by flags, else by environment variables, else the default.

How pools and policies behave is not here but in the custom resources, where it can change without a restart.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from springtide.api.duration import format_duration, parse_duration
from springtide.leadership.lease import LeaseTimes

ENVIRONMENT_PREFIX = "SPRINGTIDE_"

Value = TypeVar("Value")


class SettingsError(ValueError):
    """A flag or environment variable cannot be understood; names it and says what is expected."""


class LogFormat(StrEnum):
    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def explained(text: str) -> dict[str, str]:
    """Metadata of a setting: what --help says of it. Flag and environment variable follow from the field's name."""
    return {"help": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """All settings of a process. Field `max_x` has the flag --max-x and the variable SPRINGTIDE_MAX_X."""

    cluster_name: str = field(
        default="",
        metadata=explained(
            "name of this cluster; node groups found by tags must carry it in a tag, so that no cluster manages another's"
        ),
    )
    kubeconfig: Path | None = field(
        default=None,
        metadata=explained(
            "kubeconfig file; without it the in-cluster service account, else $KUBECONFIG or ~/.kube/config"
        ),
    )
    context: str = field(
        default="", metadata=explained("context of the kubeconfig; default: its current one")
    )
    leader_elect: bool = field(
        default=True,
        metadata=explained(
            "lead only while holding the Lease, so that several replicas may run; with false nobody else may run"
        ),
    )
    lease_namespace: str = field(
        default="",
        metadata=explained(
            "namespace of the Lease, which must exist; without it the pod's own, outside of pods springtide-system"
        ),
    )
    lease_name: str = field(
        default="springtide", metadata=explained("name of the Lease by which the leader is elected")
    )
    lease_duration: timedelta = field(
        default=timedelta(seconds=15),
        metadata=explained("how long a leader that is silent is waited for before another one leads"),
    )
    renew_deadline: timedelta = field(
        default=timedelta(seconds=10),
        metadata=explained("a leader that could not renew its Lease for so long ends"),
    )
    retry_period: timedelta = field(
        default=timedelta(seconds=2), metadata=explained("how often the leader renews its Lease")
    )
    http_address: str = field(
        default="0.0.0.0:8080",
        metadata=explained("where /metrics, /healthz and /readyz are served; port 0 picks a free one"),
    )
    log_format: LogFormat = field(
        default=LogFormat.HUMAN, metadata=explained("log lines for people or as JSON objects")
    )
    log_level: LogLevel = field(
        default=LogLevel.INFO, metadata=explained("least severe level that is logged")
    )
    provider_refresh: timedelta = field(
        default=timedelta(seconds=10),
        metadata=explained("how often clouds are read while nothing is under way"),
    )
    provider_busy_refresh: timedelta = field(
        default=timedelta(seconds=2),
        metadata=explained("how often clouds are read while purchases or removals are outstanding"),
    )
    delay_after_taint: timedelta = field(
        default=timedelta(seconds=5),
        metadata=explained(
            "pause between tainting a node and looking at its pods again, so that the scheduler has seen the taint"
        ),
    )
    node_deletion_grace: timedelta = field(
        default=timedelta(minutes=2),
        metadata=explained(
            "how long the Node of an instance that we terminated, and that the cloud says is off, is left to the cloud's "
            "node controller before it is deleted by us; 0s: never"
        ),
    )
    max_picture_age_removals: timedelta = field(
        default=timedelta(minutes=3),
        metadata=explained("with an older picture of the cluster or the cloud no node is removed"),
    )
    max_picture_age_purchases: timedelta = field(
        default=timedelta(minutes=10),
        metadata=explained("with an older picture of the cluster or the cloud no node is bought"),
    )
    heartbeat: timedelta = field(
        default=timedelta(seconds=60),
        metadata=explained("how often an unchanged status is written to show that we live"),
    )

    @property
    def lease_times(self) -> LeaseTimes:
        """The durations of the election."""
        return LeaseTimes(
            duration=self.lease_duration.total_seconds(),
            renew_deadline=self.renew_deadline.total_seconds(),
            retry_period=self.retry_period.total_seconds(),
        )

    @property
    def http_host_port(self) -> tuple[str, int]:
        """Host and port of `http_address`."""
        host, _, port = self.http_address.rpartition(":")
        return host or "0.0.0.0", int(port)


def _parse(name: str, kind: str, text: str) -> Any:
    match kind:
        case "timedelta":
            return parse_duration(text)
        case "Path | None":
            return Path(text).expanduser()
        case "bool":
            return _BOOLEANS[text.lower()]
        case "LogFormat":
            return LogFormat(text)
        case "LogLevel":
            return LogLevel(text)
        case _:
            return text


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _default_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value) if value not in (None, "") else "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser one flag for each setting."""
    for setting in fields(OperatorSettings):
        variable = ENVIRONMENT_PREFIX + setting.name.upper()
        explanation = f"{setting.metadata['help']} (default: {_default_text(setting.default)}; ${variable})"
        parser.add_argument(
            "--" + setting.name.replace("_", "-"),
            dest=setting.name,
            # --leader-elect alone says true, as with all Kubernetes components.
            nargs="?" if setting.type == "bool" else None,
            const="true" if setting.type == "bool" else None,
            metavar="DURATION" if setting.type == "timedelta" else setting.name.split("_")[-1].upper(),
            help=explanation.replace("%", "%%"),
        )


def from_arguments(
    arguments: argparse.Namespace, environment: Mapping[str, str] | None = None
) -> OperatorSettings:
    """Settings from parsed flags and the environment.

    Raises SettingsError naming the flag or variable and what is expected.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for setting in fields(OperatorSettings):
        flag, variable = "--" + setting.name.replace("_", "-"), ENVIRONMENT_PREFIX + setting.name.upper()
        text, origin = getattr(arguments, setting.name, None), flag
        if text is None:
            text, origin = environment.get(variable), "$" + variable
        if text is None:
            continue
        try:
            values[setting.name] = _parse(setting.name, str(setting.type), text)
        except (ValueError, KeyError) as error:
            raise SettingsError(f"{origin}={text!r}: {_expectation(str(setting.type), error)}") from error
    settings = OperatorSettings(**values)
    _check(settings)
    return settings


def _expectation(kind: str, error: Exception) -> str:
    match kind:
        case "bool":
            return "must be true or false"
        case "LogFormat":
            return f"must be one of {', '.join(LogFormat)}"
        case "LogLevel":
            return f"must be one of {', '.join(LogLevel)}"
        case "timedelta":
            return f"{error}: write a duration such as 500ms, 90s, 10m or 1h30m"
        case _:
            return str(error)


def _check(settings: OperatorSettings) -> None:
    port = settings.http_address.rpartition(":")[2]
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise SettingsError(
            f"--http-address={settings.http_address!r}: must be HOST:PORT with a port of 0 to 65535"
        )
    for name in ("provider_refresh", "provider_busy_refresh", "heartbeat"):
        if getattr(settings, name) <= timedelta(0):
            raise SettingsError(f"--{name.replace('_', '-')}: must be longer than zero")
    problem = settings.lease_times.problem() if settings.leader_elect else ""
    if problem:
        raise SettingsError(f"--lease-duration, --renew-deadline, --retry-period: {problem}")


def parse_settings(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> OperatorSettings:
    """Settings from a command line, for tests and embedding."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(argv), environment)
