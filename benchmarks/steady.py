"""steady: the CPU that the operator needs at 5,000 nodes and 150,000 pods, of which a hundred a second change."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import cpu_seconds, status_mib, until
from benchmarks.recording import Recording
from benchmarks.replay import Replay, replaying
from benchmarks.result import Result, machine

EVENTS_PER_SECOND: Final = 100
SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 12.0
"""After the first plan: the clouds are read, the pools' statuses written, one more scan made."""
TARGET_PERCENT: Final = 15.0


async def steady(recording: Recording | None = None, *, seconds: float = SECONDS) -> Result:
    """Under 15 % of one core."""
    recording = recording or Recording()
    async with replaying(recording) as replay:
        figures = await _measured(replay, seconds)
    met = figures["cpu_percent"] < TARGET_PERCENT
    return Result(
        name="steady",
        n=EVENTS_PER_SECOND,
        nodes=recording.nodes,
        wall_s=seconds,
        cpu_s=figures["cpu_s"],
        passes=figures["passes"],
        peak_rss_mib=figures["peak_mib"],
        target={"cpu_percent": TARGET_PERCENT},
        met=met,
        missed=()
        if met
        else (f"{figures['cpu_percent']:.1f} % of a core are more than {TARGET_PERCENT:.0f} %",),
        figures=figures,
        machine=machine(),
    )


async def _measured(replay: Replay, seconds: float) -> dict[str, Any]:
    """Run the operator, let it come to rest, then let pods come and go."""
    with tempfile.TemporaryDirectory(prefix="springtide-steady-") as folder:
        report = Path(folder) / "parts.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.stopwatch",
            str(report),
            f"--kubeconfig={replay.kubeconfig(Path(folder))}",
            "--http-address=127.0.0.1:0",
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[1],
        )
        try:
            await until(replay.facts, lambda facts: facts["first_status_at"] is not None)
            await replay.order("unpin")
            await asyncio.sleep(SETTLED_SECONDS)
            before = await _parts(process, report)
            used = cpu_seconds(process.pid)
            await replay.order("churn", per_second=EVENTS_PER_SECOND, seconds=seconds)
            facts = await until(replay.facts, lambda facts: not facts["churning"])
            used = cpu_seconds(process.pid) - used
            after = await _parts(process, report)
            peak, resident = status_mib(process.pid, "VmHWM"), status_mib(process.pid, "VmRSS")
        finally:
            process.kill()
            await process.wait()
    cpu = {part: round(after["cpu"][part] - before["cpu"].get(part, 0.0), 3) for part in after["cpu"]}
    cpu["rest"] = round(used - sum(cpu.values()), 3)
    return {
        "cpu_s": round(used, 2),
        "cpu_percent": round(100 * used / seconds, 2),
        "passes": after["passes"] - before["passes"],
        "pod_events": facts["events_sent"],
        "cpu_by_part": cpu,
        "rss_mib": resident,
        "peak_mib": peak,
    }


async def _parts(process: asyncio.subprocess.Process, report: Path) -> dict[str, Any]:
    """Ask the stopwatches."""
    process.send_signal(signal.SIGUSR1)

    async def look() -> dict[str, Any]:
        return {"there": os.path.exists(report)}  # noqa: ASYNC240, PTH110 - a local file

    await until(look, lambda seen: bool(seen["there"]))
    parts: dict[str, Any] = json.loads(report.read_bytes())  # noqa: ASYNC240
    report.unlink()  # noqa: ASYNC240
    return parts
