"""Rules over domains: which pods are bound by rules about zones, regions, or any label of nodes but the hostname."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.relations.acquaintance import Acquaintance
from springtide.scheduling.relations.questions import (
    Namespaces,
    Question,
    affinity_question,
    anti_affinity_question,
    spread_question,
)


def has_rules(shape: PodShape) -> bool:
    """Whether it asks about other pods at all."""
    return bool(shape.pod_affinity or shape.pod_anti_affinity or shape.spread)


def spreads_over_domains(shape: PodShape) -> list[SpreadConstraint]:
    """Its hard spreads over anything but single nodes."""
    return [constraint for constraint in shape.spread if constraint.topology_key != HOSTNAME_LABEL]


def apart_over_domains(shape: PodShape) -> list[PodAffinityTerm]:
    """Its anti-affinity over anything but single nodes."""
    return [term for term in shape.pod_anti_affinity if term.topology_key != HOSTNAME_LABEL]


def near_over_domains(shape: PodShape) -> list[str]:
    """Topology keys of its affinity, but the hostname."""
    return [term.topology_key for term in shape.pod_affinity if term.topology_key != HOSTNAME_LABEL]


def near_question(shape: PodShape) -> Question:
    """The pods it wants near; without affinity, no pod."""
    return affinity_question(shape) or Question(())


def is_bound(shape: PodShape) -> bool:
    """Whether the shape has a rule over domains."""
    return has_rules(shape) and bool(
        spreads_over_domains(shape) or apart_over_domains(shape) or near_over_domains(shape)
    )


def topology_keys(shapes: Iterable[PodShape]) -> frozenset[str]:
    """The keys of all rules over domains."""
    return frozenset(
        key
        for shape in shapes
        for key in (
            *(constraint.topology_key for constraint in spreads_over_domains(shape)),
            *(term.topology_key for term in apart_over_domains(shape)),
            *near_over_domains(shape),
        )
    )


def questions_over_domains(shape: PodShape) -> list[Question]:
    """What its rules over domains ask for."""
    return [
        *(spread_question(constraint, shape.namespace) for constraint in spreads_over_domains(shape)),
        *(anti_affinity_question(term) for term in apart_over_domains(shape)),
        *([near_question(shape)] if near_over_domains(shape) else []),
    ]


def wanted(shapes: Sequence[PodShape], namespaces: Namespaces) -> list[bool]:
    """Which of the shapes some shape's affinity over domains asks for."""
    near = (near_question(shape) for shape in shapes if near_over_domains(shape))
    knows = Acquaintance(near, namespaces)
    return [bool(knows.questions and knows.meaning(shape)) for shape in shapes]
