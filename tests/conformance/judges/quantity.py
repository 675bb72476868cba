"""Quantities equal what resource.ParseQuantity of k8s.io/apimachinery answered."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.quantity import QuantityError, parse_milli, parse_value
from tests.conformance.corpus import Case
from tests.conformance.judging import unlike


def judge(case: Case) -> Mapping[str, str]:
    """One line: validity and amounts. Where int64 overflowed in Go (`inRange` false) only the sign was recorded right."""
    answer, text = case["answer"], case["text"]
    try:
        milli, value = parse_milli(text), parse_value(text)
    except QuantityError as error:
        return {"quantity": f"{text!r} is refused ({error}), recorded valid" if answer["valid"] else ""}
    if not answer["valid"]:
        return {"quantity": f"{text!r} is {value}, recorded invalid"}
    if not answer["inRange"]:
        return {"quantity": unlike((value > 0) - (value < 0), answer["sign"], of=f"sign of {text!r}")}
    recorded = (answer["milliValue"], answer["value"])
    return {"quantity": unlike((milli, value), recorded, of=f"{text!r} in thousandths and whole")}
