"""python -m benchmarks [NAME …]: run workloads, print their figures beside the peer's, write results/latest.json."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.burst import burst
from benchmarks.lone import lone
from benchmarks.result import RESULTS, Result, save

WORKLOADS: dict[str, Callable[[], Awaitable[Result]]] = {"lone": lone, "burst-1k": burst}


async def run(names: list[str]) -> None:
    for name in names:
        print(f"{name} …", flush=True)
        result = await WORKLOADS[name]()
        print(result.line(), flush=True)
        save([result])
    print(f"written to {RESULTS}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WORKLOADS, []], help="workloads; default: all")
    asyncio.run(run(parser.parse_args().names or list(WORKLOADS)))


if __name__ == "__main__":
    main()
