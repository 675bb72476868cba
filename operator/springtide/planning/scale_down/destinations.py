"""Destinations: where the pods of removed nodes go.

A pod that no filter but those of labels, taints and resources looks at goes where there is room
(planning.scale_down.room). For the others the filters are asked, pod by pod, in both views of the removal
(planning.scale_down.views).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from springtide.cluster.records import PodRecord
from springtide.cluster.shape import PodShape
from springtide.planning.scale_down.room import Room, Search, Spot
from springtide.planning.scale_down.views import Departure, Trial, View, Views
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit

FILTERS_EFFORT: Final = 20
"""Asking the filters about a node in both views costs so many times more than comparing what is free."""

Alike = tuple[PodShape, Sequence[PodRecord]]
"""A shape, and pods of it."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A pod that has no place."""

    pod: PodRecord
    misfit: Misfit | None = None
    """Why not, where there is room for it; None: there is none, see `Destinations.last_word`."""
    view: View | None = None
    """At which moment that holds."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """Where the pods went."""

    steps: Sequence[tuple[int, Spot]] = ()
    """(number of the kind, spot) in the order in which they were placed; none if one pod is stuck."""
    stuck: Stuck | None = None


class Destinations:
    """Finds places for the pods of one node after the other."""

    def __init__(
        self,
        simulation: Simulation,
        order: IntArray,
        shapes: Iterable[PodShape],
        *,
        imagined: Iterable[int] = (),
    ) -> None:
        """`order`: indices of the nodes that may take pods, the most welcome first. `shapes`: of all pods that will
        have to move. `imagined`: nodes that have yet to come."""
        self._simulation = simulation
        self._room = Room(simulation, order)
        self._views = Views(simulation, shapes, imagined)
        self._searches: dict[PodShape, Search] = {}
        self._shared: dict[Hashable, Search] = {}
        self._withdrawn: list[int] = []
        self._told: Simulation | None = None
        self._last_words: dict[PodShape, tuple[Sequence[int], Misfit | None]] = {}
        self._effort = 0
        self.entangled = False
        """Whether any move hung on where other pods are: then a part of the removals need not be possible because all
        of them together are."""

    @property
    def examined(self) -> int:
        """Nodes looked at so far: the work done."""
        return self._room.examined + self._effort

    def relocate(self, leaving: int | None, pods: Sequence[Alike]) -> Relocation:
        """Find places for the pods of a node (by index; None: one that takes no pods anyhow) that is gone then.
        Nothing changes unless all have one."""
        room = self._room
        searches = [self._search(shape) for shape, _ in pods]
        position = room.position(leaving)
        places = room.close(position)
        began = len(room.journal)
        attempt = _Attempt(self._room, self._views, leaving, pods, searches)
        stuck = attempt.run()
        self._effort += attempt.asked * room.size * FILTERS_EFFORT
        if stuck is not None:
            room.undo(began)
            if attempt.lacking is not None:
                # If there is no room for one of them even so, nobody needs to try again.
                room.seek(attempt.lacking)
            room.reopen(position, places, searches)
            return Relocation(stuck=stuck)
        attempt.come_true()
        if leaving is not None:
            self._withdrawn.append(leaving)
        self.entangled |= attempt.asked > 0
        return Relocation(steps=attempt.steps)

    def last_word(self, shape: PodShape, node: int | None) -> tuple[bool, Misfit | None]:
        """Why there is no room for a pod of the shape, once all has been tried: (whether another node than `node`
        has room after all; why not, on most of the other nodes; None: on none of them)."""
        known = self._last_words.get(shape)
        if known is None:
            misfit = next(iter(self._outcome().misfits(shape)), None)
            two = np.flatnonzero(self._room.where(self._search(shape)))[:2]
            known = self._last_words[shape] = (self._room.order[two].tolist(), misfit)
        nodes, misfit = known
        return any(index != node for index in nodes), misfit

    def _outcome(self) -> Simulation:
        """All moves in one simulation."""
        if self._told is None:
            self._told = self._simulation.fork()
            for index in self._withdrawn:
                self._told.withdraw(index)
            # By node number, not an array over all nodes for each shape: thousands of those are 100 MiB.
            arrivals: defaultdict[PodShape, Counter[int]] = defaultdict(Counter)
            for search, position, count in self._room.journal:
                arrivals[search.shape][int(self._room.nodes[position])] += count
            for shape, counts in arrivals.items():
                moved = sorted((index, count) for index, count in counts.items() if count)
                indices, added = np.array(moved, dtype=np.int64).reshape(-1, 2).T
                self._told.place_at(shape, indices, added)
        return self._told

    def _search(self, shape: PodShape) -> Search:
        known = self._searches.get(shape)
        if known is None:
            known = self._searches[shape] = self._new_search(shape)
        return known

    def _new_search(self, shape: PodShape) -> Search:
        """Shapes that take the same, are let in at the same nodes, and leave no other trace have one in common."""
        rules = self._views.rules(shape)
        if rules.changing or rules.matters:
            search = self._room.search(shape, rules.admitted)
            search.choosy = bool(rules.changing)
            return search
        where = None if rules.admitted is None else rules.admitted.tobytes()
        alike = (tuple(self._simulation.state.usage.axis.demand(shape)), where)
        known = self._shared.get(alike)
        if known is None:
            known = self._shared[alike] = self._room.search(shape, rules.admitted)
        return known


def constrained(shape: PodShape) -> bool:
    """Whether the filters must be asked about each pod of the shape, whatever else is in the cluster."""
    rules = shape.spread or shape.pod_affinity or shape.pod_anti_affinity
    return bool(rules or shape.host_ports or shape.volumes is not None)


class _Attempt:
    """Tries to place the pods of one node."""

    def __init__(
        self, room: Room, views: Views, leaving: int | None, pods: Sequence[Alike], searches: Sequence[Search]
    ) -> None:
        self._room = room
        self._views = views
        self._leaving = leaving
        self._pods = pods
        self._searches = searches
        self._choosy = [search.choosy for search in searches]
        self._left = [len(members) for _, members in pods]
        self._ends = [search.start for search in searches]
        self._trial: Trial | None = None
        self.steps: list[tuple[int, Spot]] = []
        self.asked = 0
        """How often the filters were asked."""
        self.lacking: Search | None = None
        """Whose pods did not all find room."""

    def run(self) -> Stuck | None:
        """Place all pods; the first that has no place, with what was placed until then left as it is."""
        # Mostly it is known that one has no room at all: then nothing needs to be tried.
        for number, search in enumerate(self._searches):
            if search.start == self._room.size:
                return Stuck(self._pods[number][1][0])
        if any(self._choosy):
            moving = [pod for _, members in self._pods for pod in members]
            self._trial = self._views.trial(self._leaving, moving)
        # The choosy first; and once more when others have come, for these may be those they must be near to.
        self._place_choosy()
        stuck = self._place_others()
        while stuck is None and any(self._left) and self._place_choosy():
            pass
        if stuck is not None:
            return stuck
        first = next((number for number, left in enumerate(self._left) if left), None)
        return None if first is None else self._objection(first)

    def come_true(self) -> None:
        """All have been placed: the node is gone."""
        for search, choosy, end in zip(self._searches, self._choosy, self._ends, strict=True):
            if not choosy:
                search.start = end
        if self._trial is not None:
            self._views.adopt(self._trial)
            return
        self._views.note(Departure(self._leaving, self._pods, self.steps))

    def _place_choosy(self) -> bool:
        """Place, pod by pod, those that the filters must be asked about; whether any found a place."""
        progress = False
        for number, search in enumerate(self._searches):
            while self._choosy[number] and self._left[number]:
                position = self._first_allowed(search)
                if position is None:
                    break
                self._room.take(search, position)
                self._note(number, [(self._room.nodes[position], 1)])
                progress = True
        return progress

    def _place_others(self) -> Stuck | None:
        """Place all the others, for which no other pod matters; the first that has no room."""
        for number, search in enumerate(self._searches):
            if self._choosy[number] or not self._left[number]:
                continue
            spots, self._ends[number] = self._room.fill(search, self._left[number])
            self._note(number, spots)
            if self._left[number]:
                self.lacking = search
                return self._objection(number)
        return None

    def _note(self, number: int, spots: Sequence[Spot]) -> None:
        shape, _ = self._pods[number]
        for spot in spots:
            self.steps.append((number, spot))
            self._left[number] -= spot[1]
            if self._trial is not None:
                self._trial.arrive(shape, *spot)

    def _first_allowed(self, search: Search) -> int | None:
        """The first position where there is room for one pod and the filters let it in."""
        assert self._trial is not None
        self.asked += 1
        fits = self._room.where(search) & self._trial.admits(search.shape)[self._room.order]
        return int(fits.argmax()) if fits.any() else None

    def _objection(self, number: int) -> Stuck:
        shape, members = self._pods[number]
        pod = members[len(members) - self._left[number]]
        if self._trial is None or not self._choosy[number]:
            return Stuck(pod)
        roomy = self._room.order[self._room.where(self._searches[number])]
        objection = self._trial.objection(shape, roomy) if len(roomy) else None
        return Stuck(pod) if objection is None else Stuck(pod, misfit=objection[1], view=objection[0])
