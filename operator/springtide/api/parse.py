"""Reading NodePools and AutoscalerPolicies: a model, or all that is wrong with the resource; never an
exception."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from springtide.api.model import ApiModel
from springtide.api.nodepool import NodePool
from springtide.api.policy import AutoscalerPolicy
from springtide.api.rules import Problem, broken_rules

_Resource = TypeVar("_Resource", bound=ApiModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidResource:
    """A resource that cannot be acted on, and why."""

    kind: str
    name: str
    generation: int
    problems: tuple[Problem, ...]
    """At least one, in the order of the fields."""
    status: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """As it was written: what it says of purchases and backoffs is true whatever the spec says now."""

    @property
    def message(self) -> str:
        """All problems in one line, fit for a condition message."""
        return "; ".join(str(problem) for problem in self.problems)


def parse_nodepool(obj: Mapping[str, Any]) -> NodePool | InvalidResource:
    """Read a NodePool as the API server gives it, or as a user wrote it (defaults are filled in)."""
    return _parse(NodePool, obj)


def parse_policy(obj: Mapping[str, Any]) -> AutoscalerPolicy | InvalidResource:
    """Read an AutoscalerPolicy as the API server gives it, or as a user wrote it (defaults are filled in)."""
    return _parse(AutoscalerPolicy, obj)


MAX_DEPTH: Final = 32
"""Levels of objects and lists: what our models have, three times over. Python itself gives up at some hundred."""


def _parse(model: type[_Resource], obj: Mapping[str, Any]) -> _Resource | InvalidResource:
    deepest = _too_deep(obj)
    if deepest is not None:
        return _invalid(model, obj, (Problem(deepest, "is nested too deeply", "remove it"),))
    written = _without_nulls(obj)
    try:
        resource = model.model_validate(written)
    except ValidationError as error:
        details = error.errors(include_url=False)
        if all(detail["loc"][:1] == ("status",) for detail in details):
            # Nobody but us writes it, so another release did. It can be lost without harm, the spec cannot be ignored.
            return _parse(model, {key: value for key, value in written.items() if key != "status"})
        return _invalid(
            model, obj, tuple(_problem(detail) for detail in details if not _is_echo(detail, details))
        )
    broken = tuple(broken_rules(getattr(resource, "spec"), path="spec"))  # noqa: B009
    return _invalid(model, obj, broken) if broken else resource


def _too_deep(obj: object) -> str | None:
    """The first field of the resource below which it is nested deeper than any of ours; None: nowhere."""
    inside: list[tuple[tuple[Any, ...], object]] = [((), obj)]
    for _ in range(MAX_DEPTH):
        inside = [(path or (key,), item) for path, value in inside for key, item in _items(value)]
        if not inside:
            return None
    return _path(inside[0][0])


def _items(value: object) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _without_nulls(value: Any) -> Any:
    """The API server drops nulls from fields that are not nullable, and none of ours is; so a null is an
    absent field."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _invalid(model: type[ApiModel], obj: Any, problems: tuple[Problem, ...]) -> InvalidResource:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    metadata = metadata if isinstance(metadata, Mapping) else {}
    generation = metadata.get("generation")
    status = obj.get("status") if isinstance(obj, Mapping) else None
    return InvalidResource(
        kind=model.__name__,
        name=str(metadata.get("name", "")),
        generation=generation if isinstance(generation, int) else 0,
        problems=problems,
        status=status if isinstance(status, Mapping) else {},
    )


_REMEDIES: Final[dict[str, str]] = {
    "missing": "add it",
    "int_type": "write a whole number, without quotes",
    "int_from_float": "write a whole number",
    "bool_type": "write true or false, without quotes",
    "string_type": "write a string (put it in quotes)",
    "tuple_type": "write a list",
    "dict_type": "write a map",
    "model_type": "write an object",
    "model_attributes_type": "write an object",
    "dataclass_type": "write an object",
    "enum": "use one of {expected}",
    "greater_than_equal": "use {ge} or more",
    "less_than_equal": "use {le} or less",
    "string_too_long": "shorten it to {max_length} characters",
    "string_too_short": "give at least {min_length} character",
    "string_pattern_mismatch": "match the pattern {pattern}",
    "too_long": "give at most {max_length}",
    "too_short": "give at least {min_length}",
    "refused": "{remedy}",
}


def _is_echo(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a list is called too short only because its items were refused, which is told anyway."""
    location = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(location)] == location and len(other["loc"]) > len(location) for other in details
    )


def _problem(detail: ErrorDetails) -> Problem:
    context = detail.get("ctx", {})
    remedy = _REMEDIES.get(detail["type"], "see kubectl explain").format_map(context)
    if "wrong" in context:
        wrong = str(context["wrong"])
    elif detail["type"] == "missing":
        wrong = "is required"
    else:
        wrong = f"{_shown(detail['input'])} is refused"
    return Problem(_path(detail["loc"]), wrong, remedy)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".") or "(root)"
