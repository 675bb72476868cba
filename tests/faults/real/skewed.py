"""`springtide` whose wall clock is wrong: ``python skewed.py SECONDS run …``.

What reads the wall clock in our code gets it SECONDS ahead (or behind); monotonic clocks are as they are, as on a machine
whose time was set wrongly. A program of its own, which runs as the operator's process.
"""

from __future__ import annotations

import importlib
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

PARTS = (
    "springtide.cli.main",
    "springtide.handlers",
    "springtide.runtime.operator",
    "springtide.providers.aws.provider",
)


class SkewedDatetime:
    """`datetime` as a module sees it, but for `now`."""

    def __init__(self, skew: timedelta) -> None:
        self._skew = skew

    def now(self, tz: Any = None) -> datetime:
        return datetime.now(tz) + self._skew

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)

    def __call__(self, *parts: Any, **named: Any) -> datetime:
        return datetime(*parts, **named)


def skew_clocks(seconds: float) -> None:
    """Give every module of ours that asks for the time the wrong one. Afterwards, so that no type is affected."""
    wrong, right_time = SkewedDatetime(timedelta(seconds=seconds)), time.time
    for name, module in list(sys.modules.items()):
        if name.startswith("springtide.") and "datetime.now(" in Path(str(module.__file__)).read_text():
            module.datetime = wrong  # type: ignore[attr-defined]
    time.time = lambda: right_time() + seconds


def main() -> int:
    """Import all that the operator consists of, set its clock wrong, run it."""
    seconds = float(sys.argv.pop(1))
    for name in PARTS:
        importlib.import_module(name)
    skew_clocks(seconds)
    return int(importlib.import_module("springtide.cli.main").main())


if __name__ == "__main__":
    sys.exit(main())
