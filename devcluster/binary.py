"""Where the control plane's programs come from: KUBEBUILDER_ASSETS, else the cache, else a build."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster.build import BuildFailed, build_binary, fingerprint
from devcluster.toolchain import NoToolchain

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")

LOCK_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Binaries:
    """How to call each component, and the folder they come from."""

    source: Path
    commands: Mapping[str, tuple[str, ...]]

    @classmethod
    def of_one_program(cls, program: Path) -> Binaries:
        """Our own program, which becomes the component named by its first argument."""
        return cls(program.parent, {name: (str(program), name) for name in COMPONENTS})


async def locate_binaries(
    *, environment: Mapping[str, str] | None = None, say: Callable[[str], None] | None = None
) -> Binaries:
    """Find all components, or build them, which takes minutes. ``say`` gets the progress, line by line."""
    environment = os.environ if environment is None else environment
    say = say or say_on_stderr
    assets = environment.get("KUBEBUILDER_ASSETS")
    if assets:
        found = from_assets(Path(assets), say=say)
        if found is not None:
            return found
    cache = cache_folder(environment)
    program = cache / f"devcluster-{fingerprint()}" / "devcluster"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        async with _locked(program.parent.with_suffix(".lock"), say=say):
            # Somebody else may have built it while we waited for the lock.
            if not program.exists():
                await build_binary(program, cache=cache, say=say)
    return Binaries.of_one_program(program)


def from_assets(folder: Path, *, say: Callable[[str], None]) -> Binaries | None:
    """Use the folder if it holds every component.

    All or nothing: setup-envtest brings only etcd and kube-apiserver, often of another project's older
    release, and a scheduler of ours beside them would test a mix of versions that nobody runs.
    """
    missing = [name for name in COMPONENTS if not os.access(folder / name, os.X_OK)]
    if missing:
        say(f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(missing)}: using our own build of all components")
        return None
    return Binaries(folder, {name: (str(folder / name),) for name in COMPONENTS})


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return where built programs are kept; deleting it is safe."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "springtide"


def say_on_stderr(line: str) -> None:
    """Print a line of progress."""
    print(f"devcluster: {line}", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def _locked(path: Path, *, say: Callable[[str], None]) -> AsyncIterator[None]:
    with path.open("w") as lock:
        waited = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    say("another process is building the control plane; waiting for it")
                    waited = True
                await asyncio.sleep(LOCK_POLL_SECONDS)
            else:
                break
        # Closing the file frees the lock, also when we are killed.
        yield


def main() -> int:
    """``python -m devcluster.binary``: have the control plane ready, so that no test's time limit runs while it builds."""
    try:
        asyncio.run(locate_binaries())
    except (BuildFailed, NoToolchain) as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
