"""The catalog: what new nodes each group would bring, all tried at once; and which groups are alike for the pods.

Groups of one family (see springtide.planning.groups.families) that take the same pending shapes form one candidate,
are packed once, and share what is bought.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.scheduling.admission import admitted, admitted_room
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.fresh import FreshNode, side_by_side
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit


@dataclass(frozen=True, slots=True)
class Candidate:
    """Groups that get equal nodes."""

    keys: tuple[GroupKey, ...]
    fresh: FreshNode
    """Of the first; the others' differ in nothing that counts, but that they may lie in other zones."""
    cells: tuple[int, ...] = ()
    """The cell of each key (see springtide.planning.zones.quotas); empty: no pod cares."""

    @property
    def sites(self) -> Mapping[int | None, tuple[GroupKey, ...]]:
        """The groups by their cell; all under None where no pod cares."""
        if not self.cells:
            return {None: self.keys}
        sites: dict[int | None, list[GroupKey]] = {}
        for key, cell in zip(self.keys, self.cells, strict=True):
            sites.setdefault(cell, []).append(key)
        return {cell: tuple(keys) for cell, keys in sites.items()}

    @property
    def pool(self) -> str:
        """The oldest of the pools that its groups are of."""
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
        self._fits: dict[Hashable, BoolArray] = {}
        self._rooms: dict[Hashable, IntArray] = {}

    @property
    def side_by_side(self) -> tuple[Simulation, Mapping[GroupKey, int]]:
        """(one fresh node of every group, the index of each group's). Not to be changed."""
        return self._simulation, self._index

    @property
    def fresh(self) -> Mapping[GroupKey, FreshNode]:
        """A new node of each group that has a template."""
        return self._fresh

    def fits(self, shape: PodShape, key: GroupKey) -> bool:
        """Whether a pod of the shape fits a fresh node of the group, wherever other pods are. False for a group
        without template."""
        number = self._index.get(key)
        return number is not None and bool(self._on_all(shape)[number])

    def fits_on(self, keys: Sequence[GroupKey], shapes: Sequence[PodShape]) -> BoolArray:
        """(len(shapes), len(keys)) The same for many at once; all the groups have a template."""
        table = np.array([self._on_all(shape) for shape in shapes], dtype=np.bool_)
        fits: BoolArray = table.reshape(len(shapes), len(self._index))[:, self.numbers(keys)]
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
        known = self._room_on_all(shape)
        return np.array(
            [known[self._index[key]] if key in self._index else 0 for key in keys], dtype=np.int64
        )

    def numbers(self, keys: Sequence[GroupKey]) -> IntArray:
        """(len(keys),) Handles of groups with template, for `rooms_at`: cheaper where many shapes are asked about."""
        return np.array([self._index[key] for key in keys], dtype=np.int64)

    def rooms_at(self, shape: PodShape, numbers: IntArray) -> IntArray:
        """(len(numbers),) As `rooms`."""
        rooms: IntArray = self._room_on_all(shape)[numbers]
        return rooms

    def candidates(
        self,
        states: Iterable[GroupState],
        shapes: Sequence[PodShape],
        *,
        apart: Callable[[GroupState], tuple[object, ...]],
        cells: Mapping[GroupKey, int] | None = None,
    ) -> list[Candidate]:
        """These groups, sorted into sets that are alike; groups that no shape fits are left out.

        `apart`: what else must be equal, their family among it; groups that differ in it are never in one set.
        `cells`: the cell of each group, where some pods are bound to cells.
        """
        table = [self._on_all(shape) for shape in shapes]
        columns = np.array(table, dtype=np.bool_).reshape(len(table), len(self._index))
        alike: dict[tuple[object, ...], list[GroupKey]] = {}
        for state in states:
            number = self._index.get(state.key)
            if number is not None and columns[:, number].any():
                alike.setdefault((columns[:, number].tobytes(), *apart(state)), []).append(state.key)
        return [
            Candidate(
                keys=tuple(keys),
                fresh=self._smallest(keys),
                cells=tuple(cells[key] for key in keys) if cells else (),
            )
            for keys in alike.values()
        ]

    def _smallest(self, keys: Sequence[GroupKey]) -> FreshNode:
        """A node that holds no more than one of any of these groups: similar ones differ by a few percent."""
        first = self._fresh[keys[0]]
        if len({self._fresh[key].size for key in keys}) == 1:
            return first
        allocatable: dict[str, int] = {}
        for resource in first.allocatable:
            free = self.free_on(keys, resource)
            # The first one's own daemon pods are on it; the difference is that of what they leave.
            allocatable[resource] = first.allocatable[resource] - int(free[0] - free.min())
        return replace(first, allocatable=allocatable)

    def fits_at(self, shape: PodShape, numbers: IntArray) -> BoolArray:
        """(len(numbers),) As `fits`, for handles of groups."""
        fits: BoolArray = self._on_all(shape)[numbers]
        return fits

    def _room_on_all(self, shape: PodShape) -> IntArray:
        known = self._rooms.get(shape.nature)
        if known is None:
            known = self._rooms[shape.nature] = admitted_room(shape, self._simulation.state)
        return known

    def _on_all(self, shape: PodShape) -> BoolArray:
        known = self._fits.get(shape.nature)
        if known is None:
            known = self._fits[shape.nature] = admitted(shape, self._simulation.state)
        return known
