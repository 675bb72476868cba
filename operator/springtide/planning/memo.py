"""The workbench: answers of an earlier pass that are still right, because all that they follow from is still there.

A cluster of thousands of nodes changes at a few of them from one pass to the next, and a picture shares all that did not
change with the one before it: an informer's record, the tuple of a node's pods, the mapping of workloads are then the very
same objects. So what was worked out from them is kept by their identity. Plans made with a workbench equal those
made without: nothing may be kept here that follows from anything else, the clock above all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from springtide.cluster.records import NodeRecord, PodRecord

Answer = TypeVar("Answer")


class NodeAnswers(Generic[Answer]):
    """Answers to one question about single nodes and the pods on them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[NodeRecord, Sequence[PodRecord], object, Answer]] = {}
        self._asked: dict[str, tuple[NodeRecord, Sequence[PodRecord], object, Answer]] = {}

    def of(
        self,
        node: NodeRecord,
        pods: Sequence[PodRecord],
        basis: object,
        work_out: Callable[[NodeRecord, Sequence[PodRecord]], Answer],
    ) -> Answer:
        """The answer for the node with these pods; worked out unless it was for the same node and pods.

        `basis`: what else the answer follows from, small and comparable: settings, say.
        """
        known = self._known.get(node.name)
        if known is None or not (
            # A heartbeat replaces the record by an equal one, so identity is only the quick way to know.
            known[1] is pods and known[2] == basis and (known[0] is node or known[0] == node)
        ):
            known = (node, pods, basis, work_out(node, pods))
        self._asked[node.name] = known
        return known[3]

    def begin_pass(self) -> None:
        """Forget nodes that the last pass did not ask about: they are gone."""
        self._known, self._asked = self._asked, {}


class Workbench:
    """What plan() may be given again in the next pass. For one planner at a time, in one thread at a time."""

    def __init__(self) -> None:
        self._answers: dict[str, NodeAnswers[Any]] = {}
        self._kept: dict[str, tuple[tuple[object, ...], object]] = {}

    def about_nodes(self, question: str) -> NodeAnswers[Any]:
        """The answers to a question, known by its name."""
        return self._answers.setdefault(question, NodeAnswers())

    def kept(self, name: str, *basis: object, make: Callable[[], Answer]) -> Answer:
        """What `make` made when it was last asked for this name, if every part of the basis is the very same object."""
        known = self._kept.get(name)
        if (
            known is None
            or len(known[0]) != len(basis)
            or any(a is not b for a, b in zip(known[0], basis, strict=True))
        ):
            known = self._kept[name] = (basis, make())
        return cast("Answer", known[1])

    def begin_pass(self) -> None:
        """To be called once by each plan, first."""
        for answers in self._answers.values():
            answers.begin_pass()
