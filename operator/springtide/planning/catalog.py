"""The catalog: what new nodes each group would bring, all tried at once; and which groups are alike for the pods.

A pool's own groups are meant to be balanced (a group for each zone, say): groups whose fresh nodes are the same size
and take the same pending shapes form one candidate, are packed once, and share what is bought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.planning.landscape import GroupKey
from springtide.planning.readiness import GroupState
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.fresh import FreshNode, side_by_side
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit


@dataclass(frozen=True, slots=True)
class Candidate:
    """Groups that get equal nodes."""

    keys: tuple[GroupKey, ...]
    fresh: FreshNode
    """Of the first; the others' differ in nothing that counts."""

    @property
    def pool(self) -> str:
        return self.keys[0][0]

    @property
    def label(self) -> str:
        """The groups' ids, for the expanders and their stories."""
        return "+".join(group for _, group in self.keys)


class Catalog:
    """One fresh node of every group side by side, so that a shape is tried on all of them at once."""

    def __init__(self, fresh: Mapping[GroupKey, FreshNode]) -> None:
        self._fresh = fresh
        self._index = {key: number for number, key in enumerate(fresh)}
        self._simulation = side_by_side({f"{pool}/{group}": node for (pool, group), node in fresh.items()})
        self._fits: dict[PodShape, BoolArray] = {}
        self._rooms: dict[PodShape, IntArray] = {}

    @property
    def side_by_side(self) -> tuple[Simulation, Mapping[GroupKey, int]]:
        """(one fresh node of every group, the index of each group's). Not to be changed."""
        return self._simulation, self._index

    def fits(self, shape: PodShape, key: GroupKey) -> bool:
        """Whether a pod of the shape fits a fresh node of the group. False for a group without template."""
        number = self._index.get(key)
        return number is not None and bool(self._on_all(shape)[number])

    def fits_on(self, keys: Sequence[GroupKey], shape: PodShape) -> BoolArray:
        """(len(keys),) The same for several groups at once, all of which have a template."""
        fits: BoolArray = self._on_all(shape)[[self._index[key] for key in keys]]
        return fits

    def free_on(self, keys: Sequence[GroupKey], resource: str) -> IntArray:
        """(len(keys),) What is free of a resource on a fresh node of each group beside its daemon pods."""
        free: IntArray = self._simulation.free(resource)[[self._index[key] for key in keys]]
        return free

    def misfit(self, shape: PodShape, key: GroupKey) -> Misfit | None:
        """Why not; None: it fits, or nothing is known of the group's nodes."""
        number = self._index.get(key)
        if number is None or self._on_all(shape)[number]:
            return None
        return self._simulation.misfit(shape, number)

    def rooms(self, shape: PodShape, keys: Sequence[GroupKey]) -> IntArray:
        """(len(keys),) How many pods of the shape a fresh node of each group holds; 0 for one without template."""
        known = self._rooms.get(shape)
        if known is None:
            known = self._rooms[shape] = self._simulation.room(shape)
        return np.array(
            [known[self._index[key]] if key in self._index else 0 for key in keys], dtype=np.int64
        )

    def candidates(
        self,
        states: Iterable[GroupState],
        shapes: Sequence[PodShape],
        *,
        apart: Callable[[GroupState], tuple[object, ...]],
    ) -> list[Candidate]:
        """These groups, sorted into sets that are alike; groups that no shape fits are left out.

        `apart`: what else must be equal; groups that differ in it are never in one set.
        """
        table = [self._on_all(shape) for shape in shapes]
        columns = np.array(table, dtype=np.bool_).reshape(len(table), len(self._index))
        alike: dict[tuple[object, ...], list[GroupKey]] = {}
        for state in states:
            number = self._index.get(state.key)
            if number is not None and columns[:, number].any():
                size = node_size(self._fresh[state.key])
                profile = (state.pool.name, columns[:, number].tobytes(), *size, *apart(state))
                alike.setdefault(profile, []).append(state.key)
        return [Candidate(keys=tuple(keys), fresh=self._fresh[keys[0]]) for keys in alike.values()]

    def _on_all(self, shape: PodShape) -> BoolArray:
        known = self._fits.get(shape)
        if known is None:
            known = self._fits[shape] = self._simulation.feasible(shape)
        return known


def node_size(fresh: FreshNode) -> tuple[object, ...]:
    """Nodes equal in this hold the same pods, as far as those fit them at all."""
    return (
        tuple(sorted(fresh.capacity.items())),
        tuple(sorted(fresh.allocatable.items())),
        tuple(sorted(shape.number for shape in fresh.daemon_shapes)),
    )
