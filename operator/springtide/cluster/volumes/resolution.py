"""From names to needs: what the volumes that a pod mounts ask of a node, given the storage objects there are.

Follows kube-scheduler 1.36 (plugins volumerestrictions, nodevolumelimits, volumebinding, volumezone). Known to differ,
where nothing can hang on it: of several free volumes of equal size the scheduler takes any, here it is the first by name;
VolumeAttachments that outlive their pod by seconds do not count; a node affinity of an in-tree volume is taken as it
is written, not as the CSI driver that has taken it over would write it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakValueDictionary

from springtide.cluster.codec import Key
from springtide.cluster.records import PodRecord
from springtide.cluster.selector import LabelSelector
from springtide.cluster.shape import NodeRequirement, NodeSelectorOperator, NodeSelectorTerm
from springtide.cluster.volumes.mounts import MIGRATED, PROVISIONERS
from springtide.cluster.volumes.needs import (
    Attachment,
    Candidate,
    Provisioning,
    Rejection,
    Terms,
    UnboundClaim,
    VolumeNeeds,
    VolumePlugin,
    VolumePool,
    ZoneRequirement,
)
from springtide.cluster.volumes.objects import VolumeObjects
from springtide.cluster.volumes.records import Claim, PersistentVolume, StorageClass
from springtide.cluster.zone_labels import ZONE_AND_REGION_LABELS

_SEVERAL = "__"
"""Between the zones of a volume that can be mounted in several."""
_NO_PROVISIONER = ("", "kubernetes.io/no-provisioner")
_NOTHING = VolumeNeeds()

Shared = Callable[[Key], bool]
"""Whether more than one pod mounts the claim."""


class Resolver:
    """Resolves pods one by one; the volumes to choose from are looked for once for all claims that ask for the same."""

    def __init__(self, objects: VolumeObjects, *, shared: Shared) -> None:
        self._objects = objects
        self._shared = shared
        self._pools: dict[str, dict[tuple[object, ...], VolumePool | None]] = {}
        self._alive: WeakValueDictionary[tuple[Candidate, ...], VolumePool] = WeakValueDictionary()

    def forget(self, class_name: str) -> None:
        """Free volumes of a class have come or gone. Pools that come out as they were stay the same objects."""
        self._pools.pop(class_name, None)

    def needs(self, pod: PodRecord) -> VolumeNeeds | None:
        """None: its volumes ask nothing of a node."""
        claims = [self._objects.claim(pod.namespace, name) for name in pod.mounts.claims]
        there = [claim for claim in claims if claim is not None]
        attaches, shared = self._attachments(pod, there)
        needs = VolumeNeeds(
            rejection=self._rejection(pod, claims),
            bound=self._bound(there),
            unbound=tuple(self._unbound(claim) for claim in _smallest_first(there) if not claim.volume_name),
            zones=self._zones(pod, there),
            attaches=attaches,
            shared=shared,
            exclusive_claims=self._exclusive(pod, there),
            disks=pod.mounts.disks,
        )
        return None if needs == _NOTHING else needs

    def classes(self, pod: PodRecord) -> frozenset[str]:
        """Names of storage classes on which the pod's needs hang: those of claims without a volume."""
        names = set()
        for name in pod.mounts.claims:
            claim = self._objects.claim(pod.namespace, name)
            if claim is not None and not (claim.volume_name and self._objects.volume(claim.volume_name)):
                names.add(claim.class_name)
        return frozenset(names)

    # --- whole pods -----------------------------------------------------------------------------------------------

    def _rejection(self, pod: PodRecord, claims: list[Claim | None]) -> Rejection | None:
        """The first plugin that rejects the pod as a whole, in the scheduler's order."""
        ephemeral = dict(pod.mounts.ephemeral)
        for name, claim in zip(pod.mounts.claims, claims, strict=True):
            if claim is None and name not in ephemeral:
                return Rejection(VolumePlugin.VOLUME_RESTRICTIONS, f"claim {name} does not exist")
        for name, claim in zip(pod.mounts.claims, claims, strict=True):
            trouble = _trouble(name, claim, pod=pod, volume=ephemeral.get(name))
            if trouble:
                return Rejection(VolumePlugin.VOLUME_BINDING, trouble)
        there = [claim for claim in claims if claim is not None]
        for claim in there:
            if not claim.bound and (claim.volume_name or not self._waits(claim)):
                return Rejection(VolumePlugin.VOLUME_BINDING, _unbound_text(claim))
        return self._without_volume(there, ephemeral)

    def _without_volume(self, claims: list[Claim], ephemeral: dict[str, str]) -> Rejection | None:
        lost = [c for c in claims if c.volume_name and self._objects.volume(c.volume_name) is None]
        if not lost:
            return None
        text = "volume {0.volume_name} of claim {0.name} does not exist"
        for claim in lost:
            # VolumeZone does not look at ephemeral volumes; VolumeBinding misses the volume node by node.
            if claim.name not in ephemeral:
                return Rejection(VolumePlugin.VOLUME_ZONE, text.format(claim))
        return Rejection(VolumePlugin.VOLUME_BINDING, text.format(lost[0]), before_filters=False)

    def _waits(self, claim: Claim) -> bool:
        storage_class = self._objects.storage_class(claim.class_name)
        return storage_class is not None and storage_class.waits_for_consumer

    # --- bound claims ---------------------------------------------------------------------------------------------

    def _volumes(self, claims: Iterable[Claim]) -> Iterator[PersistentVolume]:
        for claim in claims:
            volume = self._objects.volume(claim.volume_name) if claim.volume_name else None
            if volume is not None:
                yield volume

    def _bound(self, claims: list[Claim]) -> tuple[Terms, ...]:
        volumes = self._volumes(claim for claim in claims if claim.bound)
        # In the order of mention, each once: equal sets in another order are rare, and only cost a shape.
        return tuple(dict.fromkeys(v.node_terms for v in volumes if v.node_terms is not None))

    def _zones(self, pod: PodRecord, claims: list[Claim]) -> tuple[ZoneRequirement, ...]:
        ephemeral = dict(pod.mounts.ephemeral)
        volumes = self._volumes(claim for claim in claims if claim.name not in ephemeral)
        return tuple(dict.fromkeys(zone for volume in volumes for zone in _zones_of(volume)))

    def _exclusive(self, pod: PodRecord, claims: list[Claim]) -> tuple[str, ...]:
        ephemeral = dict(pod.mounts.ephemeral)
        keys = {(c.namespace, c.name) for c in claims if c.exclusive and c.name not in ephemeral}
        return tuple(sorted(f"{key[0]}/{key[1]}" for key in keys if self._shared(key)))

    # --- attachments ----------------------------------------------------------------------------------------------

    def _attachments(
        self, pod: PodRecord, claims: list[Claim]
    ) -> tuple[tuple[tuple[str, int], ...], tuple[Attachment, ...]]:
        own: set[Attachment] = set()
        shared: set[Attachment] = set()
        for claim in claims:
            volume = self._objects.volume(claim.volume_name) if claim.volume_name else None
            attachment = self._attachment(claim, volume)
            if attachment is None:
                continue
            others = self._shared((claim.namespace, claim.name))
            if others or (volume is not None and len(self._objects.same_disk(volume)) > 1):
                shared.add(attachment)
            else:
                own.add(attachment)
        shared |= {(MIGRATED[disk.kind], disk.handle) for disk in pod.mounts.disks if disk.kind in MIGRATED}
        counts = Counter(driver for driver, _ in own - shared)
        return tuple(sorted(counts.items())), tuple(sorted(shared))

    def _attachment(self, claim: Claim, volume: PersistentVolume | None) -> Attachment | None:
        if volume is not None:
            return (volume.driver, volume.handle) if volume.driver and volume.handle else None
        storage_class = self._objects.storage_class(claim.class_name)
        if storage_class is None:
            return None
        kind = PROVISIONERS.get(storage_class.provisioner)
        driver = storage_class.provisioner if kind is None else MIGRATED[kind]
        # No volume yet, so the claim stands for it; no handle starts with a slash.
        return (driver, f"/{claim.namespace}/{claim.name}") if driver else None

    # --- unbound claims -------------------------------------------------------------------------------------------

    def _unbound(self, claim: Claim) -> UnboundClaim:
        storage_class = self._objects.storage_class(claim.class_name)
        return UnboundClaim(
            class_name=claim.class_name,
            selected_node=claim.selected_node,
            pool=self._pool(claim) if claim.selected_node is None else None,
            provisioning=self._provisioning(claim, storage_class) if storage_class is not None else None,
        )

    def _pool(self, claim: Claim) -> VolumePool | None:
        reserved = [volume for volume in self._objects.reserved_for(claim) if _could_hold(volume, claim)]
        if reserved:
            return self._pooled((_candidate(reserved[0]),))
        pools = self._pools.setdefault(claim.class_name, {})
        question = (
            claim.size_bytes,
            claim.volume_mode,
            claim.attributes_class,
            claim.access_modes,
            claim.selector,
        )
        if question not in pools:
            volumes = [v for v in self._objects.free_volumes(claim.class_name) if _would_do(v, claim)]
            volumes.sort(key=lambda volume: (volume.size_bytes, volume.name))
            pools[question] = self._pooled(tuple(_candidate(volume) for volume in volumes))
        return pools[question]

    def _pooled(self, candidates: tuple[Candidate, ...]) -> VolumePool | None:
        if not candidates:
            return None
        pool = self._alive.get(candidates)
        if pool is None:
            pool = self._alive[candidates] = VolumePool(candidates)
        return pool

    def _provisioning(self, claim: Claim, storage_class: StorageClass) -> Provisioning | None:
        if storage_class.provisioner in _NO_PROVISIONER:
            return None
        size = claim.size_bytes
        tracked = size is not None and self._objects.tracks_capacity(storage_class.provisioner)
        return Provisioning(
            class_name=storage_class.name,
            allowed=storage_class.allowed_topologies or None,
            size_bytes=size if size is not None and tracked else 0,
            roomy=self._roomy(storage_class.name, size) if size is not None and tracked else None,
        )

    def _roomy(self, class_name: str, size_bytes: int) -> Terms | None:
        topologies = [
            capacity.topology
            for capacity in self._objects.capacities_of(class_name)
            if capacity.topology is not None
            and capacity.largest_bytes is not None
            and capacity.largest_bytes >= size_bytes
        ]
        if any(not topology.requirements for topology in topologies):
            return None  # reachable from every node
        return tuple(sorted({_as_term(topology) for topology in topologies}, key=repr))


def _trouble(name: str, claim: Claim | None, *, pod: PodRecord, volume: str | None) -> str:
    """What is wrong with a claim, before anybody asks about nodes; empty: nothing."""
    if claim is None:
        # Not by the claim's name, which is the pod's own: a burst of such pods would be a shape each.
        return f"the claim of ephemeral volume {volume} is still to be made"
    if claim.lost:
        return f"claim {name} has lost its volume {claim.volume_name}"
    if claim.deleting:
        return f"claim {name} is being deleted"
    if volume is not None and claim.owner_uid != pod.uid:
        return f"claim {name} belongs to another pod"
    return ""


def _unbound_text(claim: Claim) -> str:
    if claim.volume_name:
        return f"claim {claim.name} is not bound to volume {claim.volume_name} yet"
    if not claim.class_name:
        return "a claim without storage class is not bound yet"
    return f"a claim of storage class {claim.class_name} is not bound yet"


def _smallest_first(claims: list[Claim]) -> list[Claim]:
    """Claims for which provisioning has begun come before those that still choose, each in the scheduler's order."""
    return sorted(claims, key=lambda claim: (claim.selected_node is None, claim.size_bytes or 0))


def _zones_of(volume: PersistentVolume) -> Iterator[ZoneRequirement]:
    for key in ZONE_AND_REGION_LABELS:
        if key in volume.labels:
            values = {value.strip() for value in volume.labels[key].split(_SEVERAL)}
            if "" not in values:  # a label that makes no sense is passed over
                yield ZoneRequirement(key, tuple(sorted(values)))


def _could_hold(volume: PersistentVolume, claim: Claim) -> bool:
    """What even a volume reserved for the claim must fulfil."""
    return (
        volume.class_name == claim.class_name
        and volume.size_bytes >= (claim.size_bytes or 0)
        and volume.volume_mode == claim.volume_mode
        and volume.attributes_class == claim.attributes_class
        and not volume.deleting
    )


def _would_do(volume: PersistentVolume, claim: Claim) -> bool:
    return (
        _could_hold(volume, claim)
        and (claim.selector is None or claim.selector.matches(volume.labels))
        and set(claim.access_modes) <= set(volume.access_modes)
    )


def _candidate(volume: PersistentVolume) -> Candidate:
    return Candidate(name=volume.name, node_terms=volume.node_terms)


def _as_term(topology: LabelSelector) -> NodeSelectorTerm:
    return NodeSelectorTerm(
        expressions=tuple(
            NodeRequirement(key=r.key, operator=NodeSelectorOperator(r.operator.value), values=r.values)
            for r in topology.requirements
        )
    )
