"""The small types that fields are made of: each says how it is written, bounded and checked.

Every string, list and map is bounded: the API server refuses a CRD whose CEL rules it cannot price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from springtide.api.duration import DURATION_PATTERN, MAX_DURATION_LENGTH, format_duration, parse_duration
from springtide.api.foreign_text import shown


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
    well_formed = cel(f"self.matches(r'{DURATION_PATTERN}')", _DURATION_REMEDY)
    return WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_DURATION_LENGTH,
            "x-kubernetes-validations": [well_formed, *validations],
        }
    )


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise refuse(f"{format_duration(value)} is too short", remedy="use 1s or more")
    return value


_AT_LEAST_A_SECOND: Final = cel(
    f"!self.matches(r'{DURATION_PATTERN}') || duration(self) >= duration('1s')",
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

QUANTITY_PATTERN: Final = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$"
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
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "x-kubernetes-validations": [
                cel(f"type(self) == int || self.matches(r'{QUANTITY_PATTERN}')", _QUANTITY_REMEDY)
            ],
        }
    ),
]
"""A non-negative Kubernetes quantity, kept as written: "500m", "16Gi", 4."""

# numbers and flags

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
"""How many of something: 0 to a million."""


def _within_bounds(value: object) -> object:
    return min(max(value, 0), MAX_FIGURE) if isinstance(value, int) and not isinstance(value, bool) else value


MAX_FIGURE: Final = 1_000_000
# The bounds come first: pydantic leaves those that follow a function out of the schema.
Figure = Annotated[int, Field(strict=True, ge=0, le=MAX_FIGURE), BeforeValidator(_within_bounds)]
"""A number in a status: what is beyond the bounds is shown as the bound, rather than not at all. Sums of what users
may write (the sizes of several groups, requests by allocatable) know no bounds."""
PositiveCount = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
Priority = Annotated[int, Field(strict=True, ge=-2_147_483_648, le=1_000_000_000)]
"""A pod's priority; the upper bound is that of user-defined PriorityClasses."""
AnyInteger = Annotated[int, Field(strict=True, json_schema_extra={"format": "int64"})]

# strings


@dataclass(frozen=True, slots=True)
class Matching:
    """A string of a certain form. The schema has a CEL rule rather than a pattern, for its message says
    what to write."""

    pattern: str
    remedy: str
    max_length: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        matches = cel(f"self.matches(r'{self.pattern}')", self.remedy)
        return handler(schema) | {"maxLength": self.max_length, "x-kubernetes-validations": [matches]}

    def _check(self, text: str) -> str:
        if len(text) > self.max_length:
            raise refuse(f"{len(text)} characters are too many", remedy=f"use at most {self.max_length}")
        if not re.fullmatch(self.pattern, text):
            raise refuse(f"{text!r} is malformed", remedy=self.remedy)
        return text


_NAME_PART: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_DNS_NAME: Final = r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?"
LABEL_KEY_PATTERN: Final = rf"^([-.a-z0-9]+/)?{_NAME_PART}$"
"""Short on purpose: the API server prices a CEL rule by the length of its pattern, and a map's keys have
no maxLength."""
LABEL_KEY_REMEDY: Final = "write name or prefix/name, e.g. example.com/tier"

ObjectName = Annotated[
    str,
    Matching(
        rf"^{_DNS_NAME}$", "write lower-case letters, digits, '-' and '.', e.g. general-eu", max_length=253
    ),
]
"""Name of a cluster-scoped object."""
LabelKey = Annotated[str, Matching(LABEL_KEY_PATTERN, LABEL_KEY_REMEDY, max_length=317)]
"""prefix/name: a DNS prefix of at most 253 characters and a name of at most 63."""
LabelValue = Annotated[
    str,
    Matching(rf"^({_NAME_PART})?$", "write letters, digits, '-', '_' and '.', e.g. gpu-a100", max_length=63),
]
ShortText = Annotated[str, StringConstraints(max_length=256)]
"""A name, id or reason."""


def _told(value: object) -> object:
    return shown(value, at_most=MAX_TEXT) if isinstance(value, str) else value


MAX_TEXT: Final = 2048
LongText = Annotated[str, StringConstraints(max_length=MAX_TEXT), BeforeValidator(_told)]
"""A message for humans, in a status: whatever it is made of, one line without secrets, cut rather than refused."""

# lists and maps


def unique(*, singular: str, key: Callable[[Any], object] = lambda item: item) -> AfterValidator:
    """Refuse a list that names the same thing twice, as x-kubernetes-list-type set and map do."""

    def check(items: Sequence[Any]) -> Sequence[Any]:
        seen: set[object] = set()
        for item in items:
            if key(item) in seen:
                raise refuse(f"{singular} '{key(item)}' is listed twice", remedy="list it once")
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


Labels = Annotated[
    dict[str, LabelValue],
    Field(
        max_length=64,
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    f"self.all(key, key.matches(r'{LABEL_KEY_PATTERN}'))",
                    f"not a label key: {LABEL_KEY_REMEDY}",
                )
            ]
        },
    ),
    # After the bounds: pydantic writes those that follow a function as if they were a string's.
    AfterValidator(_check_label_keys),
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

MicroTime = Annotated[
    AwareDatetime,
    PlainSerializer(format_micro_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, to the microsecond: where "later than" must still hold after it was written and read."""
