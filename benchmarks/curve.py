"""The curve: CPU time of a pass over a large cluster in everyday operation, of which one pod in a hundred pends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.large_cluster import LargeCluster
from benchmarks.planning import settle, warm_up
from benchmarks.result import Result, machine
from benchmarks.scene import build
from springtide.planning.planner import plan

REPEATED: Final = 3
"""Plans of each size; the quickest counts, for the others were disturbed."""


@dataclass(frozen=True, slots=True)
class Size:
    """One point of the curve."""

    nodes: int
    pods: int
    shapes: int


BY_PODS: Final = tuple(
    Size(nodes=nodes, pods=pods, shapes=min(300, pods // 10))
    for nodes in (100, 500, 1000, 2500, 5000)
    for pods in (1000, 3000, 10_000, 30_000, 75_000, 150_000)
    if 2 * nodes <= pods <= 100 * nodes
)
BY_SHAPES: Final = tuple(
    Size(nodes=1000, pods=30_000, shapes=shapes) for shapes in (10, 30, 100, 300, 1000, 3000)
)


def curve() -> Result:
    """Measure all points, each in a process of its own."""
    points = [*BY_PODS, *BY_SHAPES]
    seconds = {size: _apart(size) for size in dict.fromkeys(points)}
    return Result(
        name="curve",
        note="CPU seconds of one plan; one pod in a hundred pends, 20 node groups",
        figures={
            "by_pods": [_point(size, seconds) for size in BY_PODS],
            "by_shapes": [_point(size, seconds) for size in BY_SHAPES],
        },
        machine=machine(),
    )


def _point(size: Size, seconds: Mapping[Size, float]) -> dict[str, Any]:
    return {**asdict(size), "cpu_s": round(seconds[size], 4)}


def _apart(size: Size) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.curve", json.dumps(asdict(size))],
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seconds = float(done.stdout)
    print(
        f"  {size.pods:7,} pods, {size.nodes:5,} nodes, {size.shapes:5,} shapes: {seconds:.3f} s", flush=True
    )
    return seconds


def planned(size: Size) -> float:
    """CPU seconds of the quickest of some plans."""
    warm_up()
    cluster = LargeCluster(
        nodes=size.nodes, running=size.pods, pending=size.pods // 100, shapes=size.shapes, groups=20
    )
    snapshot = build(cluster.scene()).snapshot
    settle()
    times = []
    for _ in range(REPEATED):
        began = time.process_time()
        plan(snapshot)
        times.append(time.process_time() - began)
    return min(times)


def main(arguments: Sequence[str]) -> None:
    print(planned(Size(**json.loads(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
