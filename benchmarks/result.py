"""What a benchmark measured, and how it is kept and shown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One workload's figures; absent ones do not apply. Times in seconds."""

    name: str
    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None
    wall_s: float | None = None
    floor_s: float | None = None
    """The same with the nodes already there, in the same run."""
    cpu_s: float | None = None
    """CPU time of the operator's process."""
    nodes: int | None = None
    purchases: int | None = None
    """Accepted SetDesiredCapacity calls."""
    n: int | None = None
    peer: str = ""
    """What Cluster Autoscaler needs for the same input."""
    machine: str = ""

    def line(self) -> str:
        figures = {
            key: value
            for key, value in asdict(self).items()
            if value is not None and key not in ("name", "peer", "machine")
        }
        shown = "  ".join(
            f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}"
            for key, value in figures.items()
        )
        return f"{self.name:<10} {shown}   (Cluster Autoscaler: {self.peer})"


def machine() -> str:
    """The hardware, as far as it matters for reading the figures."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def save(results: Iterable[Result]) -> None:
    """Write results/latest.json, keeping figures of workloads that were not run this time."""
    kept: dict[str, Any] = {}
    if RESULTS.exists():
        kept = {entry["name"]: entry for entry in json.loads(RESULTS.read_text())}
    for result in results:
        entry = {key: value for key, value in asdict(result).items() if value not in (None, "")}
        kept[result.name] = {key: round(v, 4) if isinstance(v, float) else v for key, v in entry.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(list(kept.values()), indent=2) + "\n")
