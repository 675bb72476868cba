"""Log lines: for people or as JSON, one line a decision, with the plan's id and the numbers as fields."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

DECISIONS = logging.getLogger("springtide.decisions")
"""Where decisions are logged; everything else uses the module's own logger."""

_NOISY = ("aiohttp.access", "botocore", "aiobotocore", "boto3", "urllib3", "kopf", "asyncio")


class HumanFormatter(logging.Formatter):
    """2026-11-22T08:44:48.123Z INFO  Scale-up plan: general/asg-a 4->5 (max 8) for 3 pods  plan=6f1c."""

    def format(self, record: logging.LogRecord) -> str:
        time = (
            datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        line = f"{time} {record.levelname:<7} {record.getMessage()}"
        if plan := getattr(record, "plan", ""):
            line += f"  plan={plan}"
        if record.exc_info:
            # A traceback is for those who debug Springtide; users get the message.
            kind, error, _ = record.exc_info
            line += f" ({kind.__name__ if kind else 'error'}: {error})"
            if logging.getLogger("springtide").isEnabledFor(logging.DEBUG):
                line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(*, json: bool, level: str, stream: TextIO | None = None) -> None:
    """Configure the root logger of this process."""
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_json_formatter() if json else HumanFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, getattr(logging, level.upper())))
    if level.lower() != "debug":
        # kopf reports every handler that fails with a traceback; the engine has said so in one line already.
        logging.getLogger("kopf").setLevel(logging.ERROR)


def _json_formatter() -> logging.Formatter:
    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        timestamp="time",
        rename_fields={"levelname": "level", "name": "logger"},
    )


def decision(message: str, *, plan: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one decision; `fields` become keys of the JSON form."""
    DECISIONS.log(level, "%s", message, extra={"plan": plan, **fields})
