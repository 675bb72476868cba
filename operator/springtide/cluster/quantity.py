"""Kubernetes quantities ("250m", "1.5Gi", "1e3") as exact integers, and back into text that people read.

The grammar and the rounding are those of resource.ParseQuantity of k8s.io/apimachinery v0.36: finer than
nano is rounded away from zero to nano; milli and whole units are rounded away from zero again. Go's int64
overflows are not copied: amounts beyond int64 saturate.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_AMOUNT = 2**63 - 1
"""Amounts saturate here, so that they fit int64 arrays."""

NANO_PER_UNIT = 10**9
NANO_PER_MILLI = 10**6

_MAX_NANO = MAX_AMOUNT * NANO_PER_UNIT
_DECIMAL_SUFFIXES = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_GRAMMAR = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:([numkMGTPE]?|[KMGTPE]i)|[eE]([+-]?[0-9]+))")
_MAX_DIGITS = 1000
_CACHE_SIZE = 16384
"""Distinct texts in a large cluster: a few hundred requests and some thousand allocatables of nodes."""


class QuantityError(ValueError):
    """The text is not a quantity."""


@lru_cache(maxsize=_CACHE_SIZE)
def parse_nano(text: str) -> int:
    """The amount in billionths of a unit: exact, but for what is finer than nano (rounded away from zero).

    Raises QuantityError. Sums of quantities must be made of these: rounding each summand gives other sums.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None or not text:
        raise QuantityError(f"{text!r} is not a quantity: expected a number like 2, 1.5, 250m, 512Mi or 1e3")
    sign, whole, fraction, suffix, exponent = match.groups(default="")
    digits, dropped = _leading(whole + fraction)
    scale = 9 - len(fraction) + dropped
    if suffix in _BINARY_SUFFIXES:
        nano = _scaled(digits << _BINARY_SUFFIXES[suffix], exponent=scale)
    else:
        power = _exponent(exponent) if exponent else _DECIMAL_SUFFIXES[suffix]
        nano = _scaled(digits, exponent=scale + power)
    return -nano if sign == "-" else nano


@lru_cache(maxsize=_CACHE_SIZE)
def parse_milli(text: str) -> int:
    """Go's MilliValue: thousandths, rounded away from zero. Raises QuantityError.

    Of negative amounts it repeats Go's flaw (see _go_scaled_down); parse_amount is always sane.
    """
    nano = parse_nano(text)
    if nano < 0 and _held_as_big_decimal(text):
        return _go_scaled_down(nano, NANO_PER_MILLI)
    return nano_to_milli(nano)


@lru_cache(maxsize=_CACHE_SIZE)
def parse_value(text: str) -> int:
    """Go's Value: whole units, rounded away from zero. Raises QuantityError.

    Of negative amounts it repeats Go's flaw (see _go_scaled_down); parse_amount is always sane.
    """
    nano = parse_nano(text)
    if nano < 0 and _held_as_big_decimal(text):
        return _go_scaled_down(nano, NANO_PER_UNIT)
    return nano_to_value(nano)


@lru_cache(maxsize=_CACHE_SIZE)
def parse_amount(resource: str, text: str) -> int:
    """The amount in the unit of records: cpu in milli, all else in whole units. Raises QuantityError."""
    return nano_to_amount(resource, parse_nano(text))


def nano_to_amount(resource: str, nano: int) -> int:
    """A sum of parse_nano in the unit of records: cpu in milli, everything else in whole units."""
    return nano_to_milli(nano) if resource == "cpu" else nano_to_value(nano)


def nano_to_milli(nano: int) -> int:
    return _saturated(_divided_away_from_zero(nano, NANO_PER_MILLI))


def nano_to_value(nano: int) -> int:
    return _saturated(_divided_away_from_zero(nano, NANO_PER_UNIT))


def render_quantity(resource: str, amount: int) -> str:
    """Text for users: 250 cpu-milli is "250m", 6000 is "6"; memory of 3 * 2**29 bytes is "1.5Gi".

    Rounded to two decimals; meant for messages, not for parsing back.
    """
    if resource == "cpu":
        return f"{amount}m" if abs(amount) < 1000 else _two_decimals(amount / 1000)
    if not _is_bytes(resource):
        return str(amount)
    for suffix, power in reversed(_BINARY_SUFFIXES.items()):
        if abs(amount) >= 1 << power:
            return _two_decimals(amount / (1 << power)) + suffix
    return str(amount)


def _is_bytes(resource: str) -> bool:
    return resource in ("memory", "ephemeral-storage", "storage") or resource.startswith("hugepages-")


def _two_decimals(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _leading(text: str) -> tuple[int, int]:
    """The number these digits write, and how many of them are left out of it.

    Python refuses to read more than 4,300 digits, ParseQuantity does not. Of so many the first decide; that some of the
    others are not zero is one more, as everything finer than nano is rounded up.
    """
    digits = text.lstrip("0")
    if len(digits) <= _MAX_DIGITS:
        return int(digits or "0"), 0
    rest = digits[_MAX_DIGITS:]
    return int(digits[:_MAX_DIGITS]) + bool(rest.strip("0")), len(rest)


def _exponent(text: str) -> int:
    power = int(text) if len(text) < 25 else MAX_AMOUNT + 1
    if not -(2**63) <= power <= MAX_AMOUNT:
        raise QuantityError(f"the exponent {text} is out of range")
    # ParseQuantity keeps the low 32 bits of the exponent; anything else would disagree on what is valid.
    return (power + 2**31) % 2**32 - 2**31


def _scaled(digits: int, *, exponent: int) -> int:
    """digits * 10**exponent, rounded up, saturating, without ever building a huge power of ten."""
    if digits == 0:
        return 0
    if exponent > 40:
        return _MAX_NANO
    if exponent >= 0:
        return int(min(digits * 10**exponent, _MAX_NANO))
    if -exponent > len(str(digits)):
        return 1
    return min(_divided_away_from_zero(digits, 10**-exponent), _MAX_NANO)


def _held_as_big_decimal(text: str) -> bool:
    """Whether ParseQuantity keeps this valid text as a big decimal, not as an int64 with a scale."""
    match = _GRAMMAR.fullmatch(text)
    assert match is not None
    _, whole, fraction, suffix, exponent = match.groups(default="")
    digits = len(whole.lstrip("0") or "0")
    if suffix in _BINARY_SUFFIXES:
        return bool(fraction) or 15 - digits - _BINARY_SUFFIXES[suffix] * 3 // 10 - 1 < 0
    power = _exponent(exponent) if exponent else _DECIMAL_SUFFIXES[suffix]
    return digits + len(fraction) > 18 or power - len(fraction) < -9


def _go_scaled_down(nano: int, divisor: int) -> int:
    """What Go's scaledValue makes of a negative big decimal: the low 64 bits, towards zero, plus one.

    No request or capacity is ever negative; this exists so that the parser can be held against Go's answers
    without exceptions.
    """
    wrapped = (nano + 2**63) % 2**64 - 2**63
    towards_zero = abs(wrapped) // divisor * (1 if wrapped >= 0 else -1)
    return towards_zero + (1 if wrapped % divisor else 0)


def _divided_away_from_zero(number: int, divisor: int) -> int:
    return -(-number // divisor) if number >= 0 else number // divisor


def _saturated(amount: int) -> int:
    return max(-MAX_AMOUNT, min(amount, MAX_AMOUNT))
