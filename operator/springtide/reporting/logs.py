"""Log lines: for people or as JSON, one line a decision, with the plan's id and the numbers as fields.

Whatever a record is made of (messages of clouds, names of groups, errors of libraries), what is written is one line
without secrets: see api.foreign_text.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from springtide.api.foreign_text import shown, visible, without_secrets

DECISIONS = logging.getLogger("springtide.decisions")
"""Where decisions are logged; everything else uses the module's own logger."""

MAX_LINE: Final = 8192
"""Characters of a message or of one field of a record."""
_OF_MANY_LINES: Final = frozenset({"exc_info", "stack_info"})

_NOISY = ("aiohttp.access", "botocore", "aiobotocore", "boto3", "urllib3", "kopf", "asyncio")


class HumanFormatter(logging.Formatter):
    """2026-11-22T08:44:48.123Z INFO  Scale-up plan: general/asg-a 4->5 (max 8) for 3 pods  plan=6f1c."""

    def format(self, record: logging.LogRecord) -> str:
        time = (
            datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        line = f"{time} {record.levelname:<7} {shown(record.getMessage(), at_most=MAX_LINE)}"
        if plan := getattr(record, "plan", ""):
            line += f"  plan={shown(str(plan), at_most=MAX_LINE)}"
        if record.exc_info:
            # A traceback is for those who debug Springtide; users get the message.
            kind, error, _ = record.exc_info
            line += f" ({kind.__name__ if kind else 'error'}: {shown(str(error), at_most=MAX_LINE)})"
            if logging.getLogger("springtide").isEnabledFor(logging.DEBUG):
                line += "\n" + _lines_shown(self.formatException(record.exc_info))
        return line


class SafeJsonFormatter(JsonFormatter):
    """JSON objects whose every text, at any depth, is one line without secrets; of tracebacks, lines."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {
            key: _lines_shown(value) if key in _OF_MANY_LINES and isinstance(value, str) else _safe(value)
            for key, value in log_data.items()
        }


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value, at_most=MAX_LINE)
    if isinstance(value, Mapping):
        return {shown(str(key), at_most=MAX_LINE): _safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_safe(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, datetime)):
        return value
    return shown(str(value), at_most=MAX_LINE)


def _lines_shown(text: str) -> str:
    """A traceback without secrets, its lines kept."""
    return "\n".join(visible(line) for line in without_secrets(text).split("\n"))


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
    return SafeJsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        timestamp="time",
        rename_fields={"levelname": "level", "name": "logger"},
    )


def decision(message: str, *, plan: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one decision; `fields` become keys of the JSON form."""
    DECISIONS.log(level, "%s", message, extra={"plan": plan, **fields})
