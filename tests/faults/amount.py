"""How much the fault tests do, and what they leave behind for people to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LONG: Final = os.environ.get("FAULTS") == "long"
"""`make faults-long`: ten times the numbers."""


def report(name: str, text: str) -> None:
    """What was measured: a file in the folder that FAULTS_REPORT names, if any."""
    folder = os.environ.get("FAULTS_REPORT")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{name.replace(', ', '-').replace(' ', '-')}.txt").write_text(f"{text.rstrip()}\n")
