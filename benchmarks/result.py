"""What a benchmark measured, and how it is kept and shown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One workload's figures; absent ones do not apply. Times in seconds; CPU time is user + system."""

    name: str
    p50_s: float | None = None
    p95_s: float | None = None
    max_s: float | None = None
    wall_s: float | None = None
    """Of planning: one pass from a ready snapshot."""
    floor_s: float | None = None
    """The same with the nodes already there, in the same run."""
    cpu_s: float | None = None
    """Of planning: one pass from a ready snapshot; on a real control plane of the operator's process in all."""
    quiet_cpu_s: float | None = None
    """Of the first pass that finds nothing to buy any more."""
    snapshot_wall_s: float | None = None
    """Of building the snapshot from the bytes of the API server's lists."""
    snapshot_cpu_s: float | None = None
    peak_rss_mib: float | None = None
    nodes: int | None = None
    vcpu: int | None = None
    hourly_cost: float | None = None
    removed: int | None = None
    skew: int | None = None
    passes: int | None = None
    """That bought something, until all pods were provided for."""
    unplaced: int | None = None
    """Pods for which no place was found."""
    purchases: int | None = None
    """Accepted SetDesiredCapacity calls."""
    background_cost: float | None = None
    """$/h of the plan after 30 s of improvement in all."""
    n: int | None = None
    bound: Mapping[str, Any] = field(default_factory=dict)
    """What no plan can be better than; `of_plan` is what the plan itself has proved."""
    target: Mapping[str, Any] = field(default_factory=dict)
    met: bool | None = None
    missed: tuple[str, ...] = ()
    """What keeps the target from being met."""
    peers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()
    """What a second opinion finds wrong with the plan."""
    unproven: tuple[str, ...] = ()
    """Purchases that are right by volume, but whose arrangement the second opinion did not find."""
    note: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Further figures, of measurements that have their own."""
    machine: str = ""


def machine() -> str:
    """The hardware, as far as it matters for reading the figures."""
    return f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def save(results: Iterable[Result]) -> None:
    """Write results/latest.json, keeping figures of workloads that were not run this time."""
    kept = {entry["name"]: entry for entry in load()}
    for result in results:
        kept[result.name] = compact(asdict(result))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(list(kept.values()), indent=2) + "\n", encoding="utf-8")


def load() -> list[dict[str, Any]]:
    """The figures of all workloads as they were last measured."""
    if not RESULTS.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return entries


def compact(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is absent, numbers rounded to what they are worth."""
    return {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in entry.items()
        if value is not None and value not in ("", (), {})
    }
