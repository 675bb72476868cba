"""The repository stands alone: no tracked file names a place on somebody's machine or a package registry's host."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

FORBIDDEN = {
    # In pieces, so that this file does not contain what it forbids.
    "a folder of somebody's machine": r"(?<![\w.~>})-])/(" + "root|work|home/[a-z]|Users/[A-Za-z]" + r")/",
    "a folder beside the repository": r"(?<![\w.])\.\./" + "shared",
    "a Python package registry": "|".join(["pypi" + r"\.org", "python" + "hosted"]),
    "a JavaScript package registry": "registry" + r"\.(npmjs|yarnpkg)",
    "a Go module proxy": "proxy" + r"\.golang\.org|sum" + r"\.golang\.org",
    "a private index": r"--(extra-)?index-url[= ]|--find-links[= ]|PIP_(EXTRA_)?INDEX_URL",
}

EXEMPT = {"LICENSE"}


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and name not in EXEMPT]


def texts() -> list[tuple[str, str]]:
    found = []
    for name in tracked_files():
        path = REPOSITORY / name
        if not path.is_file():  # deleted, and the deletion not committed yet
            continue
        try:
            found.append((name, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:  # a compressed recording, a picture
            continue
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    hits = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not hits, f"{what}:\n" + "\n".join(hits)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a folder of somebody's machine", "see " + "/ro" + "ot/notes"),
        ("a folder of somebody's machine", "path='" + "/wo" + "rk/main'"),
        ("a folder beside the repository", "see .." + "/shared/design.md"),
        ("a Python package registry", "https://pypi" + ".org/simple"),
        ("a Go module proxy", "GOPROXY=https://proxy" + ".golang.org"),
        ("a private index", "--index" + "-url https://example.com"),
    ],
)
def test_the_patterns_find_what_they_forbid(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)


def test_every_relative_link_of_the_documentation_leads_somewhere() -> None:
    link = re.compile(r"(?:\]\(|src=\"|srcset=\")([^)#\"\s]+)(?:#[^)\"\s]*)?[)\"]")
    broken = [
        f"{name}: {target}"
        for name, text in texts()
        if name.endswith(".md")
        for target in link.findall(text)
        if "://" not in target and not (REPOSITORY / name).parent.joinpath(target).exists()
    ]
    assert not broken
