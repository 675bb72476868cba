"""Failure modes of the cloud: rules that can be put in force and lifted while it runs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(kw_only=True)
class LaunchRule:
    """A rule about launches; each of group, zone and instance type narrows it, None means any."""

    group: str | None = None
    zone: str | None = None
    instance_type: str | None = None

    def covers(self, *, group: str, zone: str, instance_type: str) -> bool:
        """Whether a launch falls under the rule."""
        return (
            self.group in (None, group)
            and self.zone in (None, zone)
            and self.instance_type in (None, instance_type)
        )


@dataclass(kw_only=True)
class NoCapacity(LaunchRule):
    """EC2 runs out of instances: `available` more can be had, then none (InsufficientInstanceCapacity)."""

    available: int = 0


@dataclass(kw_only=True)
class QuotaReached(LaunchRule):
    """The account's vCPU quota lets `available` more instances start, then none (VcpuLimitExceeded)."""

    available: int = 0
    vcpu_limit: int = 32


@dataclass(kw_only=True)
class SlowBoot(LaunchRule):
    """Instances stay Pending for this many seconds instead of the cloud's usual boot delay."""

    seconds: float


@dataclass(kw_only=True)
class NeverRegisters(LaunchRule):
    """Instances come into service, but their kubelets never join the cluster."""


@dataclass(kw_only=True)
class Vanishes(LaunchRule):
    """Instances disappear without notice so many seconds after their launch (as reclaimed spot does)."""

    seconds: float


@dataclass(kw_only=True)
class CallRule:
    """A rule about API calls; `action` None means all, `next_calls` None means until lifted."""

    action: str | None = None
    next_calls: int | None = None

    def applies(self, action: str) -> bool:
        """Whether the call falls under the rule; counts it if so."""
        if self.action not in (None, action) or self.next_calls == 0:
            return False
        if self.next_calls is not None:
            self.next_calls -= 1
        return True


@dataclass(kw_only=True)
class Throttled(CallRule):
    """Calls are refused with AWS's throttling error; with `per_second` only those above that rate."""

    per_second: float | None = None


@dataclass(kw_only=True)
class Denied(CallRule):
    """The caller may not do this (AccessDenied, 403)."""


@dataclass(kw_only=True)
class InvalidCredentials(CallRule):
    """This access key does not exist (InvalidClientTokenId, 403); None means every key."""

    access_key: str | None = None


@dataclass(kw_only=True)
class ServerError(CallRule):
    """AWS has a bad moment (InternalFailure, 500); nothing is done."""


@dataclass(kw_only=True)
class AnswerLost(CallRule):
    """The call takes effect, but the connection breaks before its answer arrives."""


@dataclass(kw_only=True)
class Latency(CallRule):
    """Answers take this many seconds longer."""

    seconds: float


Rule = LaunchRule | CallRule
R = TypeVar("R", bound=Rule)
L = TypeVar("L", bound=LaunchRule)

RULE_NAMES: dict[str, type[Rule]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", rule.__name__).lower(): rule
    for rule in (
        *(NoCapacity, QuotaReached, SlowBoot, NeverRegisters, Vanishes),
        *(Throttled, Denied, InvalidCredentials, ServerError, AnswerLost, Latency),
    )
}
"""Rules by the names used on command lines: ``no-capacity``, ``slow-boot``, …"""


class Failures:
    """The rules in force; changes hold from the next launch or call on."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: list[Rule] = [dataclasses.replace(rule) for rule in rules]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What is in force now."""
        return tuple(self._rules)

    def add(self, rule: R) -> R:
        """Put a rule in force; returns it, as the handle to remove it by."""
        self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Lift a rule; nothing happens when it was not in force."""
        # By identity: two equal rules count their calls separately.
        self._rules = [known for known in self._rules if known is not rule]

    def clear(self) -> None:
        """Lift all rules."""
        self._rules.clear()

    def of(self, kind: type[R]) -> list[R]:
        """The rules of one kind."""
        return [rule for rule in self._rules if isinstance(rule, kind)]

    def covering(self, kind: type[L], *, group: str, zone: str, instance_type: str) -> list[L]:
        """The launch rules of one kind that cover a launch."""
        return [
            rule for rule in self.of(kind) if rule.covers(group=group, zone=zone, instance_type=instance_type)
        ]


def parse_rule(text: str) -> Rule:
    """Read a rule as written on a command line: ``no-capacity:zone=us-east-1a,available=2``.

    Raises ValueError with the names and fields that would have been understood.
    """
    name, _, arguments = text.partition(":")
    kind = RULE_NAMES.get(name)
    if kind is None:
        raise ValueError(f"unknown failure mode {name!r}; known are {', '.join(sorted(RULE_NAMES))}")
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for pair in filter(None, arguments.split(",")):
        key, _, value = pair.partition("=")
        key = key.replace("-", "_")
        if key not in types:
            raise ValueError(f"failure mode {name} has no {key!r}; it has {', '.join(sorted(types))}")
        convert = next((kind for word, kind in _CONVERSIONS if word in types[key]), str)
        try:
            values[key] = convert(value)
        except ValueError:
            raise ValueError(f"failure mode {name}: {key} must be a number, not {value!r}") from None
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"failure mode {name}: {error}") from error


_CONVERSIONS: tuple[tuple[str, type[int] | type[float]], ...] = (("int", int), ("float", float))
