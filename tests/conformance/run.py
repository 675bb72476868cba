"""`python -m tests.conformance.run [folder]`: judge every corpus found in a folder, one line each.

Prints "scheduling 2987/3000" and so on, the first differences in words; exits with 1 if a required line is short.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.conformance.corpus import DATA, cases
from tests.conformance.judges import (
    drain,
    equivalence,
    estimate,
    expander,
    quantity,
    scheduling,
    sequence,
    similarity,
    utilization,
)
from tests.conformance.judging import Judge, Score, scores

CORPORA: Final[Mapping[str, Judge]] = {
    "scheduling*.jsonl.gz": scheduling.judge,
    "sequence*.jsonl.gz": sequence.judge,
    "drain*.jsonl.gz": drain.judge,
    "utilization*.jsonl.gz": utilization.judge,
    "similarity*.jsonl.gz": similarity.judge,
    "expander*.jsonl.gz": expander.judge,
    "quantity*.jsonl.gz": quantity.judge,
    "estimate*.jsonl.gz": estimate.judge,
    "equivalence*.jsonl.gz": equivalence.judge,
}
"""File names and who judges them."""


def required(line: str) -> bool:
    """Whether every case of the line must be right. The others are reported: their rule is not ours, or their
    provider is not."""
    if line.startswith("expander-"):
        return "price" not in line
    if line.startswith("similarity-"):
        return line not in ("similarity-azure", "similarity-gce")
    return not line.startswith("equivalence")


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, and say by the exit status whether all that is required is right."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.run", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA, help="where the *.jsonl.gz are")
    parser.add_argument("--differences", type=int, default=10, help="how many to show of each line")
    options = parser.parse_args(arguments)
    short = found = 0
    for pattern, judge in CORPORA.items():
        for line, score in scores(
            judge, cases(pattern, folder=options.folder), keep=options.differences
        ).items():
            found += 1
            short += required(line) and score.right < score.total
            _print(line, score)
    if not found:
        sys.stderr.write(f"{options.folder}: no corpus (*.jsonl.gz) found\n")
        return 2
    return 1 if short else 0


def _print(line: str, score: Score) -> None:
    note = "" if required(line) else " (reported, not required)"
    sys.stdout.write(f"{line} {score.right}/{score.total}{note}\n")
    for difference in score.differences:
        sys.stdout.write(f"    {difference}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
