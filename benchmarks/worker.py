"""One planning workload in a process of its own, so that its memory is its own: prints its figures as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.check import Verified
from benchmarks.planning import Measured, measure
from benchmarks.workloads import WORKLOADS


def run_apart(name: str) -> Measured:
    """Measure a workload in a fresh process. Raises CalledProcessError when that fails."""
    # One thread: else numpy's own pool would show up as CPU seconds without use.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", name],
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[1],
        env=environment,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    verified = figures.pop("verified")
    complaints, unproven = tuple(verified.pop("complaints")), tuple(verified.pop("unproven"))
    return Measured(**figures, verified=Verified(**verified, complaints=complaints, unproven=unproven))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(WORKLOADS[sys.argv[1]]()))))
