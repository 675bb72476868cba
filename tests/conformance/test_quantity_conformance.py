"""Quantities equal what resource.ParseQuantity of k8s.io/apimachinery v0.36.3 answered, case by case.

The corpus holds 400 texts with recorded answers; where int64 overflowed in Go (`inRange` false) the recorded
numbers are garbage, so only validity is compared there.
"""

import gzip
import json
from pathlib import Path

import pytest

from springtide.cluster.quantity import QuantityError, parse_milli, parse_value

CORPUS = Path(__file__).parent / "data" / "quantity.jsonl.gz"


def corpus() -> list[dict]:
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


CASES = corpus()


def test_the_corpus_is_whole():
    assert len(CASES) == 400
    assert sum(case["answer"]["valid"] for case in CASES) == 260


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in CASES if c["answer"]["valid"]])
def test_valid_quantities_have_the_recorded_amounts(case):
    answer = case["answer"]
    milli, value = parse_milli(case["text"]), parse_value(case["text"])
    if answer["inRange"]:
        assert (milli, value) == (answer["milliValue"], answer["value"])
    else:
        assert (value > 0) - (value < 0) == answer["sign"]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in CASES if not c["answer"]["valid"]])
def test_invalid_quantities_are_refused(case):
    with pytest.raises(QuantityError):
        parse_value(case["text"])
