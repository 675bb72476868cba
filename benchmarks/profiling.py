"""python -m benchmarks.profiling NAME [--snapshot]: where the time of a workload's first pass goes."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.planning import settle, warm_up
from benchmarks.scene import build
from benchmarks.workloads import WORKLOADS
from springtide.planning.planner import plan

MOST_FUNCTIONS = 25
SMALLEST_SHARE = 0.02
"""Of the whole: calls that took less are left out of the tree."""

Function = tuple[str, int, str]
"""File, line and name, as pstats has them."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("name", choices=list(WORKLOADS))
    parser.add_argument(
        "--snapshot", action="store_true", help="profile building the snapshot instead of planning"
    )
    given = parser.parse_args()
    warm_up()
    scene = WORKLOADS[given.name]()
    if given.snapshot:
        report(lambda: build(scene), root="build")
        return
    snapshot = build(scene).snapshot
    settle()
    began = time.process_time()
    plan(snapshot)
    print(f"{given.name}: {time.process_time() - began:.3f} s of CPU without the profiler")
    report(lambda: plan(snapshot), root="plan")


def report(work: Callable[[], object], *, root: str) -> None:
    """Run it under cProfile and print the costliest functions and the tree of calls below `root`."""
    profile = cProfile.Profile()
    profile.enable()
    work()
    profile.disable()
    stats = pstats.Stats(profile)
    entries: dict[Function, Any] = stats.stats  # type: ignore[attr-defined]
    print(f"{stats.total_tt:.3f} s with it\n")  # type: ignore[attr-defined]
    for title, column in (("own time", 2), ("cumulative time", 3)):
        print(f"by {title}:      own  cumulative      calls  function")
        ranked = sorted(entries.items(), key=lambda entry: -entry[1][column])
        for function, (_, calls, own, cumulative, _callers) in ranked[:MOST_FUNCTIONS]:
            print(f"{'':14}{own:8.3f}  {cumulative:10.3f}  {calls:9,}  {_shown(function)}")
        print()
    print(f"calls below {root} that took at least {SMALLEST_SHARE:.0%}:")
    start = next(function for function in entries if function[2] == root)
    _tree(entries, start, cumulative=entries[start][3], least=entries[start][3] * SMALLEST_SHARE, above=())


def _tree(
    entries: dict[Function, Any],
    function: Function,
    *,
    cumulative: float,
    least: float,
    above: tuple[Function, ...],
) -> None:
    print(f"{cumulative:8.3f}  {'  ' * len(above)}{_shown(function)}")
    called = [
        (callers[function][3], callee)
        for callee, (*_, callers) in entries.items()
        if function in callers and callee not in (*above, function)
    ]
    for spent, callee in sorted(called, reverse=True):
        if spent >= least and len(above) < 12:
            _tree(entries, callee, cumulative=spent, least=least, above=(*above, function))


def _shown(function: Function) -> str:
    file, line, name = function
    if file == "~":
        return name
    parts = Path(file).parts
    return f"{'/'.join(parts[-2:])}:{line} {name}"


if __name__ == "__main__":
    main()
