"""python -m benchmarks [NAME …]: run workloads, print their figures beside the peers', write results/latest.json.

Without names: every planning workload. Those on a real control plane, and those of the whole
operator on a replayed large cluster (memory, steady), take minutes and are run by name (or `all`).
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.burst import burst
from benchmarks.lone import lone
from benchmarks.memory import memory
from benchmarks.result import RESULTS, Result, load, save
from benchmarks.standing import judged, of_plan
from benchmarks.steady import steady
from benchmarks.table import as_text
from benchmarks.worker import run_apart
from benchmarks.workloads import WORKLOADS

ON_A_CONTROL_PLANE: dict[str, Callable[[], Awaitable[Result]]] = {"lone": lone, "burst-1k": burst}
ON_A_REPLAY: dict[str, Callable[[], Awaitable[Result]]] = {"memory": memory, "steady": steady}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    everything = [*WORKLOADS, *ON_A_REPLAY, *ON_A_CONTROL_PLANE]
    known = [*everything, "all"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    names = parser.parse_args().names or list(WORKLOADS)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}; there are: {', '.join(known)}")
    run(everything if "all" in names else names)


def run(names: Sequence[str]) -> None:
    for name in names:
        print(f"{name} …", flush=True)
        try:
            result = one(name)
        except subprocess.CalledProcessError:
            print(f"{name} failed", flush=True)
            continue
        save([result])
        for missed in result.missed:
            print(f"  {name}: {missed}", flush=True)
        for what, figure in result.figures.items():
            print(f"  {name}: {what} {figure}", flush=True)
    print()
    print(as_text(entry for entry in load() if entry["name"] in names))
    print(f"written to {RESULTS}")


def one(name: str) -> Result:
    """Run one workload."""
    if name in ON_A_CONTROL_PLANE:
        return judged(asyncio.run(_awaited(ON_A_CONTROL_PLANE[name])))
    if name in ON_A_REPLAY:
        return asyncio.run(_awaited(ON_A_REPLAY[name]))
    return of_plan(name, run_apart(name))


async def _awaited(workload: Callable[[], Awaitable[Result]]) -> Result:
    return await workload()


if __name__ == "__main__":
    main()
