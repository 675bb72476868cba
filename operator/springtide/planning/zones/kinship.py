"""Kinship: how the rules over domains of pending pods relate them: who is bound, who wants whom near, who repels whom.

Known before any quota is made, and only by labels: the same whatever stands where.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from springtide.cluster.shape import PodShape
from springtide.planning.zones.bounds import (
    apart_over_domains,
    is_bound,
    near_over_domains,
    near_question,
    questions_over_domains,
)
from springtide.scheduling.relations.acquaintance import Acquaintance
from springtide.scheduling.relations.questions import Namespaces, Question, anti_affinity_question

_Family = tuple[Question, tuple[str, ...]]


class Kinship:
    """Relations of the shapes with these indices."""

    def __init__(self, shapes: Sequence[PodShape], namespaces: Namespaces) -> None:
        self._shapes = shapes
        self.knows = Acquaintance(
            (question for shape in shapes for question in questions_over_domains(shape)), namespaces
        )

    def order(self) -> list[int]:
        """The bound shapes, in the order in which quotas should be made.

        As given, but whoever keeps others away comes first (see `tyrants`), and whoever is wanted near by another
        comes before it.
        """
        bound = sorted(self._bound, key=lambda number: number not in self.tyrants)
        order: dict[int, None] = {}
        visited: set[int] = set()
        for number in bound:
            self._visit(number, order, visited)
        return list(order)

    @cached_property
    def tyrants(self) -> frozenset[int]:
        """Those whose anti-affinity means another of the shapes: they should take as few domains as they can, before
        the others, or none would be left for somebody."""
        return frozenset(
            number
            for number, shape in enumerate(self._shapes)
            for term in apart_over_domains(shape)
            if any(other != number for other in self._meant(anti_affinity_question(term)))
        )

    def family(self, number: int) -> Sequence[int]:
        """All that have the same affinity as this one."""
        return self._families[_family(self._shapes[number])]

    # --- pieces ---------------------------------------------------------------------------------------------

    @cached_property
    def _bound(self) -> list[int]:
        """With a rule of their own, or forbidden a domain by another's."""
        repelling = frozenset(
            self.knows.number(anti_affinity_question(term))
            for shape in self._shapes
            for term in apart_over_domains(shape)
        )
        return [
            number
            for number, shape in enumerate(self._shapes)
            if is_bound(shape) or (repelling and not repelling.isdisjoint(self.knows.meaning(shape)))
        ]

    @cached_property
    def _families(self) -> Mapping[_Family, list[int]]:
        families: defaultdict[_Family, list[int]] = defaultdict(list)
        for number, shape in enumerate(self._shapes):
            if near_over_domains(shape):
                families[_family(shape)].append(number)
        return families

    @cached_property
    def _by_question(self) -> Mapping[int, list[int]]:
        """Number of a question -> the shapes that it means."""
        meant: defaultdict[int, list[int]] = defaultdict(list)
        for number, shape in enumerate(self._shapes):
            for question in self.knows.meaning(shape):
                meant[question].append(number)
        return meant

    def _meant(self, question: Question) -> Sequence[int]:
        return self._by_question.get(self.knows.number(question), ())

    def _wanted(self, number: int) -> Iterator[int]:
        """The bound shapes that it wants near, if it is none of them itself."""
        shape = self._shapes[number]
        if near_over_domains(shape):
            wanted = self._meant(near_question(shape))
            if number not in wanted:
                yield from (other for other in wanted if other in self._is_bound)

    @cached_property
    def _is_bound(self) -> frozenset[int]:
        return frozenset(self._bound)

    def _visit(self, start: int, order: dict[int, None], visited: set[int]) -> None:
        """Depth first, without recursion: chains may be long. In a circle, whoever was met first comes last."""
        if start in visited:
            return
        visited.add(start)
        stack = [(start, self._wanted(start))]
        while stack:
            number, others = stack[-1]
            following = next((other for other in others if other not in visited), None)
            if following is None:
                order[number] = None
                stack.pop()
            else:
                visited.add(following)
                stack.append((following, self._wanted(following)))


def _family(shape: PodShape) -> _Family:
    return near_question(shape), tuple(near_over_domains(shape))
