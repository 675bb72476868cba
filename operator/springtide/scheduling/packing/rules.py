"""Rules between pods of one node: who shares a node with whom; as rows of marks that pods leave on it.

Every required (anti-)affinity and spread over hostnames, every host port and every in-tree disk becomes rows: a pod adds one
to the rows that count it, and asks that some rows are empty, or not empty, or not too full. So the cost of a rule is that of
one resource more, however many shapes it concerns.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np

from springtide.cluster.shape import HostPort, PodShape, SpreadConstraint
from springtide.cluster.volumes.mounts import Disk
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.nodes.ports import ports_conflict
from springtide.scheduling.nodes.volumes import disks_of, keeps_its_like_out
from springtide.scheduling.relations.acquaintance import Acquaintance
from springtide.scheduling.relations.questions import (
    Namespaces,
    Question,
    affinity_question,
    anti_affinity_question,
    spread_question,
)


@dataclass(frozen=True, slots=True)
class Floor:
    """What the nodes that exist do to a spread over hostnames."""

    least: int | None = None
    """The smallest number of counted pods on an eligible node; None: there is no such node."""
    domains: int = 0
    """Eligible nodes."""


class Surroundings(Protocol):
    """The nodes that exist, as far as rules between pods must know them."""

    @property
    def namespaces(self) -> Namespaces: ...

    def floor(self, constraint: SpreadConstraint, shape: PodShape) -> Floor:
        """Over the nodes that are eligible for pods of the shape; the constraint is one over hostnames."""
        ...

    def has_any(self, question: Question) -> bool:
        """Whether a pod that is meant runs anywhere: then the first-pod exception of affinity does not hold."""
        ...


class EmptyCluster:
    """No node, no pod, no namespace with labels."""

    @property
    def namespaces(self) -> Namespaces:
        return {}

    def floor(self, constraint: SpreadConstraint, shape: PodShape) -> Floor:
        return Floor()

    def has_any(self, question: Question) -> bool:
        return False


NOBODY: Final = EmptyCluster()


@dataclass(frozen=True, slots=True)
class SpreadRule:
    """On no node more of the counted pods than on the emptiest one plus the skew."""

    constraint: SpreadConstraint
    row: int
    """Where the counted pods are marked."""
    own_row: int
    """Where those of them are marked that have the spread themselves, and so can be bound before the others; the same
    row for pods that must come after others, which they want near."""
    max_skew: int
    counts_itself: bool
    floor: Floor
    min_domains: int

    def level(self, least: int, *, new_nodes: int) -> int:
        """How many counted pods a node may have, this pod included, when each new node ends with `least` or more."""
        if self.floor.domains + new_nodes < self.min_domains:
            least = 0
        elif self.floor.least is not None:
            least = min(least, self.floor.least)
        return least + self.max_skew + (0 if self.counts_itself else 1)

    def beside(self, shape: PodShape, bought: Sequence[NewNodes]) -> SpreadRule:
        """The rule on further nodes, beside these."""
        seen = [nodes for nodes in bought if nodes.looked_at(shape, self.constraint)]
        if not seen:
            return self
        row = self.own_row if self.counts_itself else self.row
        least = min(nodes.least.get(row, 0) for nodes in seen)
        if self.floor.least is not None:
            least = min(least, self.floor.least)
        return replace(self, floor=Floor(least, self.floor.domains + sum(nodes.count for nodes in seen)))

    def holds(self, shape: PodShape, bought: Sequence[NewNodes]) -> bool:
        """Whether it can come about on these nodes, with the spreading pods first or with all counted ones."""
        seen = [nodes for nodes in bought if nodes.looked_at(shape, self.constraint)]
        total = sum(nodes.count for nodes in seen)
        return not seen or any(
            max(nodes.most.get(row, 0) for nodes in seen)
            <= self.level(min(nodes.least.get(row, 0) for nodes in seen), new_nodes=total)
            for row in (self.own_row, self.row)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pod of one shape does to its node, and what it asks of it."""

    marks: tuple[int, ...] = ()
    """Rows that count the pod."""
    clear: tuple[int, ...] = ()
    """Rows that must be empty."""
    single: bool = False
    """Pods of the shape itself do not share a node."""
    near: int | None = None
    """A row that must not be empty: required affinity."""
    gathers: bool = False
    """While that row is empty on all nodes, the first pod may go anywhere; all others follow it."""
    spreads: tuple[SpreadRule, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it asks anything at all; a rule that only marks does not restrict the pod itself."""
        return bool(self.clear or self.single or self.spreads) or self.near is not None

    @property
    def asked_rows(self) -> frozenset[int]:
        """The rows that it looks at."""
        rows = {*self.clear, *(row for spread in self.spreads for row in (spread.row, spread.own_row))}
        return frozenset(rows if self.near is None else rows | {self.near})

    @property
    def is_dealt(self) -> bool:
        """Whether its pods must be dealt out evenly."""
        return any(spread.counts_itself for spread in self.spreads)


PLAIN: Final = Rule()


@dataclass(frozen=True, slots=True)
class NewNodes:
    """Nodes that were bought a step before: they bind the pods of the next."""

    count: int
    least: Mapping[int, int]
    """Row -> marks on the node that has the fewest; none where the row is missing."""
    most: Mapping[int, int]
    """Row -> marks on the node that has the most."""
    looked_at: Callable[[PodShape, SpreadConstraint], bool]
    """Whether they are eligible for a spread of the shape."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of some shapes among each other."""

    rows: int
    _rules: dict[PodShape, Rule] = field(default_factory=dict)

    @classmethod
    def of(cls, shapes: Iterable[PodShape], surroundings: Surroundings = NOBODY) -> Rulebook:
        """The rules of these shapes: all that are to be packed, and those of daemon pods."""
        return _Compiler(list(dict.fromkeys(shapes)), surroundings).book()

    def rule(self, shape: PodShape) -> Rule:
        """PLAIN for shapes that neither ask nor are asked for anything."""
        return self._rules.get(shape, PLAIN)

    def new_nodes(
        self,
        bins: Iterable[tuple[int, Iterable[tuple[PodShape, int]]]],
        looked_at: Callable[[PodShape, SpreadConstraint], bool],
    ) -> NewNodes:
        """Nodes by bin: how many, and how many pods of which shapes on each."""
        marked: defaultdict[int, list[int]] = defaultdict(list)
        nodes = kinds = 0
        for count, pods in bins:
            marks: Counter[int] = Counter()
            for shape, number in pods:
                for row in self.rule(shape).marks:
                    marks[row] += number
            for row, number in marks.items():
                marked[row].append(number)
            nodes, kinds = nodes + count, kinds + 1
        return NewNodes(
            count=nodes,
            least={row: min(numbers) for row, numbers in marked.items() if len(numbers) == kinds},
            most={row: max(numbers) for row, numbers in marked.items()},
            looked_at=looked_at,
        )

    @property
    def asks_elsewhere(self) -> bool:
        """Whether some rule depends on what is on other nodes."""
        return any(rule.spreads or rule.gathers for rule in self._rules.values())

    def after(self, bought: Sequence[NewNodes]) -> Rulebook:
        """The rules for pods that are packed on further nodes, beside these."""
        return Rulebook(
            rows=self.rows,
            _rules={
                shape: replace(
                    rule,
                    gathers=rule.gathers and not any(rule.near in nodes.most for nodes in bought),
                    spreads=tuple(spread.beside(shape, bought) for spread in rule.spreads),
                )
                if rule.spreads or rule.gathers
                else rule
                for shape, rule in self._rules.items()
            },
        )

    def uneven(self, bought: Sequence[NewNodes]) -> frozenset[SpreadConstraint]:
        """The spreads that do not hold when all these nodes are up: those bought first knew nothing of the last."""
        checked = {
            (spread, shape)
            for shape, rule in self._rules.items()
            for spread in rule.spreads
            if spread.counts_itself and any(spread.row in nodes.most for nodes in bought)
        }
        return frozenset(spread.constraint for spread, shape in checked if not spread.holds(shape, bought))

    def careful(self, constraints: Set[SpreadConstraint]) -> Rulebook:
        """Rules that let no node have more of these spreads' pods than if another one had none."""
        return Rulebook(
            rows=self.rows,
            _rules={
                shape: replace(
                    rule,
                    spreads=tuple(
                        replace(each, floor=replace(each.floor, least=0))
                        if each.constraint in constraints
                        else each
                        for each in rule.spreads
                    ),
                )
                for shape, rule in self._rules.items()
            },
        )

    def marks_of(self, shapes: Sequence[PodShape]) -> IntArray:
        """(rows,) The marks on a node that has one pod of each of these."""
        marks = np.zeros(self.rows, dtype=np.int64)
        for shape in shapes:
            marks[list(self.rule(shape).marks)] += 1
        return marks


EMPTY_BOOK: Final = Rulebook(rows=0)


class _Compiler:
    """Turns constraints into rows."""

    def __init__(self, shapes: list[PodShape], surroundings: Surroundings) -> None:
        self._shapes = shapes
        self._around = surroundings
        self._rows: dict[object, int] = {}
        self._repelling: dict[int, int] = {}
        """Question's number -> row of the pods whose anti-affinity asks it."""
        self._ports: dict[HostPort, int] = {}
        self._disks: dict[Disk, int] = {}

    def book(self) -> Rulebook:
        asking = [shape for shape in self._shapes if _asks(shape)]
        if not asking:
            return EMPTY_BOOK
        self._knows = Acquaintance(
            (question for shape in asking for question in self._questions(shape)), self._around.namespaces
        )
        for shape in asking:
            for port in shape.host_ports:
                self._ports.setdefault(port, self._row(("port", port)))
            for disk in disks_of(shape):
                self._disks.setdefault(disk, self._row(("disk", disk)))
            for question in self._anti(shape):
                number = self._knows.number(question)
                self._repelling[number] = self._row(("repelling", number))
        rules = {shape: self._rule(shape) for shape in self._shapes}
        return Rulebook(
            rows=len(self._rows), _rules={shape: rule for shape, rule in rules.items() if rule is not PLAIN}
        )

    def _row(self, key: object) -> int:
        return self._rows.setdefault(key, len(self._rows))

    def _selected(self, number: int) -> int:
        """Row of the pods that a question means."""
        return self._row(("selected", number))

    def _spreading(self, number: int) -> int:
        """Row of the pods that spread over what a question means, and are meant themselves."""
        return self._row(("spreading", number))

    def _rule(self, shape: PodShape) -> Rule:
        meant = self._knows.meaning(shape)
        if not meant and not _asks(shape):
            return PLAIN
        anti = [self._knows.number(question) for question in self._anti(shape)]
        near = next((self._knows.number(question) for question in self._near(shape)), None)
        ports, disks = [self._ports[port] for port in shape.host_ports], disks_of(shape)
        spreads = tuple(self._spread_rules(shape, meant, has_near=near is not None))
        return Rule(
            marks=tuple(
                {
                    *map(self._selected, meant),
                    *(self._repelling[number] for number in anti),
                    *(spread.own_row for spread in spreads if spread.counts_itself),
                    *ports,
                    *(self._disks[disk] for disk in disks),
                }
            ),
            clear=tuple(
                {
                    *(self._repelling[number] for number in meant if number in self._repelling),
                    *map(self._selected, anti),
                    *self._clashing(shape),
                }
            ),
            single=bool(ports) or keeps_its_like_out(disks) or not meant.isdisjoint(anti),
            near=None if near is None else self._selected(near),
            gathers=near is not None
            and near in meant
            and not self._around.has_any(self._knows.questions[near]),
            spreads=spreads,
        )

    def _spread_rules(
        self, shape: PodShape, meant: frozenset[int], *, has_near: bool
    ) -> Iterator[SpreadRule]:
        for question, constraint in self._spreads(shape):
            number = self._knows.number(question)
            yield SpreadRule(
                constraint=constraint,
                row=self._selected(number),
                own_row=self._selected(number) if has_near else self._spreading(number),
                max_skew=constraint.max_skew,
                counts_itself=number in meant,
                floor=self._around.floor(constraint, shape),
                min_domains=constraint.min_domains,
            )

    def _questions(self, shape: PodShape) -> Iterator[Question]:
        yield from self._anti(shape)
        yield from self._near(shape)
        yield from (question for question, _ in self._spreads(shape))

    def _clashing(self, shape: PodShape) -> set[int]:
        return {
            row
            for mine in shape.host_ports
            for theirs, row in self._ports.items()
            if ports_conflict(mine, theirs)
        } | {row for disk in disks_of(shape) for other, row in self._disks.items() if disk.conflicts(other)}

    @staticmethod
    def _anti(shape: PodShape) -> list[Question]:
        terms = (term for term in shape.pod_anti_affinity if term.topology_key == HOSTNAME_LABEL)
        return [anti_affinity_question(term) for term in terms]

    @staticmethod
    def _near(shape: PodShape) -> tuple[Question, ...]:
        """At most one: a pod counts for affinity only if it satisfies all the terms."""
        near = affinity_question(shape)
        on_nodes = any(term.topology_key == HOSTNAME_LABEL for term in shape.pod_affinity)
        return (near,) if near is not None and on_nodes else ()

    @staticmethod
    def _spreads(shape: PodShape) -> list[tuple[Question, SpreadConstraint]]:
        """Those that count any pod at all: the others never reject."""
        found = (
            (spread_question(constraint, shape.namespace), constraint)
            for constraint in shape.spread
            if constraint.topology_key == HOSTNAME_LABEL
        )
        return [(question, constraint) for question, constraint in found if question.conditions[0].selector]


def _asks(shape: PodShape) -> bool:
    terms = (*shape.pod_affinity, *shape.pod_anti_affinity)
    return (
        bool(shape.host_ports or disks_of(shape))
        or any(term.topology_key == HOSTNAME_LABEL for term in terms)
        or any(constraint.topology_key == HOSTNAME_LABEL for constraint in shape.spread)
    )
