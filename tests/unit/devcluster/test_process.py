"""Child processes: their end is noticed, their last words are told, and nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from devcluster.api import wait_for
from devcluster.process import Process, ProcessCrashed


def python(name: str, code: str, tmp_path: Path, **options: object) -> Process:
    return Process(name, [sys.executable, "-c", code], log=tmp_path / f"{name}.log", **options)  # type: ignore[arg-type]


SLEEP = "import time; print('up', flush=True); time.sleep(600)"

IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP

HAS_A_CHILD = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""


async def said(process: Process) -> str:
    async def output() -> str:
        return process.tail()

    return await wait_for(output, timeout=10, what=f"{process.name} to say something")


def is_gone(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # A zombie that nobody has waited for yet is dead enough.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


async def gone(pid: int) -> None:
    async def asked() -> bool:
        return is_gone(pid)

    await wait_for(asked, timeout=10, what=f"process {pid} to be gone")


async def test_stop_ends_it_and_is_no_crash(tmp_path: Path) -> None:
    crashes: list[ProcessCrashed] = []
    process = python("sleeper", SLEEP, tmp_path, on_crash=crashes.append)
    await process.start()
    await said(process)
    assert process.running
    await process.stop()
    assert not process.running
    assert process.crash is None
    assert crashes == []


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = python("stubborn", IGNORES_SIGTERM, tmp_path)
    await process.start()
    await said(process)
    await process.stop(grace=0.05)
    assert await process.wait() == -signal.SIGKILL


async def test_its_children_end_with_it(tmp_path: Path) -> None:
    process = python("parent", HAS_A_CHILD, tmp_path)
    await process.start()
    child = int(await said(process))
    await process.stop()
    await gone(child)


async def test_a_cancelled_stop_still_kills(tmp_path: Path) -> None:
    process = python("stubborn", IGNORES_SIGTERM, tmp_path)
    await process.start()
    await said(process)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await process.stop(grace=60)
    assert not process.running


async def test_a_crash_is_told_with_its_last_lines(tmp_path: Path) -> None:
    crashes: asyncio.Queue[ProcessCrashed] = asyncio.Queue()
    code = "import sys\nfor n in range(100): print('line', n)\nsys.exit(7)"
    process = python("etcd", code, tmp_path, on_crash=crashes.put_nowait)
    await process.start()
    crash = await asyncio.wait_for(crashes.get(), 10)
    assert "etcd ended with exit code 7" in str(crash)
    assert str(crash).endswith("line 99")
    assert "line 50\n" not in str(crash)
    assert process.crash is not None


async def test_a_crash_by_signal_names_the_signal(tmp_path: Path) -> None:
    process = python("killed", SLEEP, tmp_path)
    await process.start()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert "killed ended with signal 9" in str(process.crash)


async def test_it_can_be_started_again_and_its_log_goes_on(tmp_path: Path) -> None:
    process = python("twice", "print('up')", tmp_path)
    for _ in range(2):
        await process.start()
        await process.wait()
    assert process.log.read_text() == "up\nup\n"


async def test_it_cannot_be_started_twice_at_once(tmp_path: Path) -> None:
    process = python("one", SLEEP, tmp_path)
    await process.start()
    with pytest.raises(RuntimeError, match="running already"):
        await process.start()
    await process.stop()


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from devcluster.process import Process

async def main():
    process = Process("orphan", [sys.executable, "-c", {SLEEP!r}], log=Path({str(tmp_path / "orphan.log")!r}))
    await process.start()
    print(process.pid, flush=True)
    await process.wait()

asyncio.run(main())
"""
    parent = python("parent", code, tmp_path)
    await parent.start()
    orphan = int(await said(parent))
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    await gone(orphan)
