"""Acquaintance: which of some questions mean pods of a shape, with thousands of both."""

from __future__ import annotations

from collections.abc import Iterable

from springtide.cluster.shape import PodShape
from springtide.scheduling.relations.label_index import QuestionIndex
from springtide.scheduling.relations.questions import Namespaces, Question, matches

_LabelClass = tuple[str, frozenset[tuple[str, str]]]


class Acquaintance:
    """Questions by number, in the order in which they are given; equal ones have one number."""

    def __init__(self, questions: Iterable[Question], namespaces: Namespaces) -> None:
        self.questions = tuple(dict.fromkeys(questions))
        self._namespaces = namespaces
        self._numbers = {question: number for number, question in enumerate(self.questions)}
        self._index = QuestionIndex()
        for number, question in enumerate(self.questions):
            self._index.add(number, question)
        self._meaning: dict[_LabelClass, frozenset[int]] = {}
        self._of_shape: dict[PodShape, frozenset[int]] = {}

    def number(self, question: Question) -> int:
        """Of a question that was given; KeyError for others."""
        return self._numbers[question]

    def meaning(self, shape: PodShape) -> frozenset[int]:
        """Numbers of the questions that mean pods of the shape."""
        known = self._of_shape.get(shape)
        if known is None:
            labels = (shape.namespace, frozenset(shape.labels.items()))
            if labels not in self._meaning:
                self._meaning[labels] = self._judged(shape)
            known = self._of_shape[shape] = self._meaning[labels]
        return known

    def means(self, question: Question, shape: PodShape) -> bool:
        """Whether a question that was given means pods of the shape."""
        return self._numbers[question] in self.meaning(shape)

    def _judged(self, shape: PodShape) -> frozenset[int]:
        return frozenset(
            number
            for number in self._index.candidates(shape)
            if matches(self.questions[number], shape, self._namespaces)
        )
