"""The hand-written pages name everything there is, and nothing that there is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from springtide.actuation.outcome import RollbackReason
from springtide.api.conditions import ConditionType, Reason
from springtide.cluster.annotations import REMOVAL
from springtide.cluster.degradation import DegradedMode
from springtide.planning.plan import BlockReason, PodBlock
from springtide.reporting.metrics import Metrics

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"


def first_column(page: str, heading: str = "") -> list[str]:
    """The `code` words in the first column of a page's tables, below a heading when one is given."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if heading:
        text = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [
        word
        for line in text.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    ]


# --- metrics -----------------------------------------------------------------------------------------------------

OF_THE_PROCESS = ("process_", "python_")


def declared_metrics() -> dict[str, str]:
    """Name as scraped → type, of everything the source declares."""
    reporting = REPOSITORY / "operator/springtide/reporting"
    sources = [(reporting / name).read_text(encoding="utf-8") for name in ("metrics.py", "pass_gauges.py")]
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    found = {}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        kind = call.func.id if isinstance(call.func, ast.Name) else ""
        if kind in _SUFFIXES and isinstance(call.args[0], ast.Constant):
            found[str(call.args[0].value) + _SUFFIXES[kind]] = _TYPES.get(kind, "gauge")
    return found


_SUFFIXES = {"Counter": "_total", "Info": "_info", "Gauge": "", "Histogram": "", "_gauge": ""}
_TYPES = {"Counter": "counter", "Histogram": "histogram"}


def documented_metrics() -> dict[str, str]:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, flags=re.MULTILINE))


def test_metrics_are_documented_with_their_types() -> None:
    assert documented_metrics() == declared_metrics()


def test_every_metric_of_a_fresh_process_is_documented() -> None:
    names = {
        family.name + _SUFFIXES["Counter"] * (family.type == "counter") + "_info" * (family.type == "info")
        for family in Metrics().registry.collect()
        if not family.name.startswith(OF_THE_PROCESS)
    }
    assert names <= set(documented_metrics())
    assert len(names) > 10


def test_counted_values_carry_the_documented_labels() -> None:
    metrics = Metrics()
    metrics.purchase_fulfilled("general", timedelta(seconds=90))
    metrics.status_written("nodepools")
    metrics.pass_failed()
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    labels = dict(re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", text, flags=re.MULTILINE))
    for family in metrics.registry.collect():
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count|created)$", "", sample.name)
            name = name if name in labels else f"{name}_total"
            if name in labels:
                assert set(sample.labels) - {"le"} == set(re.findall(r"`(\w+)`", labels[name])), name


# --- conditions --------------------------------------------------------------------------------------------------


def test_every_condition_type_is_documented() -> None:
    assert first_column("conditions.md", "Types") == [kind.value for kind in ConditionType]


def test_every_condition_reason_is_documented_once() -> None:
    documented = [
        *first_column("conditions.md", "Reasons of Ready"),
        *first_column("conditions.md", "Reasons of the others"),
    ]
    assert sorted(documented) == sorted(reason.value for reason in Reason)


# --- degraded modes ----------------------------------------------------------------------------------------------


def test_every_degraded_mode_is_documented() -> None:
    assert first_column("degraded-modes.md", "Modes") == [mode.value for mode in DegradedMode]


def test_a_degraded_mode_is_the_reason_of_a_condition() -> None:
    assert {mode.value for mode in DegradedMode} <= {reason.value for reason in Reason}


# --- events ------------------------------------------------------------------------------------------------------


def event_reasons() -> Iterator[str]:
    for name in ("notes.py", "plan_notes.py"):
        source = (REPOSITORY / "operator/springtide/reporting" / name).read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                for reason in [word.value for word in node.keywords if word.arg in ("reason", "pod_reason")]:
                    assert isinstance(reason, ast.Constant)
                    yield str(reason.value)


def test_every_event_reason_is_documented() -> None:
    assert set(first_column("events.md")) == set(event_reasons())


# --- troubleshooting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reasons", [BlockReason, PodBlock], ids=lambda reasons: reasons.__name__)
def test_every_reason_that_keeps_a_node_is_documented(reasons: type[BlockReason] | type[PodBlock]) -> None:
    documented = set(first_column("troubleshooting.md", "A node is not removed"))
    assert {reason.value for reason in reasons} <= documented


def test_no_reason_is_documented_that_nothing_gives() -> None:
    known = {reason.value for reasons in (BlockReason, PodBlock) for reason in reasons}
    assert set(first_column("troubleshooting.md", "A node is not removed")) <= known


# --- names in prose ----------------------------------------------------------------------------------------------


def test_the_removal_annotation_and_rollback_reasons_are_named_as_in_the_code() -> None:
    assert f"`{REMOVAL}`" in (DOCS / "decisions/004-state-in-the-cluster.md").read_text(encoding="utf-8")
    line = next(
        line
        for line in (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
        if "springtide_removal_failures_total" in line
    )
    named = set(re.findall(r"`([A-Z]\w+)`", line))
    assert named <= {reason.value for reason in RollbackReason}


def test_make_targets_named_in_the_documentation_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.MULTILINE))
    for page in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        named = set(re.findall(r"`make ([a-z0-9-]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, page


def test_every_make_target_explains_itself() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: ([a-z0-9-]+)$", makefile, flags=re.MULTILINE))
    explained = set(re.findall(r"^([a-z0-9-]+):.* ## \S", makefile, flags=re.MULTILINE))
    assert phony == explained
