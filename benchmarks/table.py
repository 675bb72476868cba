"""The figures as a table: ours beside the peers'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.peers import HARDWARE

HEADINGS = (
    "workload",
    "cpu s",
    "snapshot",
    "MiB",
    "passes",
    "nodes",
    "$/h",
    "CA cpu s",
    "CA nodes",
    "CA $/h",
    "Karp. cpu s",
    "Karp. nodes",
    "Karp. $/h",
    "bound",
    "target",
    "met",
)


def rows(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row for each planning workload of latest.json."""
    return [_row(entry) for entry in entries if "snapshot_cpu_s" in entry]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    ca = entry.get("peers", {}).get("cluster-autoscaler", {})
    karpenter = entry.get("peers", {}).get("karpenter", {})
    return (
        entry["name"],
        _number(entry.get("cpu_s"), 3),
        _number(entry.get("snapshot_cpu_s"), 2),
        _number(entry.get("peak_rss_mib"), 0),
        _number(entry.get("passes")),
        _nodes(entry),
        _number(entry.get("hourly_cost") or None, 0),
        _number(ca.get("cpu_s")),
        _nodes(ca),
        _number(ca.get("hourly_cost")),
        _number(karpenter.get("cpu_s")),
        _nodes(karpenter),
        _number(karpenter.get("hourly_cost")),
        _figures(entry.get("bound", {})),
        _figures(entry.get("target", {})),
        {True: "yes", False: "no"}.get(entry.get("met", ""), ""),
    )


def _nodes(figures: Mapping[str, Any]) -> str:
    if figures.get("removed"):
        return f"-{figures['removed']}"
    return _number(figures.get("nodes"))


_UNITS = {
    "wall_s": "{:g} s of the clock",
    "cpu_s": "{:g} s",
    "nodes": "{:g} nodes",
    "removed": "-{:g} nodes",
    "hourly_cost": "{:g} $/h",
    "skew": "skew {:g}",
    "peak_rss_mib": "{:g} MiB",
    "background_cost": "{:g} $/h after 30 s",
    "of_plan": "{:.1f} $/h (own)",
}


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(text.format(figures[key]) for key, text in _UNITS.items() if key in figures)


def _number(value: float | None, digits: int = 1) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if value % 1 else f"{value:,.0f}"


def as_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Aligned columns, and where the peers' figures come from."""
    table = [HEADINGS, *rows(entries)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join([*(line.rstrip() for line in lines), "", HARDWARE])


def as_markdown(entries: Iterable[Mapping[str, Any]]) -> str:
    lines = [HEADINGS, ("---",) * len(HEADINGS), *rows(entries)]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
