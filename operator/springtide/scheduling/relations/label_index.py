"""Who could be meant: questions and shapes found by the labels they share, instead of comparing each with each.

A question that asks for a label in given values can only mean shapes with one of those labels. Each question is filed
under one such requirement (or under its namespaces), so that a shape with five labels looks into five drawers, not at
ten thousand questions; and the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from springtide.cluster.selector import SelectorOperator
from springtide.cluster.shape import PodShape
from springtide.scheduling.relations.questions import Question

_Drawer = tuple[str, ...]
"""(label, value) or (namespace,) or (), which holds everything."""

_EVERYTHING: _Drawer = ()


def _choices(question: Question) -> Iterator[list[_Drawer]]:
    """Sets of drawers: whatever the question means is in one of each set."""
    for condition in question.conditions:
        for requirement in condition.selector.requirements if condition.selector is not None else ():
            if requirement.operator is SelectorOperator.IN:
                yield [(requirement.key, value) for value in dict.fromkeys(requirement.values)]
        if condition.namespace_selector is None:
            yield [(namespace,) for namespace in dict.fromkeys(condition.namespaces)]
    yield [_EVERYTHING]


def _drawers(shape: PodShape) -> Iterator[_Drawer]:
    """The drawers that hold something about the shape."""
    yield from shape.labels.items()
    yield (shape.namespace,)
    yield _EVERYTHING


class QuestionIndex:
    """Numbered questions by what they ask for."""

    def __init__(self) -> None:
        self._filed: defaultdict[_Drawer, list[int]] = defaultdict(list)

    def add(self, number: int, question: Question) -> None:
        """File a question in the emptiest drawers that would do."""
        for drawer in min(_choices(question), key=self._fullness):
            self._filed[drawer].append(number)

    def candidates(self, shape: PodShape) -> Iterator[int]:
        """Each once: the questions that may mean the shape."""
        for drawer in _drawers(shape):
            yield from self._filed.get(drawer, ())

    def _fullness(self, drawers: list[_Drawer]) -> tuple[bool, int]:
        # The drawer of everything only when there is no other.
        return drawers == [_EVERYTHING], sum(len(self._filed.get(drawer, ())) for drawer in drawers)


class ShapeIndex:
    """Shapes by their labels and namespaces."""

    def __init__(self) -> None:
        self._filed: defaultdict[_Drawer, list[PodShape]] = defaultdict(list)

    def add(self, shape: PodShape) -> None:
        for drawer in _drawers(shape):
            self._filed[drawer].append(shape)

    def candidates(self, question: Question) -> Iterable[PodShape]:
        """Each once: the shapes that the question may mean."""
        drawers = min(_choices(question), key=self._fullness)
        return [shape for drawer in drawers for shape in self._filed.get(drawer, ())]

    def _fullness(self, drawers: list[_Drawer]) -> int:
        return sum(len(self._filed.get(drawer, ())) for drawer in drawers)
