"""Recorded answers of the real kube-scheduler: gzipped JSON lines under data/ (see README.md)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def cases(pattern: str) -> Iterator[dict[str, Any]]:
    """Every case of the files whose name matches, in file order."""
    for path in sorted(DATA.glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
