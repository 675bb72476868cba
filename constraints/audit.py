"""Ask the database of advisories about every pinned dependency: exit 0 only when each of them was really looked up.

pip-audit ends well, too, when it found nothing because it could ask nothing (no network, an index without advisories):
it then "skips" the packages. Here a package that was skipped, or is missing from its report, is a failure of its own.

    make audit            # all of constraints/*.txt
    constraints/audit.py --pip-audit build/audit/bin/pip-audit constraints/operator.txt

Exit codes: 0 all looked up and nothing known, 1 vulnerabilities are known, 2 not audited.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2
SECONDS = 900
"""For one file; the database is asked package by package."""

Pin = tuple[str, str]
"""Name, canonical, and version."""


class NotAudited(Exception):
    """Nothing can be said of the file; the message says why."""


@dataclass
class Finding:
    """What is known of the pins of one file."""

    pins: set[Pin]
    vulnerable: dict[Pin, list[str]] = field(default_factory=dict)
    """Ids of advisories and the versions that mend them, as one text each."""
    unknown: dict[Pin, str] = field(default_factory=dict)
    """Why a pin was not looked up."""


def pins_of(text: str) -> set[Pin]:
    """The pins of a constraints file that hold for this Python and platform."""
    pins: set[Pin] = set()
    for line in text.replace("\\\n", " ").splitlines():
        requirement, _, _ = line.partition("--hash")
        if not requirement.strip() or requirement.lstrip().startswith("#"):
            continue
        parsed = Requirement(requirement.strip())
        versions = [each.version for each in parsed.specifier if each.operator == "=="]
        if len(versions) != 1:
            raise NotAudited(f"{requirement.strip()!r} is not pinned to one version")
        if parsed.marker is None or parsed.marker.evaluate():
            pins.add((canonicalize_name(parsed.name), versions[0]))
    return pins


def judge(pins: set[Pin], report: Any) -> Finding:
    """Hold pip-audit's report against the pins that it was given."""
    finding = Finding(pins)
    if not isinstance(report, dict) or not isinstance(report.get("dependencies"), list):
        raise NotAudited("pip-audit's report has no dependencies")
    looked_up: set[Pin] = set()
    skipped: dict[str, str] = {}
    name: str
    for each in report["dependencies"]:
        name = canonicalize_name(each["name"])
        if "skip_reason" in each:
            skipped[name] = str(each["skip_reason"])
            continue
        pin: Pin = (name, str(each["version"]))
        looked_up.add(pin)
        if each["vulns"]:
            finding.vulnerable[pin] = [_advisory(one) for one in each["vulns"]]
    for name, version in sorted(pins - looked_up):
        finding.unknown[name, version] = skipped.get(name, "not in pip-audit's report")
    return finding


def _advisory(vulnerability: dict[str, Any]) -> str:
    mended = ", ".join(vulnerability.get("fix_versions") or ()) or "no version yet"
    return f"{vulnerability['id']} (mended in: {mended})"


def audit(file: Path, *, pip_audit: Path) -> Finding:
    """Look up the pins of one file. Raises NotAudited."""
    pins = pins_of(file.read_text(encoding="utf-8"))
    if not pins:
        raise NotAudited("there is no pin in it")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "report.json"
        said = _ask(pip_audit, file, answer)
        if not answer.exists():
            raise NotAudited(f"pip-audit wrote no report: {said}")
        try:
            report = json.loads(answer.read_text(encoding="utf-8"))
        except ValueError as error:
            raise NotAudited("pip-audit's report is no JSON") from error
    return judge(pins, report)


def _ask(pip_audit: Path, file: Path, answer: Path) -> str:
    """Run pip-audit; the last line of what it complained of. Its exit code does not tell whether it asked anybody."""
    command: list[str | Path] = [pip_audit, "--require-hashes", "--disable-pip", "--progress-spinner=off"]
    command += ["--format=json", f"--output={answer}", f"--requirement={file}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotAudited(f"pip-audit did not end within {SECONDS} s") from error
    except OSError as error:
        raise NotAudited(f"{pip_audit} cannot be run: {error.strerror}") from error
    return (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pip-audit", type=Path, default=Path("pip-audit"), help="the program to run")
    parser.add_argument("files", nargs="+", type=Path, help="constraints files with hashes")
    options = parser.parse_args(argv)
    return max(_tell(file, options.pip_audit) for file in options.files)


def _tell(file: Path, pip_audit: Path) -> int:
    try:
        finding = audit(file, pip_audit=pip_audit)
    except (NotAudited, OSError) as error:
        sys.stderr.write(f"{file}: NOT AUDITED: {error}\n")
        return NOT_AUDITED
    for (name, version), advisories in sorted(finding.vulnerable.items()):
        sys.stderr.write(f"{file}: {name} {version}: {'; '.join(advisories)}\n")
    if finding.unknown:
        (name, version), why = next(iter(finding.unknown.items()))
        sys.stderr.write(
            f"{file}: NOT AUDITED: {len(finding.unknown)} of {len(finding.pins)} packages could not be looked up, "
            f"e.g. {name} {version}: {why}. It needs network access to the advisory database.\n"
        )
        return NOT_AUDITED
    if finding.vulnerable:
        return VULNERABLE
    sys.stdout.write(f"{file}: {len(finding.pins)} packages looked up, no known vulnerability\n")
    return CLEAN


if __name__ == "__main__":
    sys.exit(main())
