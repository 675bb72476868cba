"""The two views of a removal: what the scheduler sees while the removed nodes are still there, and once they are gone.

Between the eviction of its pods and its own end a removed node is tainted and cordoned: it takes no pods, but its
domain still counts in a spread (so a hostname without pods keeps the least at 0), unless the spread honours taints.
DaemonSet pods still stand on it. Afterwards neither counts, and a zone is gone with its last node. Nobody knows at which
of these moments the scheduler comes to a moved pod: so it must fit at both.

Only what counts for questions about other pods is told to the views: pods that no question means, and no filter but
that of resources looks at, leave no trace there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from springtide.api.nodepool import HARD_TAINT
from springtide.cluster.records import PodRecord, Taint, TaintEffect
from springtide.cluster.shape import PodShape
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.filters.base import Filter
from springtide.scheduling.filters.registry import FILTERS
from springtide.scheduling.filters.taint_toleration import first_untolerated
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin

_FIXED: Final = frozenset(
    {
        Plugin.NODE_UNSCHEDULABLE,
        Plugin.NODE_NAME,
        Plugin.TAINT_TOLERATION,
        Plugin.NODE_AFFINITY,
        Plugin.VOLUME_ZONE,
        Plugin.NOT_MODELLED,
    }
)
"""Filters whose verdicts no placed pod changes."""
_LEAVING: Final = (Taint(HARD_TAINT, "", TaintEffect.NO_SCHEDULE),)
_ONE: Final = np.ones(1, dtype=np.int64)


class View(StrEnum):
    """At which moment a pod finds no place; in the words of verdicts."""

    STILL_THERE = "while the removed nodes are still there"
    GONE = "once the removed nodes are gone"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the filters say of one shape."""

    admitted: BoolArray | None
    """(size,) Where what never changes lets it in; None: everywhere."""
    changing: tuple[Filter, ...]
    """Filters other than that of resources whose verdict changes with the pods placed."""
    while_there: PodShape
    """The shape without the spreads in which tainted nodes do not count: these see removed nodes as gone at once."""
    matters: bool
    """Whether its pods change what these filters say of any pod."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A node that is gone, and where its pods went."""

    node: int | None
    """Index; None: it was in no view."""
    pods: Sequence[tuple[PodShape, Sequence[PodRecord]]]
    """Those that moved, by shape."""
    arrivals: Sequence[tuple[int, tuple[int, int]]]
    """(which of these shapes, (index of the node, number))."""


class Views:
    """Both views, and what was not told to them yet."""

    def __init__(
        self, simulation: Simulation, shapes: Iterable[PodShape], imagined: Iterable[int] = ()
    ) -> None:
        """`shapes`: of all pods that will have to move. What they ask about others must be known before any of them
        is said not to matter. `imagined`: indices of nodes that are in neither view, for they have yet to come."""
        self._there = simulation.without(imagined)
        self._book = simulation.state.usage.tallies.book
        known = tuple(shapes)
        for shape in known:
            if shape.spread or shape.pod_affinity or shape.pod_anti_affinity:
                self._book.asked(shape)
        self._shares_volumes = any(shape.volumes and shape.volumes.shared for shape in known)
        # Judged before the views part: what must be counted for the answers is counted once for both.
        self._rules = {shape: self._judge(shape) for shape in known}
        self._gone = self._there.fork()
        self._untold: list[Departure] = []

    def rules(self, shape: PodShape) -> Rules:
        """What the filters say of one of the shapes, in general."""
        return self._rules[shape]

    def note(self, departure: Departure) -> None:
        """This has happened; it is told when somebody asks."""
        self._untold.append(departure)

    def trial(self, node: int | None, pods: Sequence[PodRecord]) -> Trial:
        """Try to do without a node: its pods have left it."""
        for departure in self._untold:
            self._tell(departure)
        self._untold.clear()
        return Trial(self, self._there.fork(), self._gone.fork(), node=node, pods=pods)

    def adopt(self, trial: Trial) -> None:
        """The trial has come true."""
        self._there, self._gone = trial.there, trial.gone

    def matter(self, pods: Sequence[PodRecord]) -> Iterator[PodRecord]:
        """Those of the pods that the filters' verdicts on others may hang on."""
        return (pod for pod in pods if self.rules(pod.shape).matters)

    def _judge(self, shape: PodShape) -> Rules:
        admitted: BoolArray | None = None
        changing: list[Filter] = []
        for each in FILTERS:
            mask = None if self._adds_up(each) else each.mask(shape, self._there.state)
            if mask is None:
                continue
            if each.plugin in _FIXED:
                admitted = mask if admitted is None else admitted & mask
            else:
                changing.append(each)
        return Rules(
            admitted=admitted,
            changing=tuple(changing),
            while_there=_while_there(shape),
            matters=self._matters(shape),
        )

    def _adds_up(self, each: Filter) -> bool:
        """Whether comparing what is free with what a pod takes says the same as this filter."""
        if each.plugin is Plugin.NODE_VOLUME_LIMITS:
            return not self._shares_volumes
        return each.plugin is Plugin.NODE_RESOURCES_FIT

    def _matters(self, shape: PodShape) -> bool:
        self._book.learn(shape)
        counted = self._book.per_pod or self._book.counted_for(shape)
        return bool(shape.host_ports or shape.volumes is not None or counted)

    def _tell(self, departure: Departure) -> None:
        pods = [pod for shape, alike in departure.pods if self.rules(shape).matters for pod in alike]
        _leave(self._there, self._gone, departure.node, pods)
        for number, (index, count) in departure.arrivals:
            shape = departure.pods[number][0]
            if self.rules(shape).matters:
                self._there.place_at(shape, np.array([index]), np.array([count]))
                self._gone.place_at(shape, np.array([index]), np.array([count]))


class Trial:
    """Both views with one node less."""

    def __init__(
        self,
        views: Views,
        there: Simulation,
        gone: Simulation,
        *,
        node: int | None,
        pods: Sequence[PodRecord],
    ) -> None:
        self._views = views
        self.there = there
        self.gone = gone
        _leave(there, gone, node, list(views.matter(pods)))

    def admits(self, shape: PodShape) -> BoolArray:
        """(size,) Where the changing filters let one pod of the shape in, in both views."""
        fits = np.ones(self.there.size, dtype=np.bool_)
        for _, asked, simulation in self._moments(shape):
            for each in self._views.rules(shape).changing:
                mask = each.mask(asked, simulation.state)
                if mask is not None:
                    fits &= mask
        return fits

    def arrive(self, shape: PodShape, index: int, count: int) -> None:
        """Pods of the shape were placed on a node."""
        if self._views.rules(shape).matters:
            for simulation in (self.there, self.gone):
                simulation.place_at(shape, np.array([index]), count * _ONE)

    def objection(self, shape: PodShape, indices: IntArray) -> tuple[View, Misfit] | None:
        """What keeps a pod of the shape off most of these nodes, at the moment that leaves fewest of them."""
        for view, asked, simulation in self._moments(shape):
            found: dict[Misfit, int] = {}
            left = indices
            for each in self._views.rules(shape).changing:
                mask = each.mask(asked, simulation.state)
                if mask is not None and not mask[left].all():
                    found.update(each.explain(asked, simulation.state, left[~mask[left]]))
                    left = left[mask[left]]
            if found and not len(left):
                return view, max(found, key=lambda misfit: found[misfit])
            indices = left
        return None

    def _moments(self, shape: PodShape) -> Iterator[tuple[View, PodShape, Simulation]]:
        yield View.STILL_THERE, self._views.rules(shape).while_there, self.there
        yield View.GONE, shape, self.gone


def _leave(there: Simulation, gone: Simulation, node: int | None, pods: Sequence[PodRecord]) -> None:
    """The pods leave the node, which stays as a ghost in one view and vanishes from the other."""
    if node is None:
        return
    for pod in pods:
        terminating = pod.deletion_timestamp is not None
        there.remove(pod.shape, node, terminating=terminating, own_labels=pod.own_labels)
    there.withdraw(node)
    for pod in pods:
        # Vanishing takes the pods out of every count, but they would keep their volumes.
        if pod.shape.volumes is not None:
            gone.remove(
                pod.shape,
                node,
                terminating=pod.deletion_timestamp is not None,
                own_labels=pod.own_labels,
            )
    gone.vanish(node)


def _while_there(shape: PodShape) -> PodShape:
    if not any(constraint.honors_taints for constraint in shape.spread):
        return shape
    if first_untolerated(_LEAVING, shape.tolerations) is None:
        return shape
    return replace(shape, spread=tuple(each for each in shape.spread if not each.honors_taints))
