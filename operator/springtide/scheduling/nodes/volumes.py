"""Volumes in use: attached by handle, mounted as disks, claimed by one pod alone, promised to a claim. Sparse, because
few pods have volumes that others can see.

How many volumes of a driver a node can still attach is not here but a row of the free resources (see
scheduling.nodes.resources): it adds up like cpu does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from springtide.cluster.shape import PodShape
from springtide.cluster.volumes.mounts import Disk, DiskKind
from springtide.cluster.volumes.needs import Attachment, Terms, UnboundClaim, VolumeNeeds, VolumePool
from springtide.scheduling.arrays import BoolArray, IntArray
from springtide.scheduling.nodes.nodes import NodeTable
from springtide.scheduling.nodes.resources import ResourceAxis
from springtide.scheduling.nodes.terms import matches_terms

_Name = tuple[DiskKind, str]
_NOWHERE: IntArray = np.zeros(0, dtype=np.int64)


class VolumeUse:
    """Which volumes are used where. Its parts are replaced, never changed, so a copy is a copy of small dictionaries."""

    __slots__ = ("_attached", "_claims", "_mounted", "_promised")

    def __init__(self) -> None:
        self._attached: dict[Attachment, IntArray] = {}
        """Indices of nodes, once for every pod that uses the volume there."""
        self._mounted: dict[_Name, Mapping[Disk, IntArray]] = {}
        self._claims: dict[str, int] = {}
        """Pods by the ReadWriteOncePod claim that they use."""
        self._promised: frozenset[str] = frozenset()
        """Names of PersistentVolumes that pods placed here will be bound to."""

    def copy(self) -> VolumeUse:
        twin = VolumeUse()
        twin._attached = dict(self._attached)
        twin._mounted = dict(self._mounted)
        twin._claims = dict(self._claims)
        twin._promised = self._promised
        return twin

    def newly_attached(
        self, needs: VolumeNeeds, indices: IntArray, axis: ResourceAxis
    ) -> list[tuple[int, IntArray]]:
        """(row, nodes) of each shared volume: where pods that come would be the first to use it."""
        nodes = np.unique(indices)
        return [
            (axis.volumes_row(attachment[0]), nodes[~np.isin(nodes, self._users(attachment))])
            for attachment in needs.shared
        ]

    def detached(self, needs: VolumeNeeds, index: int, axis: ResourceAxis) -> list[int]:
        """Rows of the shared volumes that, after pods have left the node, nobody uses there any more."""
        return [
            axis.volumes_row(attachment[0])
            for attachment in needs.shared
            if index not in self._users(attachment)
        ]

    def take(self, needs: VolumeNeeds, indices: IntArray) -> None:
        """One pod with these needs is now on each of the nodes (an index twice = two pods)."""
        for attachment in needs.shared:
            self._attached[attachment] = np.concatenate((self._users(attachment), indices))
        for disk in needs.disks:
            mounted = self._mounted.get((disk.kind, disk.identity), {})
            now = np.concatenate((mounted.get(disk, _NOWHERE), indices))
            self._mounted[disk.kind, disk.identity] = {**mounted, disk: now}
        for claim in needs.exclusive_claims:
            self._claims[claim] = self._claims.get(claim, 0) + len(indices)

    def release(self, needs: VolumeNeeds, index: int, count: int) -> None:
        """`count` pods with these needs have left the node. Volumes promised to them stay promised."""
        for attachment in needs.shared:
            self._attached[attachment] = _without(self._users(attachment), index, count=count)
        for disk in needs.disks:
            mounted = self._mounted.get((disk.kind, disk.identity), {})
            left = _without(mounted.get(disk, _NOWHERE), index, count=count)
            self._mounted[disk.kind, disk.identity] = {**mounted, disk: left}
        for claim in needs.exclusive_claims:
            self._claims[claim] = max(0, self._claims.get(claim, 0) - count)

    def promise(self, needs: VolumeNeeds, nodes: NodeTable, index: int) -> None:
        """Bind the claims of a pod that was placed on the node: the volumes they get are nobody else's any more."""
        self._promised |= set(Matching(needs, nodes, self).chosen_on(index))

    def attached(self, attachment: Attachment, size: int) -> BoolArray:
        """On which of `size` nodes some pod uses the volume."""
        marked = np.zeros(size, dtype=np.bool_)
        marked[self._users(attachment)] = True
        return marked

    def in_conflict(self, disk: Disk, size: int) -> BoolArray:
        """On which of `size` nodes a pod has mounted the disk in a way that keeps this pod out."""
        taken = np.zeros(size, dtype=np.bool_)
        for other, indices in self._mounted.get((disk.kind, disk.identity), {}).items():
            if disk.conflicts(other):
                taken[indices] = True
        return taken

    def claimed(self, claim: str) -> bool:
        """Whether a pod uses the ReadWriteOncePod claim."""
        return self._claims.get(claim, 0) > 0

    def is_promised(self, volume: str) -> bool:
        return volume in self._promised

    def _users(self, attachment: Attachment) -> IntArray:
        return self._attached.get(attachment, _NOWHERE)


class Matching:
    """Which existing volumes the unbound claims of a pod would get, on every node at once.

    As kube-scheduler does it: claim after claim, the smallest first, each takes the smallest volume that is reachable
    from the node and not taken by one before.
    """

    def __init__(self, needs: VolumeNeeds, nodes: NodeTable, use: VolumeUse) -> None:
        self._nodes = nodes
        self._use = use
        self._size = len(nodes)
        self._taken: dict[str, BoolArray] = {}
        self.found: list[BoolArray] = [self._choose(claim) for claim in needs.unbound]
        """Per claim: the nodes on which there is a volume for it."""

    def chosen_on(self, index: int) -> list[str]:
        """Names of the volumes chosen on one node."""
        return [name for name, where in self._taken.items() if where[index]]

    def _choose(self, claim: UnboundClaim) -> BoolArray:
        found = np.zeros(self._size, dtype=np.bool_)
        if claim.pool is None:
            return found
        for candidate in claim.pool.candidates:
            if self._use.is_promised(candidate.name):
                continue
            here = reachable(candidate.node_terms, self._nodes) & ~found
            before = self._taken.get(candidate.name)
            if before is not None:
                here &= ~before
            self._taken[candidate.name] = here if before is None else before | here
            found |= here
        return found


def reachable(terms: Terms | None, nodes: NodeTable) -> BoolArray:
    """(nodes,) Where a volume with this node affinity, or of this topology, can be used; not to be written to."""
    if terms is None:
        return nodes.remembered(("everywhere",), lambda: np.ones(len(nodes), dtype=np.bool_))
    return nodes.remembered(("volume terms", terms), lambda: matches_terms(terms, nodes, named=False))


def disks_of(shape: PodShape) -> tuple[Disk, ...]:
    return () if shape.volumes is None else shape.volumes.disks


def keeps_its_like_out(disks: tuple[Disk, ...]) -> bool:
    """Whether two pods with these disks cannot share a node."""
    return any(one.conflicts(other) for one in disks for other in disks)


def most_pods(shape: PodShape, use: VolumeUse) -> int | None:
    """No more pods of the shape than this find their volumes, on whatever nodes; None: any number may."""
    needs = shape.volumes
    if needs is None or not needs.one_at_a_time:
        return None
    if needs.exclusive_claims:
        return 0 if any(use.claimed(claim) for claim in needs.exclusive_claims) else 1
    return min((_served_by(pool, needs, use) for pool in needs.pools if _only(pool, needs)), default=None)


def most_on(shape: PodShape, nodes: NodeTable, use: VolumeUse, *, asked: int) -> int:
    """How many of the pods that are asked for find their volumes on the first of the nodes, and nodes like it."""
    most = most_pods(shape, use)
    if most is None or shape.volumes is None or not any(True for _ in shape.volumes.pools):
        return asked if most is None else min(asked, most)
    trial = use.copy()
    for served in range(min(asked, most)):
        matching = Matching(shape.volumes, nodes, trial)
        claims = zip(shape.volumes.unbound, matching.found, strict=True)
        if not all(found[0] or claim.provisioning is not None for claim, found in claims):
            return served
        trial.promise(shape.volumes, nodes, 0)
    return min(asked, most)


def _only(pool: VolumePool, needs: VolumeNeeds) -> bool:
    """Whether some claim has no other volumes than the pool's."""
    return any(claim.pool is pool and claim.provisioning is None for claim in needs.unbound)


def _served_by(pool: VolumePool, needs: VolumeNeeds, use: VolumeUse) -> int:
    free = sum(not use.is_promised(candidate.name) for candidate in pool.candidates)
    return free // sum(claim.pool is pool for claim in needs.unbound)


def _without(indices: IntArray, index: int, *, count: int) -> IntArray:
    return np.delete(indices, np.flatnonzero(indices == index)[:count])
