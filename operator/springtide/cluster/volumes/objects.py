"""The storage objects of the cluster, and what resolution asks of them: who is bound to what, what is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from springtide.cluster.codec import Key
from springtide.cluster.records import NodeRecord
from springtide.cluster.store import Store
from springtide.cluster.volumes.records import (
    Claim,
    CsiDriver,
    CsiNode,
    PersistentVolume,
    StorageCapacity,
    StorageClass,
)

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Mapping[str, PersistentVolume] = {}


class VolumeObjects:
    """Stores that informers fill, indexed as they are."""

    def __init__(self) -> None:
        self.claims: Store[Claim] = Store()
        self.volumes: Store[PersistentVolume] = Store()
        self.classes: Store[StorageClass] = Store()
        self.drivers: Store[CsiDriver] = Store()
        self.csi_nodes: Store[CsiNode] = Store()
        self.capacities: Store[StorageCapacity] = Store()
        self._free: dict[str, dict[str, PersistentVolume]] = {}
        self._reserved: dict[Key, tuple[str, ...]] = {}
        self._claims_by_volume: dict[str, tuple[Key, ...]] = {}
        self._by_disk: dict[int, tuple[str, ...]] = {}
        self.volumes.subscribe(self._on_volume)
        self.claims.subscribe(self._on_claim)

    def claim(self, namespace: str, name: str) -> Claim | None:
        return self.claims.get((namespace, name))

    def volume(self, name: str) -> PersistentVolume | None:
        return self.volumes.get(("", name))

    def storage_class(self, name: str) -> StorageClass | None:
        return self.classes.get(("", name)) if name else None

    def free_volumes(self, class_name: str) -> Iterable[PersistentVolume]:
        """Available volumes of a class that no claim has reserved."""
        return self._free.get(class_name, _NOTHING).values()

    def reserved_for(self, claim: Claim) -> list[PersistentVolume]:
        """Volumes whose claimRef means this claim, by name."""
        names = self._reserved.get((claim.namespace, claim.name), ())
        volumes = (self.volume(name) for name in sorted(names))
        return [v for v in volumes if v is not None and v.claim is not None and v.claim.means(claim)]

    def claims_of(self, volume: PersistentVolume) -> set[Key]:
        """Claims that are bound to the volume, ask for it, or have it reserved."""
        keys = set(self._claims_by_volume.get(volume.name, ()))
        if volume.claim is not None:
            keys.add((volume.claim.namespace, volume.claim.name))
        return keys

    def same_disk(self, volume: PersistentVolume) -> tuple[str, ...]:
        """Names of the volumes that stand for one disk (same driver and handle), usually this one's alone."""
        return self._by_disk.get(_fingerprint(volume), ())

    def tracks_capacity(self, provisioner: str) -> bool:
        driver = self.drivers.get(("", provisioner))
        return driver is not None and driver.tracks_capacity

    def capacities_of(self, class_name: str) -> Iterable[StorageCapacity]:
        return (capacity for capacity in self.capacities if capacity.class_name == class_name)

    def _on_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        if old is not None:
            if is_free(old):
                self._free[old.class_name].pop(old.name, None)
            if old.claim is not None:
                _leave(self._reserved, (old.claim.namespace, old.claim.name), old.name)
            _leave(self._by_disk, _fingerprint(old), old.name)
        if new is not None:
            if is_free(new):
                self._free.setdefault(new.class_name, {})[new.name] = new
            if new.claim is not None:
                _join(self._reserved, (new.claim.namespace, new.claim.name), new.name)
            if new.driver:
                _join(self._by_disk, _fingerprint(new), new.name)

    def _on_claim(self, old: Claim | None, new: Claim | None) -> None:
        before, after = (claim.volume_name if claim is not None else "" for claim in (old, new))
        known = old or new
        if before == after or known is None:
            return
        key = (known.namespace, known.name)
        if before:
            _leave(self._claims_by_volume, before, key)
        if after:
            _join(self._claims_by_volume, after, key)


def limited(node: NodeRecord, csi_node: CsiNode | None) -> NodeRecord:
    """The node with the limits that its CSINode sets."""
    limits = csi_node.volume_limits if csi_node is not None else {}
    return node if limits == node.volume_limits else replace(node, volume_limits=limits)


def is_free(volume: PersistentVolume) -> bool:
    """Whether any claim may take the volume."""
    return volume.available and volume.claim is None


def _fingerprint(volume: PersistentVolume) -> int:
    """Should two disks ever have the same one, both are taken for shared: slower to place, never wrong."""
    return hash((volume.driver, volume.handle))


def _join(index: dict[K, tuple[V, ...]], key: K, member: V) -> None:
    index[key] = (*index.get(key, ()), member)


def _leave(index: dict[K, tuple[V, ...]], key: K, member: V) -> None:
    left = tuple(other for other in index.get(key, ()) if other != member)
    if left:
        index[key] = left
    else:
        index.pop(key, None)
