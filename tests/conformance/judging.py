"""What a judge is: for each case of a corpus it says, line by line, how our answer differs from the recorded one."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tests.conformance.corpus import Case

Judge = Callable[[Case], Mapping[str, str]]
"""Case -> line of the report -> how we differ, in words; empty: we do not. Lines that the case does not speak of are
absent."""


@dataclass
class Score:
    """One line of the report."""

    right: int = 0
    total: int = 0
    differences: list[str] = field(default_factory=list)
    """The first ones, in words, each with its case's id."""

    def count(self, case: str, difference: str, *, keep: int) -> None:
        self.total += 1
        self.right += not difference
        if difference and len(self.differences) < keep:
            self.differences.append(f"{case}: {difference}")


def scores(judge: Judge, cases: Iterable[Case], *, keep: int = 10) -> dict[str, Score]:
    """Judge all cases; `keep` differences of each line are remembered. A judge that fails counts as a difference."""
    lines: dict[str, Score] = {}
    for case in cases:
        for line, difference in _judged(judge, case, lines or [str(case.get("kind", "unread"))]).items():
            lines.setdefault(line, Score()).count(str(case.get("id", "?")), difference, keep=keep)
    return lines


def _judged(judge: Judge, case: Case, lines: Iterable[str]) -> Mapping[str, str]:
    try:
        return judge(case)
    except Exception as error:
        # An input that we cannot even read is an answer that differs, not the end of the report.
        where = traceback.extract_tb(error.__traceback__)[-1]
        failed = f"{type(error).__name__} at {where.name}:{where.lineno}: {error}"
        return dict.fromkeys(lines, failed)


def unlike(ours: object, recorded: object, *, of: str = "") -> str:
    """How two answers differ, in words; empty: they do not."""
    return "" if ours == recorded else f"{of}{': ' if of else ''}{ours!r}, recorded {recorded!r}"
