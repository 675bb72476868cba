"""Quantities: exact integers in, readable text out."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.cluster.quantity import (
    MAX_AMOUNT,
    NANO_PER_UNIT,
    QuantityError,
    nano_to_amount,
    parse_amount,
    parse_milli,
    parse_nano,
    parse_value,
    render_quantity,
)

SUFFIXES = {
    "": 1,
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "e3": 10**3,
    "E-3": Fraction(1, 1000),
}


@pytest.mark.parametrize(
    ("text", "milli", "value"),
    [
        ("0", 0, 0),
        ("250m", 250, 1),
        ("1.5", 1500, 2),
        (".5", 500, 1),
        ("5.", 5000, 5),
        ("1Gi", 2**30 * 1000, 2**30),
        ("1.5Gi", 3 * 2**29 * 1000, 3 * 2**29),
        ("1e3", 10**6, 1000),
        ("1E", 10**21, 10**18),
        ("100u", 1, 1),
        ("1n", 1, 1),
        ("1e-30", 1, 1),
        ("-1.5", -1500, -2),
        ("+2", 2000, 2),
    ],
)
def test_amounts(text, milli, value):
    assert parse_milli(text) == min(milli, MAX_AMOUNT)
    assert parse_value(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 Gi", "1K", "1e", "1gi", "abc", "1.2.3", "0x10", "१", "1\n", "1e99999999999999999999"],
)
def test_what_is_no_quantity(text):
    with pytest.raises(QuantityError, match=r"quantity|exponent"):
        parse_value(text)


@pytest.mark.parametrize("text", ["1e30", "99999999Ei", "9" * 40, "1e2000000000"])
def test_huge_amounts_saturate_quickly(text):
    assert parse_value(text) == MAX_AMOUNT


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        pytest.param("9" * 5000, MAX_AMOUNT * NANO_PER_UNIT, id="enormous"),
        pytest.param("0" * 5000 + "1", NANO_PER_UNIT, id="zeros before"),
        pytest.param("1." + "0" * 5000 + "1", NANO_PER_UNIT + 1, id="the last digit rounds up"),
        pytest.param("1." + "0" * 5000, NANO_PER_UNIT, id="zeros behind"),
        pytest.param("1" * 5000 + "e-4999", 1_111_111_112, id="brought down by the exponent"),
    ],
)
def test_numbers_longer_than_python_reads_are_quantities_all_the_same(text, nano):
    assert parse_nano(text) == nano


def test_negative_amounts_stay_negative_for_records():
    assert parse_amount("memory", "-888.1190Gi") < 0


@given(
    whole=st.integers(0, 10**9),
    fraction=st.text("0123456789", max_size=4),
    suffix=st.sampled_from(sorted(SUFFIXES)),
)
def test_amounts_are_the_exact_product_rounded_up(whole, fraction, suffix):
    exact = Fraction(f"{whole}.{fraction or '0'}") * SUFFIXES[suffix]
    text = f"{whole}.{fraction}{suffix}"
    assert parse_value(text) == min(ceil(exact), MAX_AMOUNT)
    assert parse_milli(text) == min(ceil(exact * 1000), MAX_AMOUNT)


@given(st.text("0123456789.+-eEinumkKMGTP", max_size=8))
def test_any_text_is_a_quantity_or_a_quantity_error(text):
    try:
        value = parse_value(text)
    except QuantityError:
        return
    assert -MAX_AMOUNT <= value <= MAX_AMOUNT


def test_sums_are_rounded_once():
    assert nano_to_amount("cpu", parse_nano("0.5m") + parse_nano("0.5m")) == 1
    assert parse_milli("0.5m") * 2 == 2


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("cpu", 250, "250m"),
        ("cpu", 6000, "6"),
        ("cpu", 1500, "1.5"),
        ("memory", 3 * 2**29, "1.5Gi"),
        ("memory", 512 * 2**20, "512Mi"),
        ("memory", 1000, "1000"),
        ("hugepages-2Mi", 2**21, "2Mi"),
        ("nvidia.com/gpu", 4, "4"),
        ("pods", 110, "110"),
    ],
)
def test_text_for_users(resource, amount, text):
    assert render_quantity(resource, amount) == text
