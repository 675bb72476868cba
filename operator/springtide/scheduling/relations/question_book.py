"""The question book: which shapes are meant by which questions, and which terms forbid a node to which shapes.

One book serves a simulation and all its forks: it only grows, and nothing in it depends on where pods are. Whether a
shape is meant by a question is judged once. Nobody pays before the first question is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from springtide.cluster.shape import PodAffinityTerm, PodShape, SpreadConstraint
from springtide.scheduling.relations.label_index import QuestionIndex, ShapeIndex
from springtide.scheduling.relations.questions import (
    Namespaces,
    Question,
    affinity_question,
    anti_affinity_question,
    matches,
    repelled_question,
    spread_question,
)

Subject = Question | PodAffinityTerm
"""What is counted per node: the pods that a question means; or, of a term, the pods that have this anti-affinity."""


@dataclass(frozen=True, slots=True)
class AskedSpread:
    """A hard spread constraint of a shape."""

    constraint: SpreadConstraint
    subject: int
    """Number of its question."""
    counts_itself: bool
    """Whether a pod of the shape is among those that it spreads."""


@dataclass(frozen=True, slots=True)
class AskedAntiAffinity:
    """A required term of a shape's anti-affinity."""

    term: PodAffinityTerm
    subject: int
    counts_itself: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that a shape asks about other pods, with numbers in place of questions."""

    spread: tuple[AskedSpread, ...]
    affinity: int | None
    """One question for all terms."""
    affinity_counts_itself: bool
    anti_affinity: tuple[AskedAntiAffinity, ...]


class QuestionBook:
    """Numbers for questions and terms; what means what."""

    def __init__(self, namespaces: Namespaces, shapes: Iterable[PodShape] = ()) -> None:
        self.namespaces = namespaces
        self._known: dict[PodShape, list[int]] = {shape: [] for shape in shapes}
        self._unread: list[PodShape] = list(self._known)
        self._subjects: list[Subject] = []
        self._numbers: dict[Subject, int] = {}
        self._meant: list[list[PodShape]] = []
        self._per_pod: list[int] = []
        self._shapes = ShapeIndex()
        self._questions = QuestionIndex()
        self._terms = QuestionIndex()
        self._term_questions: dict[int, Question] = {}
        self._asked: dict[PodShape, Asked] = {}
        self._repelling: dict[PodShape, tuple[int, Sequence[int]]] = {}
        self._has_terms = any(shape.pod_anti_affinity for shape in self._known)

    def learn(self, shape: PodShape) -> None:
        """Pods of the shape may be counted from now on."""
        if shape not in self._known:
            self._known[shape] = []
            self._unread.append(shape)
            self._has_terms = self._has_terms or bool(shape.pod_anti_affinity)

    def number(self, question: Question) -> int:
        """The number of a question; one that is new is judged now on every shape that it may mean."""
        number = self._numbers.get(question)
        if number is None:
            self._read()
            number = self._enter(question)
            self._ask(number, question)
        return number

    def subject(self, number: int) -> Subject:
        return self._subjects[number]

    def meant(self, number: int) -> Sequence[PodShape]:
        """The shapes known so far that are counted for the subject."""
        self._read()
        return self._meant[number]

    def counted_for(self, shape: PodShape) -> Sequence[int]:
        """Numbers of the subjects, of those entered so far, that count pods of a learned shape."""
        if self._unread and self._subjects:
            self._read()
        return self._known[shape]

    @property
    def per_pod(self) -> Sequence[int]:
        """Numbers of the questions that look at labels which shapes leave out: each pod must be asked."""
        return self._per_pod

    def asked(self, shape: PodShape) -> Asked:
        """What the shape asks about other pods."""
        asked = self._asked.get(shape)
        if asked is None:
            asked = self._asked[shape] = self._compile(shape)
        return asked

    def repelling(self, shape: PodShape) -> Sequence[int]:
        """Numbers of the terms, of all learned shapes, that pods of the shape must not come near to."""
        if not self._has_terms:
            return ()
        self._read()
        version = len(self._term_questions)
        known = self._repelling.get(shape)
        if known is None or known[0] != version:
            numbers = [
                n for n in self._terms.candidates(shape) if self._means(self._term_questions[n], shape)
            ]
            known = self._repelling[shape] = (version, numbers)
        return known[1]

    def term(self, number: int) -> PodAffinityTerm:
        """The term of anti-affinity with this number."""
        subject = self._subjects[number]
        assert isinstance(subject, PodAffinityTerm)
        return subject

    def _compile(self, shape: PodShape) -> Asked:
        affinity = affinity_question(shape)
        return Asked(
            spread=tuple(
                AskedSpread(constraint, self.number(question), self._means(question, shape))
                for constraint in shape.spread
                for question in (spread_question(constraint, shape.namespace),)
            ),
            affinity=None if affinity is None else self.number(affinity),
            affinity_counts_itself=affinity is not None and self._means(affinity, shape),
            anti_affinity=tuple(
                AskedAntiAffinity(term, self.number(question), self._means(question, shape))
                for term in dict.fromkeys(shape.pod_anti_affinity)
                for question in (anti_affinity_question(term),)
            ),
        )

    def _means(self, question: Question, shape: PodShape) -> bool:
        return matches(question, shape, self.namespaces)

    def _enter(self, subject: Subject) -> int:
        number = self._numbers[subject] = len(self._subjects)
        self._subjects.append(subject)
        self._meant.append([])
        return number

    def _ask(self, number: int, question: Question) -> None:
        """Judge a new question on the shapes that it may mean, and keep it for those to come."""
        if question.sees_per_pod_labels:
            self._per_pod.append(number)
            return
        self._questions.add(number, question)
        for shape in self._shapes.candidates(question):
            self._note(number, question, shape)

    def _note(self, number: int, question: Question, shape: PodShape) -> None:
        if self._means(question, shape):
            self._meant[number].append(shape)
            self._known[shape].append(number)

    def _read(self) -> None:
        """Take in the shapes learned since: what they are meant by, and which terms they have."""
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        for shape in unread:
            self._shapes.add(shape)
            for number in self._questions.candidates(shape):
                question = self._subjects[number]
                assert isinstance(question, Question)
                self._note(number, question, shape)
            for term in dict.fromkeys(shape.pod_anti_affinity):
                number = self._term_number(term)
                self._meant[number].append(shape)
                self._known[shape].append(number)

    def _term_number(self, term: PodAffinityTerm) -> int:
        number = self._numbers.get(term)
        if number is None:
            number = self._enter(term)
            question = self._term_questions[number] = repelled_question(term)
            self._terms.add(number, question)
        return number
