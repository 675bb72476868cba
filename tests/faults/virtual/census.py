"""A census of what a process holds: every container that its parts keep, found by looking, so that none is forgotten."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import deque
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.scenarios.process import Process

CONTAINERS: Final = (dict, list, set, frozenset, tuple, deque)
OURS: Final = "springtide."
DEPTH: Final = 8
"""Objects of ours inside objects of ours."""


@dataclass(frozen=True, slots=True)
class Census:
    """What there was at one quiet moment."""

    containers: dict[str, int]
    """Sizes by path; containers of one path (of each of many objects) together."""
    tasks: int
    allocated_kib: float
    """By code of ours, as tracemalloc knows it."""
    resident_mib: float
    series: int
    """Of metrics."""

    @property
    def entries(self) -> int:
        """In all containers together."""
        return sum(self.containers.values())


def take(process: Process) -> Census:
    """Count now. tracemalloc must be running."""
    gc.collect()
    traced = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/springtide/*")])
    return Census(
        containers=dict(sorted(_sizes(process).items())),
        tasks=len(asyncio.all_tasks()),
        allocated_kib=sum(each.size for each in traced.traces) / 1024,
        resident_mib=_resident_mib(),
        series=sum(len(metric.samples) for metric in process.metrics.registry.collect()),
    )


def _sizes(process: Process) -> dict[str, int]:
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    for name in ("engine", "actuator", "reporter", "recorder", "memories", "clouds", "writer", "watcher"):
        for path, container in _containers(getattr(process, name), name, seen, DEPTH):
            sizes[path] = sizes.get(path, 0) + len(container)
    return sizes


def _containers(value: Any, path: str, seen: set[int], depth: int) -> Iterator[tuple[str, Sized]]:
    if depth == 0 or id(value) in seen:
        return
    if isinstance(value, CONTAINERS):
        seen.add(id(value))
        yield path, value
        inside = value.values() if isinstance(value, dict) else value
        for each in list(inside):
            if not isinstance(each, CONTAINERS):
                yield from _containers(each, f"{path}[]", seen, depth - 1)
    elif type(value).__module__.startswith((OURS, "tests.scenarios.api_server")):
        seen.add(id(value))
        for name, each in _attributes(value):
            yield from _containers(each, f"{path}.{name}", seen, depth - 1)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from vars(value).items() if hasattr(value, "__dict__") else ()
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
