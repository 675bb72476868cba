"""The recorded answers of the public corpora are ours, line by line (`make conformance` prints the same report)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.conformance import run
from tests.conformance.corpus import Case, cases
from tests.conformance.judging import Score, scores

TOTALS = {
    "scheduling": 3000,
    "sequence": 300,
    "drain": 800,
    "utilization": 320,
    "similarity-generic": 320,
    "similarity-aws": 320,
    "similarity-label": 128,
    "expander-least-waste": 180,
    "expander-most-pods": 180,
    "expander-least-nodes": 180,
    "expander-priority": 180,
    "expander-most-pods,least-nodes,least-waste": 180,
    "expander-priority,least-waste": 180,
    "quantity": 400,
    "estimate": 160,
}
"""Required lines and the number of their cases: a corpus that lost some would prove less."""


@lru_cache(maxsize=1)
def report() -> dict[str, Score]:
    lines: dict[str, Score] = {}
    for pattern, judge in run.CORPORA.items():
        lines |= scores(judge, cases(pattern))
    return lines


def test_every_required_line_is_in_the_report_with_all_its_cases() -> None:
    assert {line: score.total for line, score in report().items() if run.required(line)} == TOTALS


@pytest.mark.parametrize("line", TOTALS)
def test_no_answer_differs(line: str) -> None:
    assert report()[line].differences == []


def test_the_drain_corpus_holds_every_reason() -> None:
    reasons = [
        answer["blockingPod"]["reason"]
        for case in cases("drain.jsonl.gz")
        for answer in case["answer"]
        if answer["blockingPod"]
    ]
    assert min(reasons.count(reason) for reason in set(reasons)) > 100
    assert len(set(reasons)) == 7


# --- the runner --------------------------------------------------------------------------------------------------


def _corpus(folder: Path, name: str, change: Callable[[Case], None]) -> Path:
    """The first five cases of a public corpus, changed, in a folder of their own."""
    changed = list(cases(f"{name}.jsonl.gz"))[:5]
    for case in changed:
        change(case)
    text = "".join(f"{json.dumps(case)}\n" for case in changed)
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def _leave(case: Case) -> None:
    del case["kind"]


def _contradict(case: Case) -> None:
    case["answer"]["valid"] = not case["answer"]["valid"]


def _spoil(case: Case) -> None:
    del case["text"]


def test_a_folder_of_right_answers_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(_corpus(tmp_path, "quantity", _leave))]) == 0
    assert capsys.readouterr().out == "quantity 5/5\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [(_contradict, "recorded"), (_spoil, "KeyError at judge")],
    ids=["other", "unreadable"],
)
def test_a_required_line_that_is_short_says_how_and_fails(
    change: Callable[[Case], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([str(_corpus(tmp_path, "quantity", change)), "--differences", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert said in lines[1]


def test_what_is_only_reported_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def contradict(case: Case) -> None:
        case["answer"] = {"azure": not case["answer"]["azure"]}

    assert run.main([str(_corpus(tmp_path, "similarity", contradict))]) == 0
    assert capsys.readouterr().out.startswith("similarity-azure 0/5 (reported, not required)")


def test_an_empty_folder_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([str(tmp_path)]) == 2
    assert "no corpus" in capsys.readouterr().err
