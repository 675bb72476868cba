"""`make audit`: nothing passes for audited that was not looked up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.deployed import REPOSITORY

CONSTRAINTS = REPOSITORY / "constraints"

PINS = """\
# Generated
aiohttp==3.14.5 \\
    --hash=sha256:00
pywin32==311 ; sys_platform == 'nowhere' \\
    --hash=sha256:01
Ruamel_Yaml==0.18.1 ; python_version >= '3.11' \\
    --hash=sha256:02
"""


def found(name: str, version: str, *advisories: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": list(advisories)}


BOTH = [found("aiohttp", "3.14.5"), found("ruamel-yaml", "0.18.1")]
ADVISORY = {"id": "PYSEC-2026-1", "fix_versions": ["3.14.6"], "aliases": [], "description": "bad"}


def audited(
    tmp_path: Path, report: Any, *, pins: str = PINS, exit_code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run it with a pip-audit that writes this report (None: nothing) and ends so."""
    file, tool = tmp_path / "pins.txt", tmp_path / "pip-audit"
    file.write_text(pins)
    text = report if isinstance(report, str) else json.dumps(report)
    write = f"open(out, 'w').write({text!r})" if report is not None else "pass"
    tool.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "out = next(a.partition('=')[2] for a in sys.argv if a.startswith('--output='))\n"
        f"{write}\nsys.stderr.write('first\\nConnectionError: no network\\n')\nsys.exit({exit_code})\n"
    )
    tool.chmod(0o755)
    command = [sys.executable, CONSTRAINTS / "audit.py", "--pip-audit", tool, file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_when_every_package_was_looked_up_it_ends_well(tmp_path: Path) -> None:
    ended = audited(tmp_path, {"dependencies": BOTH})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "2 packages looked up, no known vulnerability" in ended.stdout


def test_a_known_vulnerability_is_told_with_the_version_that_mends_it(tmp_path: Path) -> None:
    vulnerable = [found("aiohttp", "3.14.5", ADVISORY), BOTH[1]]
    ended = audited(tmp_path, {"dependencies": vulnerable}, exit_code=1)
    assert ended.returncode == 1
    assert "aiohttp 3.14.5: PYSEC-2026-1 (mended in: 3.14.6)" in ended.stderr


SKIPPED = {
    "name": "aiohttp",
    "skip_reason": "Dependency not found on PyPI and could not be audited: aiohttp (3.14.5)",
}


@pytest.mark.parametrize(
    ("report", "why"),
    [
        # What pip-audit 2.10 writes, ending with 0, when the index it asks has no advisories.
        pytest.param(
            {"dependencies": [SKIPPED, BOTH[1]]}, "1 of 2 packages could not be looked up", id="skipped"
        ),
        pytest.param(
            {"dependencies": BOTH[:1]}, "ruamel-yaml 0.18.1: not in pip-audit's report", id="left out"
        ),
        pytest.param(
            {"dependencies": [found("aiohttp", "3.0"), BOTH[1]]}, "aiohttp 3.14.5", id="another version"
        ),
        pytest.param({"dependencies": []}, "2 of 2", id="nothing at all"),
        pytest.param({"fixes": []}, "has no dependencies", id="another report"),
        pytest.param("No known vulnerabilities found", "is no JSON", id="no JSON"),
        pytest.param(None, "wrote no report: ConnectionError: no network", id="it failed"),
    ],
)
def test_whatever_was_not_looked_up_is_not_called_audited(tmp_path: Path, report: Any, why: str) -> None:
    ended = audited(tmp_path, report)
    assert ended.returncode == 2
    assert "NOT AUDITED" in ended.stderr
    assert why in ended.stderr
    assert "no known vulnerability" not in ended.stdout


@pytest.mark.parametrize(
    ("pins", "why"),
    [("# nothing\n", "there is no pin in it"), ("aiohttp>=3\n", "'aiohttp>=3' is not pinned to one version")],
)
def test_a_file_without_pins_is_not_called_audited(tmp_path: Path, pins: str, why: str) -> None:
    ended = audited(tmp_path, {"dependencies": BOTH}, pins=pins)
    assert ended.returncode == 2
    assert why in ended.stderr


def test_without_pip_audit_it_says_so(tmp_path: Path) -> None:
    command = [
        sys.executable,
        CONSTRAINTS / "audit.py",
        "--pip-audit",
        tmp_path / "absent",
        CONSTRAINTS / "build.txt",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "NOT AUDITED" in ended.stderr


@pytest.mark.parametrize("file", sorted(CONSTRAINTS.glob("*.txt")), ids=lambda file: file.name)
def test_every_pin_of_ours_has_one_version_and_hashes(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith(("#", " "))]
    assert lines
    for line in lines:
        assert "==" in line
        assert line.endswith("\\"), f"{line} has no hash"


def test_make_audit_asks_about_every_file_of_pins() -> None:
    recipe = (REPOSITORY / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    for file in CONSTRAINTS.glob("*.txt"):
        assert f"constraints/{file.name}" in recipe
