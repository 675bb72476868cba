"""What a NodePool's spec.template and spec.hourlyPrice change about the template a provider knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from springtide.api import nodepool as api
from springtide.cluster.quantity import NANO_PER_UNIT, parse_amount, parse_nano, render_quantity
from springtide.cluster.records import Resources, Taint, TaintEffect

_STARTUP_PREFIXES = (
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
)
"""Taints that Cluster Autoscaler expects to go away while the node starts (the second prefix is its older name)."""

_PASSING = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/unschedulable",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
    }
)
"""Conditions of a running node; no template has them (as in Cluster Autoscaler)."""
_PASSING_PREFIX = "status-taint.cluster-autoscaler.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class OverriddenTemplate:
    """The parts of a template that users may override."""

    capacity: Resources
    labels: Mapping[str, str]
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    allocatable: Resources = field(default_factory=dict)


def with_overrides(known: OverriddenTemplate, spec: api.NodeTemplate | None) -> OverriddenTemplate:
    """What the provider knows, with spec.template laid over it, and taints sorted into lasting and passing ones."""
    spec = spec or api.NodeTemplate()
    capacity = {**known.capacity, **resources_of(spec.capacity or {})}
    startup = _merged(
        known.startup_taints,
        (taint for taint in known.taints if taint.key.startswith(_STARTUP_PREFIXES)),
        map(_taint, spec.startup_taints or ()),
    )
    passing = {(taint.key, taint.effect) for taint in startup}
    lasting = (
        taint
        for taint in _merged(known.taints, map(_taint, spec.taints or ()))
        if (taint.key, taint.effect) not in passing
        and taint.key not in _PASSING
        and not taint.key.startswith(_PASSING_PREFIX)
    )
    return OverriddenTemplate(
        capacity=capacity,
        allocatable={**capacity, **known.allocatable, **resources_of(spec.allocatable or {})},
        labels={**known.labels, **(spec.labels or {})},
        taints=tuple(lasting),
        startup_taints=startup,
    )


def beyond_capacity(template: OverriddenTemplate) -> str:
    """What is allocatable beyond the capacity, for users: "cpu 64, but the capacity is 4"; empty: nothing.

    The API server compares the two where spec.template gives both; here one of them is the provider's.
    """
    for name, allocatable in template.allocatable.items():
        capacity = template.capacity.get(name, allocatable)
        if allocatable > capacity:
            shown = render_quantity(name, allocatable), render_quantity(name, capacity)
            return f"{name} {shown[0]}, but the capacity is {shown[1]}"
    return ""


def _taint(taint: api.Taint) -> Taint:
    return Taint(key=taint.key, value=taint.value, effect=TaintEffect(taint.effect.value))


def _merged(*layers: Iterable[Taint]) -> tuple[Taint, ...]:
    """All taints; of the same key and effect the last layer's wins, as a node has at most one such."""
    merged: dict[tuple[str, TaintEffect], Taint] = {}
    for layer in layers:
        for taint in layer:
            merged[taint.key, taint.effect] = taint
    return tuple(merged.values())


def resources_of(quantities: Mapping[str, str | int]) -> dict[str, int]:
    """Quantities as users write them -> amounts. Raises QuantityError (a ValueError) on what is not a quantity."""
    return {name: parse_amount(name, str(quantity)) for name, quantity in quantities.items()}


def price_of(quantity: str | int | None) -> float | None:
    """A price as users write it -> a number; None stays None."""
    return None if quantity is None else parse_nano(str(quantity)) / NANO_PER_UNIT
