"""Build the control plane's binary from the Go module in ``devcluster/go``."""

from __future__ import annotations

import asyncio
import hashlib
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from devcluster.process import Process
from devcluster.toolchain import Toolchain, find_toolchain, required_version

SOURCES = Path(__file__).with_name("go")
SOURCE_FILES = ("go.mod", "go.sum", "main.go")

KUBERNETES_VERSION = "1.36.3"

FRESH_LINES_SECONDS = 15.0
"""How often the build says that it goes on."""


class BuildFailed(RuntimeError):
    """``go build`` failed; the message holds its last lines and the way out."""


def fingerprint(sources: Path = SOURCES) -> str:
    """Name what the binary is made of: sources, versions, platform and flags."""
    digest = hashlib.sha256()
    for name in SOURCE_FILES:
        digest.update((sources / name).read_bytes())
    digest.update(f"{sys.platform} {platform.machine()} {linker_flags()}".encode())
    return digest.hexdigest()[:12]


def linker_flags() -> str:
    """Strip symbols, and stamp the version that ``kubectl version`` shows: module builds have none."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    stamps = [f"-X {package}.{name}={value}" for package in packages for name, value in values.items()]
    return " ".join(["-s -w", *stamps])


async def build_binary(target: Path, *, cache: Path, say: Callable[[str], None]) -> None:
    """Build into ``target``, which appears only when it is whole."""
    toolchain = await find_toolchain(required=required_version(SOURCES / "go.mod"), cache=cache, say=say)
    say(
        f"building etcd, Kubernetes {KUBERNETES_VERSION} and kwok with {toolchain.go}: "
        "5 to 7 minutes on two idle cores, once"
    )
    started = time.monotonic()
    partial = target.with_name(f"{target.name}.partial")
    log = target.with_name("build.log")
    log.unlink(missing_ok=True)
    await _go_build(partial, toolchain=toolchain, log=log, say=say)
    partial.rename(target)
    if toolchain.scratch is not None:
        await asyncio.to_thread(shutil.rmtree, toolchain.scratch, ignore_errors=True)
    say(f"built {target} in {_minutes(time.monotonic() - started)}")


async def _go_build(output: Path, *, toolchain: Toolchain, log: Path, say: Callable[[str], None]) -> None:
    build = Process(
        "go build",
        (
            *(toolchain.go, "build", "-C", str(SOURCES), "-v", "-trimpath", "-mod=readonly"),
            # The sources may lie in a checkout, but no version control is needed to build them.
            *("-buildvcs=false", "-ldflags", linker_flags(), "-o", str(output), "."),
        ),
        log=log,
        environment={
            "CGO_ENABLED": "0",
            "GOWORK": "off",
            "GOTOOLCHAIN": "local",
            **toolchain.environment,
        },
    )
    await build.start()
    try:
        returncode = await _report_progress(build, say=say)
    finally:
        await build.stop(grace=1)
    if returncode != 0:
        raise BuildFailed(
            f"go build failed; the last lines of {log}:\n{build.tail()}\n"
            "Way out: if modules could not be downloaded, check the network or GOPROXY and run it again (it "
            "goes on where it stopped); if it was killed, free memory: compiling needs 3 GB. Or set "
            "KUBEBUILDER_ASSETS to a folder that holds etcd, kube-apiserver, kube-controller-manager, "
            "kube-scheduler and kwok."
        )


async def _report_progress(build: Process, *, say: Callable[[str], None]) -> int:
    started = time.monotonic()
    ended = asyncio.create_task(build.wait())
    try:
        while not (await asyncio.wait({ended}, timeout=FRESH_LINES_SECONDS))[0]:
            elapsed = _minutes(time.monotonic() - started)
            # -v makes go name each package when its compilation ends, and each module that it downloads.
            say(f"building: {elapsed}, {len(build.tail(lines=10_000).splitlines())} packages done")
        return await ended
    finally:
        ended.cancel()


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}m{int(seconds) % 60:02}s"
