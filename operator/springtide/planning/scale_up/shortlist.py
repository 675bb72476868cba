"""The shortlist: of many candidates, those that are worth packing.

Packing takes time for each shape on each candidate, and most of hundreds of candidates cannot win. So each is estimated
first, all at once: what it would hold and need if pods could be poured. The most promising by the policy's expanders are
then packed, and only what was packed is chosen from. A few candidates, or few shapes, are packed without asking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from springtide.api.settings import Expander
from springtide.cluster.shape import PodShape
from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Candidate, Catalog
from springtide.scheduling.arrays import BoolArray, IntArray

FloatArray = NDArray[np.float64]

MAX_PACKED: Final = 1200
"""Shapes times candidates that are packed in one step, about a tenth of a second."""
LEAST_PACKED: Final = 3
"""So many candidates are packed however many shapes there are: estimates can err."""
MOST_PACKED: Final = 16
"""More candidates are not packed however few shapes there are."""
_HOSTNAME: Final = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What candidates would come to by volume; arrays over the candidates."""

    nodes: FloatArray
    pods: FloatArray
    waste: FloatArray
    dearness: FloatArray
    """Price over worth, as ExpansionOption.dearness; infinite where it is unknown."""
    priority: FloatArray


_RANKS: Final[Mapping[Expander, Callable[[Estimate], FloatArray]]] = {
    Expander.MOST_PODS: lambda estimate: -estimate.pods,
    Expander.LEAST_WASTE: lambda estimate: estimate.waste,
    Expander.LEAST_NODES: lambda estimate: estimate.nodes,
    Expander.PRICE: lambda estimate: estimate.dearness,
    Expander.PRIORITY: lambda estimate: -estimate.priority,
}
"""The lower the better, as in springtide.planning.expanders.expanders; others have no opinion on estimates."""


class Shortlist:
    """Candidates and demands of one run of purchases; what is left and what room there is changes from step to step."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        demands: Sequence[Demand],
        *,
        catalog: Catalog,
        appraisal: Appraisal,
        within: BoolArray | None = None,
    ) -> None:
        """`within`: (demands, candidates) which may have to do with each other at all; None: all."""
        self.candidates = candidates
        self._demands = demands
        self._catalog = catalog
        self._appraisal = appraisal
        keys = [each.keys[0] for each in candidates]
        self._takes: BoolArray = catalog.fits_on(keys, [demand.shape for demand in demands])
        pools = [each.pool for each in candidates]
        for number, demand in enumerate(demands):
            if demand.closed_pools:
                self._takes[number] &= [pool not in demand.closed_pools for pool in pools]
        if within is not None:
            self._takes &= within

    def asking(self, candidate: int, left: IntArray) -> list[int]:
        """Numbers of the demands that have pods left which the candidate would take."""
        numbers: list[int] = np.flatnonzero(self._takes[:, candidate] & (left > 0)).tolist()
        return numbers

    def promising(self, left: IntArray, rooms: Callable[[Candidate], int]) -> tuple[list[int], int]:
        """(numbers of the candidates that may hold something, the best first; how many offers among them will do).

        `left`: pods of each demand; `rooms`: nodes a candidate may get.
        """
        asked = self._takes[left > 0].any(axis=0) if len(left) else np.zeros(len(self.candidates), np.bool_)
        numbers: IntArray = np.flatnonzero(asked)
        enough = min(max(LEAST_PACKED, MAX_PACKED // max(1, int((left > 0).sum()))), MOST_PACKED)
        if len(numbers) > enough:
            room = np.array([rooms(self.candidates[number]) for number in numbers.tolist()])
            numbers = self._best_first(numbers[room > 0], left, room[room > 0])
        return numbers.tolist(), enough

    # --- estimates --------------------------------------------------------------------------------------------

    def _best_first(self, numbers: IntArray, left: IntArray, room: IntArray) -> IntArray:
        estimate = self._estimate(numbers, left, room)
        ranks = [_RANKS[each](estimate) for each in self._chain if each in _RANKS]
        ordered: IntArray = numbers[np.lexsort([estimate.nodes, *reversed(ranks)])]
        return ordered

    def _estimate(self, numbers: IntArray, left: IntArray, room: IntArray) -> Estimate:
        takes = self._takes[:, numbers]
        asked = takes.T @ (left[:, np.newaxis] * self._requests)
        free = self._free[numbers]
        needed = np.max(np.ceil(asked / np.maximum(free, 1)), axis=1)
        needed = np.maximum(np.maximum(needed, self._crowd(takes, left)), 1)
        nodes = np.minimum(needed, room)
        part = nodes / needed
        idle = 1 - asked[:, :2] * part[:, np.newaxis] / (self._capacity[numbers] * nodes[:, np.newaxis])
        worth = (takes.T @ (left * self._worth)) * part
        return Estimate(
            nodes=nodes,
            pods=(takes.T @ left.astype(np.float64)) * part,
            waste=idle.sum(axis=1),
            dearness=np.divide(
                self._price[numbers] * nodes, worth, out=np.full(len(numbers), np.inf), where=worth > 0
            ),
            priority=self._priority[numbers],
        )

    def _crowd(self, takes: BoolArray, left: IntArray) -> FloatArray:
        """The most pods of which no two may share a node."""
        crowd = np.zeros(takes.shape[1])
        for members in self._loners:
            np.maximum(crowd, takes[members].T @ left[members].astype(np.float64), out=crowd)
        return crowd

    @property
    def _chain(self) -> Sequence[Expander]:
        return self._appraisal.policy.spec.expanders

    @cached_property
    def _names(self) -> list[str]:
        """Resources that are asked for; cpu and memory first."""
        asked = {name for demand in self._demands for name in demand.shape.requests}
        return ["cpu", "memory", "pods", *sorted(asked - {"cpu", "memory", "pods"})]

    @cached_property
    def _requests(self) -> FloatArray:
        """(demands, resources) Of one pod."""
        each = ({**demand.shape.requests, "pods": 1} for demand in self._demands)
        return np.array(
            [[amounts.get(name, 0) for name in self._names] for amounts in each], dtype=np.float64
        )

    @cached_property
    def _free(self) -> FloatArray:
        """(candidates, resources) On a fresh node beside its daemon pods."""
        keys = [candidate.keys[0] for candidate in self.candidates]
        return np.array([self._catalog.free_on(keys, name) for name in self._names], dtype=np.float64).T

    @cached_property
    def _capacity(self) -> FloatArray:
        """(candidates, 2) Of a node, cpu and memory; where it is unknown nothing counts as idle."""
        amounts = [
            [candidate.fresh.capacity.get(name, 0) or np.inf for name in ("cpu", "memory")]
            for candidate in self.candidates
        ]
        return np.array(amounts, dtype=np.float64)

    @cached_property
    def _price(self) -> FloatArray:
        """(candidates,)"""
        prices = (self._appraisal.price_of(each) for each in self.candidates)
        return np.array([np.inf if price is None else price for price in prices])

    @cached_property
    def _worth(self) -> FloatArray:
        """(demands,) Of one pod; nothing is worth anything to policies that do not ask for prices."""
        if Expander.PRICE not in self._chain:
            return np.zeros(len(self._demands))
        return np.array([self._appraisal.worth(demand.shape) or 0.0 for demand in self._demands])

    @cached_property
    def _priority(self) -> FloatArray:
        """(candidates,)"""
        if Expander.PRIORITY not in self._chain:
            return np.zeros(len(self.candidates))
        priorities = (self._appraisal.priority_of(each) for each in self.candidates)
        return np.array([-np.inf if value is None else value for value in priorities], dtype=np.float64)

    @cached_property
    def _loners(self) -> list[IntArray]:
        """Demands whose pods keep off each other's nodes, those of one app together."""
        apps: dict[object, list[int]] = {}
        for number, demand in enumerate(self._demands):
            if _keeps_off_its_own(demand.shape):
                apps.setdefault((demand.shape.namespace, demand.shape.pod_anti_affinity), []).append(number)
        return [np.array(members) for members in apps.values()]


def is_plain(shape: PodShape) -> bool:
    """Whether it is all the same to pods of the shape where other pods are."""
    return not (shape.spread or shape.pod_affinity or shape.pod_anti_affinity)


def _keeps_off_its_own(shape: PodShape) -> bool:
    return any(
        term.topology_key == _HOSTNAME
        and term.selector is not None
        and shape.namespace in term.namespaces
        and term.selector.matches(shape.labels)
        for term in shape.pod_anti_affinity
    )
