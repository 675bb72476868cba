"""python -m benchmarks [NAME …]: run workloads, print their figures beside the peers', write results/latest.json.

Without names: every planning workload. The others take minutes and are run by name, or all of them by `all`: those on a
real control plane, memory and steady (the informers and the operator on a replayed large cluster), bad-input, curve.
In the end docs/performance.md is written anew from all results; `page` does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from benchmarks import page
from benchmarks.bad_input import bad_input
from benchmarks.burst import burst
from benchmarks.curve import curve
from benchmarks.lone import lone
from benchmarks.memory import memory
from benchmarks.result import RESULTS, Result, load, save
from benchmarks.scale_in import scale_in
from benchmarks.standing import judged, of_plan
from benchmarks.steady import steady
from benchmarks.table import as_text
from benchmarks.worker import run_apart
from benchmarks.workloads import WORKLOADS


def _awaited(workload: Callable[[], Coroutine[Any, Any, Result]]) -> Callable[[], Result]:
    return lambda: asyncio.run(workload())


OTHERS: dict[str, Callable[[], Result]] = {
    "lone": lambda: judged(asyncio.run(lone())),
    "burst-1k": lambda: judged(asyncio.run(burst())),
    "scale-in-1k": lambda: judged(asyncio.run(scale_in())),
    "memory": _awaited(memory),
    "steady": _awaited(steady),
    "bad-input": bad_input,
    "curve": curve,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*WORKLOADS, *OTHERS, "all", "page"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    names = parser.parse_args().names or list(WORKLOADS)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown workload {unknown[0]}; there are: {', '.join(known)}")
    run([*WORKLOADS, *OTHERS] if "all" in names else [name for name in names if name != "page"])
    page.write()


def run(names: Sequence[str]) -> None:
    for name in names:
        print(f"{name} …", flush=True)
        try:
            result = OTHERS[name]() if name in OTHERS else of_plan(name, run_apart(name))
        except subprocess.CalledProcessError:
            print(f"{name} failed", flush=True)
            continue
        save([result])
        for missed in result.missed:
            print(f"  {name}: {missed}", flush=True)
    if names:
        print()
        print(as_text(entry for entry in load() if entry["name"] in names))
        print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
