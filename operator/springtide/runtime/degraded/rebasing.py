"""Moving what we remember by as much as the clock jumped, and out of the future.

A time that lies in the future was written by a clock that was wrong: without this, whoever waits for it to be long ago
would wait for ever.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from springtide.cluster.snapshot import Backoff

Remembered = TypeVar("Remembered")

OF_THE_CLOUD: Final = frozenset({"failures_seen_until"})
"""Times of another clock: they do not move with ours."""


def rebased(memory: Remembered, *, by: timedelta, now: datetime) -> Remembered:
    """The dataclass with every time in it, and in what it holds, moved by the jump, and none later than `now` but the
    ends of backoffs, which keep their length."""
    return _moved(memory, by, now)  # type: ignore[no-any-return]


def _moved(value: Any, by: timedelta, now: datetime) -> Any:
    match value:
        case datetime():
            return min(value + by, now)
        case Backoff():
            last = min(value.last_failure + by, now)
            return replace(value, last_failure=last, until=last + (value.until - value.last_failure))
        case dict():
            return {key: _moved(each, by, now) for key, each in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{f.name: _field(f.name, getattr(value, f.name), by, now) for f in fields(value)}
            )
        case _:
            return value


def _field(name: str, value: Any, by: timedelta, now: datetime) -> Any:
    return _moved(value, timedelta(0) if name in OF_THE_CLOUD else by, now)
