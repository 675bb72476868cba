"""Durations as Go writes them: "500ms", "10m", "1h30m"; parsed to timedelta and back."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

_UNIT: Final = r"([nuµμm]?s|m|h)"
_NUMBER: Final = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"

DURATION_PATTERN: Final = rf"^(0|({_NUMBER}{_UNIT})+)$"
"""What a duration looks like, in the regular-expression dialect that both Python and the API server (RE2)
speak.

No sign: nothing in this API can be done for a negative time.
"""

MAX_DURATION_LENGTH: Final = 32
"""Longest accepted text, in characters; bounded so that the API server can price CEL rules over it."""

_LONGEST: Final = timedelta(microseconds=(2**63 - 1) // 1000)
"""Go counts nanoseconds in an int64, which ends after some 292 years; CEL's duration() refuses longer ones
too."""

_MICROSECONDS: Final[dict[str, Decimal]] = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "µs": Decimal(1),
    "μs": Decimal(1),
    "ms": Decimal(1_000),
    "s": Decimal(1_000_000),
    "m": Decimal(60_000_000),
    "h": Decimal(3_600_000_000),
}
_WHOLE: Final = re.compile(DURATION_PATTERN)
_TERM: Final = re.compile(rf"(?P<number>{_NUMBER})(?P<unit>{_UNIT})")


def parse_duration(text: str) -> timedelta:
    """Parse a non-negative Go duration string; finer than a microsecond is rounded (timedelta's resolution).

    Raises ValueError, with a message for users, on anything that Go's time.ParseDuration would refuse, on a
    sign, and on more than about 292 years.
    """
    if len(text) > MAX_DURATION_LENGTH or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    microseconds = sum(Decimal(term["number"]) * _MICROSECONDS[term["unit"]] for term in _TERM.finditer(text))
    if microseconds > _LONGEST // timedelta(microseconds=1):
        raise ValueError(f"{text!r} is longer than 292 years")
    return timedelta(microseconds=round(microseconds))


def format_duration(value: timedelta) -> str:
    """Write a non-negative duration in the shortest form that parses back to the same value: "1h30m",
    "1.5s", "0s"."""
    microseconds = value // timedelta(microseconds=1)
    if microseconds < 0:
        raise ValueError(f"{value!r} is negative")
    if microseconds == 0:
        return "0s"
    if microseconds < 1_000:
        return f"{microseconds}us"
    if microseconds < 1_000_000:
        return f"{_decimal(microseconds, per_unit=1_000)}ms"
    minutes, rest = divmod(microseconds, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    terms = [
        f"{hours}h" if hours else "",
        f"{minutes}m" if minutes else "",
        f"{_decimal(rest, per_unit=1_000_000)}s" if rest else "",
    ]
    return "".join(terms)


def _decimal(amount: int, *, per_unit: int) -> str:
    whole, fraction = divmod(amount, per_unit)
    digits = f"{fraction:0{len(str(per_unit)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
