"""memory: what informers and state need for 5,000 nodes and 150,000 pods of 8 kB, and how soon there is a first plan.

Two processes are measured, each of them fresh: the informers with their state alone (and one plan made of it), and the
whole operator as users run it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.recording import Recording
from benchmarks.replay import Replay, replaying
from benchmarks.result import Result, machine
from springtide.cluster.access import Access
from springtide.cluster.kube import KubeClient
from springtide.cluster.snapshot import Snapshot
from springtide.cluster.watching import ClusterWatch
from springtide.planning.planner import plan
from springtide.providers.simulated.cloud import SimulatedCloud
from springtide.providers.simulated.provider import SimulatedProvider
from springtide.runtime.garbage import look_seldom, spare_what_is_here
from springtide.runtime.pools import policy_views, pool_views
from springtide.runtime.resources import Resources

TARGET_MIB: Final = 500
PATIENCE_SECONDS: Final = 300.0


async def memory(recording: Recording | None = None) -> Result:
    """Informers and state under 500 MiB."""
    recording = recording or Recording()
    async with replaying(recording) as replay:
        apart = await informers_apart(replay)
        whole = await operator_until_first_plan(replay)
    figures = apart | whole
    met = figures["state_rss_mib"] < TARGET_MIB
    return Result(
        name="memory",
        n=recording.pods,
        nodes=recording.nodes,
        wall_s=figures["first_plan_reported_s"],
        peak_rss_mib=figures["state_peak_mib"],
        target={"state_rss_mib": TARGET_MIB},
        met=met,
        missed=() if met else (f"{figures['state_rss_mib']:.0f} MiB are more than {TARGET_MIB}",),
        figures=figures,
        machine=machine(),
    )


def status_mib(pid: int | str, field: str) -> float:
    """A field of /proc/<pid>/status: VmRSS is resident now, VmHWM its highest so far."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
    if found is None:
        raise LookupError(field)
    return round(int(found.group(1)) / 1024, 1)


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- informers and state alone -----------------------------------------------------------------------------------


async def informers_apart(replay: Replay) -> dict[str, Any]:
    """Figures of a fresh process that holds the informers and makes one plan."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.memory",
        replay.url,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process under measurement ended with {process.returncode}")
    figures: dict[str, Any] = json.loads(output)
    return figures


async def watch_and_plan(url: str) -> dict[str, Any]:
    """In the fresh process: sync, look, plan, look again."""
    figures: dict[str, Any] = {"imports_mib": status_mib("self", "VmRSS")}

    async def access() -> Access:
        return Access(server=url, ssl_context=None)

    async with KubeClient(access) as client:
        cluster = ClusterWatch(client)
        look_seldom()
        cluster.start()
        await cluster.synced()
        spare_what_is_here()
        figures["synced_s"] = _age()
        figures["synced_cpu_s"] = round(time.process_time(), 2)
        picture = cluster.picture(now=datetime.now(UTC))
        figures["state_rss_mib"] = status_mib("self", "VmRSS")
        figures["state_peak_mib"] = status_mib("self", "VmHWM")
        figures["pods"], figures["shapes"] = len(cluster.state.pods), len(cluster.shapes)
        began = time.process_time()
        made = plan(await _snapshot(cluster))
        figures["plan_cpu_s"] = round(time.process_time() - began, 3)
        figures["first_plan_s"] = _age()
        figures["planned_rss_mib"] = status_mib("self", "VmRSS")
        figures["plan_peak_mib"] = status_mib("self", "VmHWM")
        figures["node_verdicts"] = len(made.nodes)
        del picture
        await cluster.stop()
    return figures


async def _snapshot(cluster: ClusterWatch) -> Snapshot:
    """With the groups that the simulated cloud has for the replayed NodePools."""
    now = datetime.now(UTC)
    picture = cluster.picture(now=now)
    resources = Resources()
    resources.refresh(picture.node_pools, picture.policies)
    provider = SimulatedProvider(SimulatedCloud())
    await provider.list_groups(resources.pools)
    await asyncio.sleep(0.1)  # the machines boot: each has a timer of zero seconds
    listings = await provider.list_groups(resources.pools)
    return Snapshot(
        now=now,
        plan_id="benchmark",
        picture=picture,
        pools=pool_views(resources.pools, resources.policies, listings, {}, now=now),
        policies=policy_views(resources.policies),
    )


def _age() -> float:
    """Seconds since this process was started."""
    started = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    return round(uptime - started / os.sysconf("SC_CLK_TCK"), 2)


# --- the whole operator ------------------------------------------------------------------------------------------


async def operator_until_first_plan(replay: Replay) -> dict[str, Any]:
    """Figures of the operator as users run it, until its first plan stands in the policy's status."""
    with tempfile.TemporaryDirectory(prefix="springtide-memory-") as folder:
        began = time.time()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "springtide.cli.main",
            "run",
            f"--kubeconfig={replay.kubeconfig(Path(folder))}",
            "--http-address=127.0.0.1:0",
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            facts = await until(replay.facts, lambda facts: facts["first_status_at"] is not None)
            return {
                "first_plan_reported_s": round(facts["first_status_at"] - began, 2),
                "operator_cpu_s": round(cpu_seconds(process.pid), 2),
                "operator_rss_mib": status_mib(process.pid, "VmRSS"),
                "operator_peak_mib": status_mib(process.pid, "VmHWM"),
            }
        finally:
            process.terminate()
            await process.wait()


async def until(
    look: Callable[[], Awaitable[dict[str, Any]]], holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Look again and again until what is seen fits."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds(seen := await look()):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
        return seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("url")
    print(json.dumps(asyncio.run(watch_and_plan(parser.parse_args().url))))
