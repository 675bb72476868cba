"""Similar nodes: may groups of different NodePools share purchases as if they were one? Cluster Autoscaler's comparator,
which asks in this order: equal capacity (memory within a tolerance), allocatable and free within tolerances, equal labels
but for those that tell zones, nodes and pools apart. Taints are not compared: whether pods may run there is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from springtide.api.policy import SimilaritySettings
from springtide.cluster.quantity import NANO_PER_UNIT, parse_nano, render_quantity
from springtide.cluster.records import Resources
from springtide.cluster.zone_labels import ZONE_AND_REGION_LABELS
from springtide.scheduling.fresh import FreshNode

IGNORED: Final = frozenset(
    {
        "kubernetes.io/hostname",
        *ZONE_AND_REGION_LABELS,
        "beta.kubernetes.io/fluentd-ds-ready",
        "kops.k8s.io/instancegroup",
    }
)
"""Labels that differ between nodes which are alike."""

OF_PROVIDER: Final[Mapping[str, frozenset[str]]] = {
    "aws": frozenset(
        {
            "alpha.eksctl.io/instance-id",
            "alpha.eksctl.io/nodegroup-name",
            "eks.amazonaws.com/nodegroup",
            "k8s.amazonaws.com/eniConfig",
            "lifecycle",
            "topology.ebs.csi.aws.com/zone",
            "topology.k8s.aws/zone-id",
        }
    ),
    "azure": frozenset(
        {
            "agentpool",
            "kubernetes.azure.com/agentpool",
            "topology.disk.csi.azure.com/zone",
            "aksEngineVersion",
            "creationSource",
            "poolName",
            "resourceNameSuffix",
            "kubernetes.azure.com/consolidated-additional-properties",
            "kubernetes.azure.com/node-image-version",
        }
    ),
    "gce": frozenset({"topology.gke.io/zone"}),
}
"""Further ones by kind of provider, as Cluster Autoscaler's providers add them."""

AZURE_POOL_LABELS: Final = ("agentpool", "kubernetes.azure.com/agentpool")
"""Nodes of one Azure pool are similar whatever else differs."""

ALWAYS_FREE: Final = ("cpu", "memory", "ephemeral-storage")
"""Resources whose free amount is compared even if no pod requests any; others only where one does."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One node as it is compared: a fresh one with its daemon pods, or a real one with its pods."""

    labels: Mapping[str, str]
    capacity: Resources
    allocatable: Resources
    requested: Resources = field(default_factory=dict)
    """By the pods on it together; a resource that none requests is absent."""

    @classmethod
    def of(cls, fresh: FreshNode) -> Sample:
        requested: dict[str, int] = {}
        for shape in fresh.daemon_shapes:
            for resource, amount in shape.requests.items():
                requested[resource] = requested.get(resource, 0) + amount
        return cls(fresh.labels, fresh.capacity, fresh.allocatable, requested)

    @property
    def free(self) -> Resources:
        """What is left, of the resources that count; may be negative."""
        counting = dict.fromkeys((*ALWAYS_FREE, *self.requested))
        return {name: self.allocatable.get(name, 0) - self.requested.get(name, 0) for name in counting}


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that keeps two nodes from being similar, for users."""

    text: str
    """"allocatable memory differs by 7.2 % > 5 %", "label tier: a ≠ b"."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as similar; ratios are shares of the larger amount."""

    allocatable: float = 0.05
    free: float = 0.05
    memory_capacity: float = 0.015
    ignored: frozenset[str] = IGNORED
    only_labels: tuple[str, ...] = ()
    """If there are any, these labels alone decide: both nodes must have them, with equal values."""
    pool_labels: tuple[str, ...] = ()
    """Labels that make two nodes similar at once when both have the same value."""

    @classmethod
    def of(cls, settings: SimilaritySettings, *, provider: str) -> Rules:
        """A policy's, for pools of one kind of provider."""
        return cls(
            allocatable=_ratio(settings.max_allocatable_difference_ratio),
            free=_ratio(settings.max_free_difference_ratio),
            memory_capacity=_ratio(settings.memory_difference_ratio),
            ignored=IGNORED | OF_PROVIDER.get(provider, frozenset()) | set(settings.ignored_labels),
            only_labels=settings.balancing_labels,
            pool_labels=AZURE_POOL_LABELS if provider == "azure" else (),
        )


def difference(one: Sample, other: Sample, rules: Rules) -> Difference | None:
    """Why the two are not similar; None: they are."""
    if rules.only_labels:
        return _in_labels(one, other, rules.only_labels, must_exist=True)
    if any(one.labels.get(key) and one.labels.get(key) == other.labels.get(key) for key in rules.pool_labels):
        return None
    keys = dict.fromkeys((*one.labels, *other.labels))
    return (
        _in_capacity(one.capacity, other.capacity, rules.memory_capacity)
        or _in_amounts("allocatable", one.allocatable, other.allocatable, rules.allocatable)
        or _in_amounts("free", one.free, other.free, rules.free)
        or _in_labels(one, other, [key for key in keys if key not in rules.ignored], must_exist=False)
    )


def _in_capacity(one: Resources, other: Resources, memory_ratio: float) -> Difference | None:
    for resource in dict.fromkeys((*one, *other)):
        if resource not in one or resource not in other:
            return _lacking("capacity", resource)
        ratio = memory_ratio if resource == "memory" else 0.0
        if _beyond(one[resource], other[resource], ratio):
            return _apart("capacity", resource, one[resource], other[resource], ratio)
    return None


def _in_amounts(what: str, one: Resources, other: Resources, ratio: float) -> Difference | None:
    for resource in dict.fromkeys((*one, *other)):
        if resource not in one or resource not in other:
            return _lacking(what, resource)
        if _beyond(one[resource], other[resource], ratio):
            return _apart(what, resource, one[resource], other[resource], ratio)
    return None


def _in_labels(one: Sample, other: Sample, keys: Sequence[str], *, must_exist: bool) -> Difference | None:
    for key in keys:
        left, right = one.labels.get(key), other.labels.get(key)
        if left != right:
            return Difference(f"label {key}: {_shown(left)} ≠ {_shown(right)}")
        if left is None and must_exist:
            return Difference(f"label {key} is absent")
    return None


def _beyond(one: int, other: int, ratio: float) -> bool:
    """Of the larger, as in Cluster Autoscaler's code; its documentation says of the smaller."""
    larger = max(one, other)
    return larger - min(one, other) > larger * ratio


def _apart(what: str, resource: str, one: int, other: int, ratio: float) -> Difference:
    larger = max(one, other)
    if not ratio or larger <= 0:
        shown = render_quantity(resource, one), render_quantity(resource, other)
        return Difference(f"{what} {resource}: {shown[0]} ≠ {shown[1]}")
    share = (larger - min(one, other)) / larger
    return Difference(f"{what} {resource} differs by {100 * share:.3g} % > {100 * ratio:.3g} %")


def _lacking(what: str, resource: str) -> Difference:
    return Difference(f"{what}: only one of them has {resource}")


def _shown(value: str | None) -> str:
    return "absent" if value is None else value or '""'


def _ratio(quantity: str | int) -> float:
    return parse_nano(str(quantity)) / NANO_PER_UNIT
