"""Rules that join several fields: one table read by the API server (as CEL) and by Springtide (as Python)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from springtide.api.duration import DURATION_PATTERN


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule over one object of a resource, kept on its model as `rules: ClassVar[tuple[Rule, ...]]`.

    `wrong` and `remedy` together are the message users see from either judge.
    """

    cel: str
    """The rule for the API server; `self` is the object, absent optional fields fail `has()`."""
    wrong: str
    """What is wrong, naming the fields, e.g. "minSize exceeds maxSize"."""
    remedy: str
    """What to do about it, as an order, e.g. "lower minSize or raise maxSize"."""
    holds: Callable[[Any], bool] | None = None
    """The same rule over the model; None where only the API server can judge (needs the old object or
    CEL's quantities)."""
    field: str = ""
    """The field to blame within the object, in JSON spelling; empty: the object itself."""

    @property
    def message(self) -> str:
        return f"{self.wrong}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a resource, fit for a condition message or a terminal."""

    field: str
    """Path as kubectl writes it: spec.provider.aws.autoScalingGroups[1]."""
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: {self.wrong}: {self.remedy}" if self.remedy else f"{self.field}: {self.wrong}"


def no_longer(lesser: str, greater: str) -> str:
    """CEL: of two durations, where both are given, the lesser is not longer than the greater.

    A text that is no duration is judged by its own field's rule; here it would only add a second, puzzling
    message.
    """
    given = f"has(self.{lesser}) && has(self.{greater})"
    well_formed = (
        f"self.{lesser}.matches(r'{DURATION_PATTERN}') && self.{greater}.matches(r'{DURATION_PATTERN}')"
    )
    return f"!({given} && {well_formed}) || duration(self.{lesser}) <= duration(self.{greater})"


def within(lesser: str, greater: str) -> str:
    """CEL: of two optional resource lists, no resource that is in both is more in the lesser than in the
    greater."""
    both_are_quantities = f"isQuantity(string(self.{lesser}[r])) && isQuantity(string(self.{greater}[r]))"
    compared = f"quantity(string(self.{lesser}[r])).compareTo(quantity(string(self.{greater}[r]))) <= 0"
    return (
        f"!has(self.{lesser}) || !has(self.{greater}) || self.{lesser}.all(r, "
        f"!(r in self.{greater}) || !({both_are_quantities}) || {compared})"
    )


def broken_rules(value: object, *, path: str) -> Iterator[Problem]:
    """Judge a model (or settings dataclass) and everything in it by the rules on its classes; `path` names
    it."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from broken_rules(item, path=f"{path}[{index}]")
        return
    for rule in getattr(type(value), "rules", ()):
        if rule.holds is not None and not rule.holds(value):
            yield Problem(f"{path}.{rule.field}" if rule.field else path, rule.wrong, rule.remedy)
    for name, child in _children(value):
        yield from broken_rules(child, path=f"{path}.{name}")


def _children(value: object) -> Iterator[tuple[str, object]]:
    kind: Any = type(value)
    for name, alias in _fields(kind):
        yield alias, getattr(value, name)


# Every pass judges every pool: the names of the fields are worked out once.
@lru_cache(maxsize=256)
def _fields(kind: type) -> tuple[tuple[str, str], ...]:
    """The fields of a model or settings dataclass: their names in Python and in JSON; of other types none."""
    if issubclass(kind, BaseModel):
        return tuple((name, info.alias or name) for name, info in kind.model_fields.items())
    if dataclasses.is_dataclass(kind):
        return tuple((field.name, to_camel(field.name)) for field in dataclasses.fields(kind))
    return ()
