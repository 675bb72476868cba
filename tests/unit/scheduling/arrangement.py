"""Can a scheduler bring an arrangement about? Plain and slow: pods are bound one by one, each where it is planned, each
only when kube-scheduler's rules between pods allow it there at that moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint

WILDCARD = ("", "0.0.0.0")


@dataclass
class Place:
    """A node: its labels, what it can hold, who is on it, who is planned for it."""

    labels: Mapping[str, str]
    allocatable: Mapping[str, int]
    running: list[PodShape] = field(default_factory=list)
    planned: list[PodShape] = field(default_factory=list)


def stranded(places: Sequence[Place]) -> list[PodShape]:
    """Pods that cannot be bound where they are planned, whichever shape goes before which: the fewest of all orders.

    Within an order, whoever may be bound is, a shape's pods where the fewest of those are that it counts.
    """
    shapes = sorted({shape for place in places for shape in place.planned}, key=lambda shape: shape.number)
    outcomes = (_bound_in_order(places, order) for order in permutations(shapes))
    best: list[PodShape] | None = None
    for left in outcomes:
        if best is None or len(left) < len(best):
            best = left
        if not best:
            break
    return best or []


def _bound_in_order(given: Sequence[Place], order: Sequence[PodShape]) -> list[PodShape]:
    """What is left when shapes are tried in this order, from the start again after each pod that is bound."""
    places = [Place(p.labels, p.allocatable, list(p.running), list(p.planned)) for p in given]
    while True:
        found = next(
            (
                (place, shape)
                for shape in order
                for place in sorted(
                    (place for place in places if shape in place.planned),
                    key=lambda place: _crowd(shape, place, places),
                )
                if admits(place, shape, places)
            ),
            None,
        )
        if found is None:
            return [shape for place in places for shape in place.planned]
        place, shape = found
        place.planned.remove(shape)
        place.running.append(shape)


def admits(place: Place, shape: PodShape, places: Sequence[Place]) -> bool:
    """Whether the scheduler's rules let the pod on the node now."""
    return (
        _holds(place, shape)
        and not any(_clash(shape, other) for other in place.running)
        and all(_keeps_skew(c, shape, place, places) for c in shape.spread)
        and not any(_near(term, shape, place, places) for term in shape.pod_anti_affinity)
        and not _repelled(shape, place, places)
        and _finds_company(shape, place, places)
    )


def selects(term: PodAffinityTerm | SpreadConstraint, of: PodShape, other: PodShape) -> bool:
    """Whether a term of one pod means another. Namespaces by name only."""
    if term.selector is None:
        return False
    if isinstance(term, SpreadConstraint):
        counted = bool(term.selector.requirements) and other.namespace == of.namespace
    else:
        counted = other.namespace in term.namespaces
    return counted and term.selector.matches(other.labels)


def _holds(place: Place, shape: PodShape) -> bool:
    used: Counter[str] = Counter(pods=1 + len(place.running))
    for each in (*place.running, shape):
        used.update(each.requests)
    asked = {"pods", *shape.requests}
    return all(used[name] <= place.allocatable.get(name, 0) for name in asked)


def _clash(one: PodShape, other: PodShape) -> bool:
    return any(
        (a.protocol, a.port) == (b.protocol, b.port)
        and (a.host_ip == b.host_ip or a.host_ip in WILDCARD or b.host_ip in WILDCARD)
        for a in one.host_ports
        for b in other.host_ports
    )


def _domain(places: Iterable[Place], key: str, value: str) -> Iterable[PodShape]:
    return (shape for place in places if place.labels.get(key) == value for shape in place.running)


def _counts(constraint: SpreadConstraint, shape: PodShape, places: Sequence[Place]) -> dict[str, int]:
    keys = {each.topology_key for each in shape.spread}
    eligible = [place for place in places if keys <= place.labels.keys()]
    counts = dict.fromkeys((place.labels[constraint.topology_key] for place in eligible), 0)
    for place in eligible:
        counts[place.labels[constraint.topology_key]] += sum(
            selects(constraint, shape, other) for other in place.running
        )
    return counts


def _keeps_skew(constraint: SpreadConstraint, shape: PodShape, place: Place, places: Sequence[Place]) -> bool:
    if constraint.selector is None or not constraint.selector.requirements:
        return constraint.topology_key in place.labels
    counts = _counts(constraint, shape, places)
    mine = place.labels.get(constraint.topology_key)
    if mine is None or mine not in counts:
        return False
    least = min(counts.values()) if len(counts) >= constraint.min_domains else 0
    return counts[mine] + selects(constraint, shape, shape) - least <= constraint.max_skew


def _near(term: PodAffinityTerm, shape: PodShape, place: Place, places: Sequence[Place]) -> bool:
    value = place.labels.get(term.topology_key)
    return value is not None and any(
        selects(term, shape, other) for other in _domain(places, term.topology_key, value)
    )


def _repelled(shape: PodShape, place: Place, places: Sequence[Place]) -> bool:
    return any(
        selects(term, other, shape)
        and term.topology_key in place.labels
        and elsewhere.labels.get(term.topology_key) == place.labels[term.topology_key]
        for elsewhere in places
        for other in elsewhere.running
        for term in other.pod_anti_affinity
    )


def _finds_company(shape: PodShape, place: Place, places: Sequence[Place]) -> bool:
    terms = shape.pod_affinity
    if not terms:
        return True
    if any(term.topology_key not in place.labels for term in terms):
        return False

    def wanted(other: PodShape) -> bool:
        return all(selects(term, shape, other) for term in terms)

    found = [any(map(wanted, _domain(places, t.topology_key, place.labels[t.topology_key]))) for t in terms]
    if all(found):
        return True
    anywhere = any(
        wanted(other)
        for each in places
        if any(term.topology_key in each.labels for term in terms)
        for other in each.running
    )
    return wanted(shape) and not anywhere


def _crowd(shape: PodShape, place: Place, places: Sequence[Place]) -> int:
    """How many of the pods that it counts are in the node's domains."""
    counts = (
        _counts(each, shape, places).get(place.labels.get(each.topology_key, ""), 0)
        for each in shape.spread
        if each.selector is not None
    )
    return max(counts, default=0)
