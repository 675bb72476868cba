"""The small types that fields are made of: each says how it is written, bounded and checked.

Every string, list and map is bounded: the API server refuses a CRD whose CEL rules it cannot price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from springtide.api.duration import DURATION_PATTERN, MAX_DURATION_LENGTH, format_duration, parse_duration


def refuse(wrong: str, *, remedy: str) -> PydanticCustomError:
    """The error a validator raises: parse.py turns it into a Problem with field, fault and remedy."""
    return PydanticCustomError("refused", "{wrong}: {remedy}", {"wrong": wrong, "remedy": remedy})


def cel(rule: str, message: str) -> dict[str, Any]:
    """One entry of x-kubernetes-validations."""
    return {"rule": rule, "message": message}


# durations

_DURATION_REMEDY: Final = "write a duration such as 500ms, 90s, 10m or 1h30m"


def _read_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise refuse(f"{value!r} is not a duration", remedy=_DURATION_REMEDY)
    try:
        return parse_duration(value)
    except ValueError as error:
        raise refuse(str(error), remedy=_DURATION_REMEDY) from error


def _duration_schema(*validations: dict[str, Any]) -> WithJsonSchema:
    well_formed = cel(f"self.matches('{_cel_text(DURATION_PATTERN)}')", _DURATION_REMEDY)
    return WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_DURATION_LENGTH,
            "x-kubernetes-validations": [well_formed, *validations],
        }
    )


def _cel_text(pattern: str) -> str:
    return pattern.replace("\\", "\\\\")


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise refuse(f"{format_duration(value)} is too short", remedy="use 1s or more")
    return value


_AT_LEAST_A_SECOND: Final = cel(
    f"!self.matches('{_cel_text(DURATION_PATTERN)}') || duration(self) >= duration('1s')",
    "too short: use 1s or more",
)

Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    _duration_schema(),
]
"""A Go duration string, zero allowed."""

PositiveDuration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    AfterValidator(_at_least_a_second),
    PlainSerializer(format_duration, return_type=str),
    _duration_schema(_AT_LEAST_A_SECOND),
]
"""A Go duration string of one second or more."""

# quantities

QUANTITY_PATTERN: Final = (
    r"^\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$"
)
"""A non-negative Kubernetes quantity. Only the form: values are parsed by springtide.cluster.quantity."""

_QUANTITY: Final = re.compile(QUANTITY_PATTERN)
_QUANTITY_REMEDY: Final = 'write a Kubernetes quantity such as 4, "500m", "1.5" or "16Gi"'


def _read_quantity(value: object) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and len(value) <= 32 and _QUANTITY.fullmatch(value):
        return value
    if isinstance(value, float):
        raise refuse(f"{value!r} is a bare decimal number", remedy=f'quote it: "{value}"')
    raise refuse(f"{value!r} is not a quantity of zero or more", remedy=_QUANTITY_REMEDY)


Quantity = Annotated[
    str | int,
    BeforeValidator(_read_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        }
    ),
]
"""A non-negative Kubernetes quantity, kept as written: "500m", "16Gi", 4."""

# numbers and flags

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
"""How many of something: 0 to a million."""
PositiveCount = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
Priority = Annotated[int, Field(strict=True, ge=-2_147_483_648, le=1_000_000_000)]
"""A pod's priority; the upper bound is that of user-defined PriorityClasses."""
AnyInteger = Annotated[int, Field(strict=True, json_schema_extra={"format": "int64"})]

# strings

_DNS_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME_PART: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
LABEL_KEY_PATTERN: Final = rf"^(?:{_DNS_LABEL}(?:\.{_DNS_LABEL})*/)?{_NAME_PART}$"
LABEL_VALUE_PATTERN: Final = rf"^(?:{_NAME_PART})?$"

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=rf"^{_DNS_LABEL}(?:\.{_DNS_LABEL})*$")
]
"""Name of a cluster-scoped object."""
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317, pattern=LABEL_KEY_PATTERN)]
"""prefix/name: a DNS prefix of at most 253 characters and a name of at most 63."""
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=LABEL_VALUE_PATTERN)]
ShortText = Annotated[str, StringConstraints(max_length=256)]
"""A name, id or reason."""
LongText = Annotated[str, StringConstraints(max_length=2048)]
"""A message for humans."""

# lists and maps


def unique(*, singular: str, key: Callable[[Any], object] = lambda item: item) -> AfterValidator:
    """Refuse a list that names the same thing twice, as x-kubernetes-list-type set and map do."""

    def check(items: Sequence[Any]) -> Sequence[Any]:
        seen: set[object] = set()
        for item in items:
            if key(item) in seen:
                raise refuse(f"{singular} {key(item)!r} is listed twice", remedy="list it once")
            seen.add(key(item))
        return items

    return AfterValidator(check)


LIST_SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""Schema of a list of scalars without duplicates; goes with unique()."""


def list_map(*keys: str) -> dict[str, Any]:
    """Schema of a list of objects told apart by these fields; goes with unique()."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _check_label_keys(labels: Mapping[str, str]) -> Mapping[str, str]:
    for key in labels:
        if not re.fullmatch(LABEL_KEY_PATTERN, key):
            raise refuse(f"{key!r} is not a label key", remedy=LABEL_KEY_REMEDY)
    return labels


LABEL_KEY_REMEDY: Final = "write name or prefix/name, e.g. example.com/tier"

Labels = Annotated[
    dict[str, LabelValue],
    AfterValidator(_check_label_keys),
    Field(
        max_length=64,
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    f"self.all(key, size(key) <= 317 && key.matches('{_cel_text(LABEL_KEY_PATTERN)}'))",
                    f"not a label key: {LABEL_KEY_REMEDY}",
                )
            ]
        },
    ),
]
"""Node labels."""

ResourceList = Annotated[dict[str, Quantity], Field(max_length=48)]
"""Resource name → quantity, as in a Node's status."""

# times


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes metav1.Time."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(value: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond, as Kubernetes writes metav1.MicroTime."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Time = Annotated[
    AwareDatetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, to the second."""
