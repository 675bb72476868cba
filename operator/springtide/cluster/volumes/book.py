"""Pods with what their volumes need, kept up to date: only pods whose volumes have changed are looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from springtide.cluster.codec import Key
from springtide.cluster.records import PodRecord
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.volumes.objects import VolumeObjects, is_free
from springtide.cluster.volumes.records import Claim, PersistentVolume, StorageCapacity, StorageClass
from springtide.cluster.volumes.resolution import Resolver

_NO_CLASSES: frozenset[str] = frozenset()


class VolumeBook:
    """Follows pods and storage objects. Pods that mount nothing are none of its business."""

    def __init__(
        self, objects: VolumeObjects, shapes: ShapeTable, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`changed` is called when a storage object that some pod may mount has changed."""
        self.objects = objects
        self._shapes = shapes
        self._changed = changed
        self._pods: dict[str, PodRecord] = {}
        self._users: dict[Key, str | set[str]] = {}
        self._classes: dict[str, frozenset[str]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._dirty: set[str] = set()
        self._resolver = Resolver(objects, shared=lambda key: isinstance(self._users.get(key), set))
        objects.claims.subscribe(self._on_claim)
        objects.volumes.subscribe(self._on_volume)
        objects.classes.subscribe(self._on_class)
        objects.capacities.subscribe(self._on_class)
        objects.drivers.subscribe(self._on_driver)

    def pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Take note of one change of a pod, whatever it mounts."""
        if old is not None and _identity(old) in self._pods:
            self._forget(old, but=new if new is not None and _identity(new) == _identity(old) else None)
        if new is not None and _uses_volumes(new):
            identity = _identity(new)
            self._pods[identity] = new
            for key in _claim_keys(new):
                self._join(key, identity)
            self._dirty.add(identity)

    def settle(self) -> list[PodRecord]:
        """The pods whose needs may have changed since it was last called, with shapes that say what they need."""
        dirty, self._dirty = self._dirty, set()
        settled = []
        for identity in sorted(dirty):
            pod = self._pods.get(identity)
            if pod is not None:
                needs = self._resolver.needs(pod)
                self._wait_for(identity, self._resolver.classes(pod))
                shape = pod.shape if needs is None else self._shapes.with_volumes(pod.shape, needs)
                settled.append(pod if shape is pod.shape else replace(pod, shape=shape))
        return settled

    def _forget(self, pod: PodRecord, *, but: PodRecord | None) -> None:
        kept = set(_claim_keys(but)) if but is not None and _uses_volumes(but) else set()
        if but is None or not _uses_volumes(but):
            del self._pods[_identity(pod)]
            self._wait_for(_identity(pod), _NO_CLASSES)
        for key in set(_claim_keys(pod)) - kept:
            self._leave(key, _identity(pod))

    def _join(self, claim: Key, pod: str) -> None:
        """A set only where several pods use a claim: most have one user, and there are many."""
        users = self._users.get(claim)
        if isinstance(users, set):
            users.add(pod)
        elif users is None:
            self._users[claim] = pod
        elif users != pod:
            self._users[claim] = {users, pod}
            self._dirty.add(users)

    def _leave(self, claim: Key, pod: str) -> None:
        users = self._users.get(claim)
        if not isinstance(users, set):
            self._users.pop(claim, None)
            return
        users.discard(pod)
        if len(users) == 1:
            self._users[claim] = last = users.pop()
            self._dirty.add(last)

    def _wait_for(self, pod: str, classes: frozenset[str]) -> None:
        before = self._classes.get(pod, _NO_CLASSES)
        if before == classes:
            return
        for name in before - classes:
            self._waiting[name].discard(pod)
        for name in classes - before:
            self._waiting.setdefault(name, set()).add(pod)
        if classes:
            self._classes[pod] = classes
        else:
            del self._classes[pod]

    # --- storage objects ------------------------------------------------------------------------------------------

    def _on_claim(self, old: Claim | None, new: Claim | None) -> None:
        self._touch_users({(claim.namespace, claim.name) for claim in (old, new) if claim is not None})
        self._changed()

    def _on_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        versions = [volume for volume in (old, new) if volume is not None]
        for volume in versions:
            self._touch_users(self.objects.claims_of(volume))
            if is_free(volume):
                self._touch_class(volume.class_name)
        if old is None or new is None or (old.driver, old.handle) != (new.driver, new.handle):
            self._touch_neighbours(versions, gone=new is None)
        self._changed()

    def _touch_neighbours(self, versions: Sequence[PersistentVolume], *, gone: bool) -> None:
        """Of two volumes that stand for one disk the other's users share it from now on, or have it alone again."""
        for volume in versions:
            names = self.objects.same_disk(volume)
            if len(names) == (1 if gone else 2):
                for other in (self.objects.volume(name) for name in names):
                    if other is not None:
                        self._touch_users(self.objects.claims_of(other))

    def _on_class(self, old: StorageClass | StorageCapacity | None, new: object) -> None:
        for one in (old, new):
            if isinstance(one, StorageClass):
                self._touch_class(one.name)
            elif isinstance(one, StorageCapacity):
                self._touch_class(one.class_name)
        self._changed()

    def _on_driver(self, _old: object, _new: object) -> None:
        for name in tuple(self._waiting):
            self._touch_class(name)
        self._changed()

    def _touch_users(self, claims: Iterable[Key]) -> None:
        for key in claims:
            users = self._users.get(key)
            if isinstance(users, str):
                self._dirty.add(users)
            elif users is not None:
                self._dirty |= users

    def _touch_class(self, name: str) -> None:
        self._resolver.forget(name)
        self._dirty.update(self._waiting.get(name, ()))


def _identity(pod: PodRecord) -> str:
    """Manifests that were never in an API server have no uid."""
    return pod.uid or pod.key


def _uses_volumes(pod: PodRecord) -> bool:
    return bool(pod.mounts.claims or pod.mounts.disks) and not pod.finished


def _claim_keys(pod: PodRecord) -> list[Key]:
    return [(pod.namespace, name) for name in pod.mounts.claims]
