"""Where the programs come from, with a fake ``go`` that builds in no time."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from devcluster.api import wait_for
from devcluster.binary import COMPONENTS, cache_folder, locate_binaries
from devcluster.build import SOURCES, BuildFailed, fingerprint

# Notes each build and writes what -o names: the last but one of its arguments.
FAKE_GO = """#!/bin/sh
if [ "$1" = version ]; then echo go version go1.99.0 linux/amd64; exit; fi
echo build >> "{folder}/builds"
{then}
while [ $# -gt 2 ]; do shift; done
echo program > "$1"
"""


@pytest.fixture
def said() -> list[str]:
    return []


def install_go(folder: Path, monkeypatch: pytest.MonkeyPatch, *, then: str = "") -> None:
    go = folder / "go"
    go.write_text(FAKE_GO.format(folder=folder, then=then))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def builds(folder: Path) -> int:
    return (folder / "builds").read_text().count("build") if (folder / "builds").exists() else 0


def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


async def test_a_complete_assets_folder_is_used_as_it_is(tmp_path: Path, said: list[str]) -> None:
    fill(tmp_path / "assets", *COMPONENTS)
    found = await locate_binaries(
        environment={**environment(tmp_path), "KUBEBUILDER_ASSETS": str(tmp_path / "assets")},
        say=said.append,
    )
    assert found.commands["kwok"] == (str(tmp_path / "assets" / "kwok"),)
    assert said == []


async def test_a_partial_assets_folder_is_passed_over_and_named(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, monkeypatch)
    fill(tmp_path / "assets", "etcd", "kube-apiserver")
    found = await locate_binaries(
        environment={**environment(tmp_path), "KUBEBUILDER_ASSETS": str(tmp_path / "assets")},
        say=said.append,
    )
    assert "lacks kube-controller-manager, kube-scheduler, kwok" in said[0]
    assert found.commands["etcd"][1:] == ("etcd",)


async def test_the_first_call_builds_and_the_second_finds(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, monkeypatch)
    first = await locate_binaries(environment=environment(tmp_path), say=said.append)
    assert "5 to 7 minutes" in said[0]
    assert said[-1].startswith(f"built {first.commands['etcd'][0]} in ")
    said.clear()
    assert await locate_binaries(environment=environment(tmp_path), say=said.append) == first
    assert said == []
    assert builds(tmp_path) == 1


async def test_two_at_once_build_once(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first builder ends only when the second has said that it waits.
    install_go(tmp_path, monkeypatch, then=f'while [ ! -e "{tmp_path}/waiting" ]; do sleep 0.02; done')

    def say(line: str) -> None:
        said.append(line)
        if "waiting for it" in line:
            (tmp_path / "waiting").touch()

    first, second = await asyncio.gather(
        *(locate_binaries(environment=environment(tmp_path), say=say) for _ in range(2))
    )
    assert first == second
    assert builds(tmp_path) == 1


async def test_a_failed_build_shows_its_last_lines_and_the_way_out(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, monkeypatch, then="echo 'no space left on device' >&2; exit 1")
    with pytest.raises(BuildFailed, match=r"(?s)no space left on device.*Way out:.*KUBEBUILDER_ASSETS"):
        await locate_binaries(environment=environment(tmp_path), say=said.append)
    assert not list(cache_folder(environment(tmp_path)).glob("devcluster-*/devcluster"))


async def test_a_cancelled_build_leaves_nothing_that_looks_built(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(tmp_path, monkeypatch, then="while true; do sleep 1; done")
    building = asyncio.create_task(locate_binaries(environment=environment(tmp_path), say=said.append))

    async def begun() -> bool:
        return builds(tmp_path) == 1

    await wait_for(begun, timeout=10, what="the build to begin")
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not list(cache_folder(environment(tmp_path)).glob("devcluster-*/devcluster"))


def test_any_change_of_the_sources_is_another_binary(tmp_path: Path) -> None:
    sources = tmp_path / "go"
    shutil.copytree(SOURCES, sources)
    assert fingerprint(sources) == fingerprint()
    (sources / "go.sum").write_text("changed")
    assert fingerprint(sources) != fingerprint()
