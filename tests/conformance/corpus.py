"""Recorded answers of the real kube-scheduler and Cluster Autoscaler: gzipped JSON lines, one case each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"

Case = dict[str, Any]


def cases(pattern: str, *, folder: Path = DATA) -> Iterator[Case]:
    """Every case of the files whose name matches, in file order."""
    for path in sorted(folder.glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
