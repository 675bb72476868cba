"""The volume plugins, plainly: pod by pod, node by node, from the storage objects themselves. Slow and easy to check.

Knows nothing of needs, shapes or arrays. Pods that are placed are assumed as kube-scheduler assumes them: the volumes chosen
for their claims are reserved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.shape import NodeSelectorTerm
from springtide.cluster.volumes.objects import VolumeObjects
from springtide.cluster.volumes.records import Claim, PersistentVolume

ZONES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


@dataclass
class ReferenceCluster:
    """Nodes, the pods on them, and the storage objects."""

    objects: VolumeObjects
    nodes: Sequence[NodeRecord]
    pods: dict[str, list[PodRecord]] = field(default_factory=dict)
    """By node name."""
    taken: set[str] = field(default_factory=set)
    """Volumes reserved for pods that were placed."""

    def rejects(self, pod: PodRecord, node: NodeRecord) -> set[str]:
        """The plugins that, each alone, keep the pod off the node; only the first if the pod as a whole is rejected."""
        whole = self.whole(pod)
        if whole:
            return {whole}
        verdicts = {
            "VolumeRestrictions": self._restricted(pod, node),
            "NodeVolumeLimits": self._limited(pod, node),
            "VolumeBinding": self.binding(pod, node) is None,
            "VolumeZone": self._elsewhere(pod, node),
        }
        return {plugin for plugin, rejected in verdicts.items() if rejected}

    def place(self, pod: PodRecord) -> str | None:
        """Put the pod on the first node that takes it."""
        for node in self.nodes:
            if not self.rejects(pod, node):
                self.taken |= set(self.binding(pod, node) or ())
                self.pods.setdefault(node.name, []).append(pod)
                return node.name
        return None

    def whole(self, pod: PodRecord) -> str:
        claims = self._claims(pod)
        if len(claims) < len(pod.mounts.claims):
            return "VolumeRestrictions"
        for claim in claims:
            if claim.lost or claim.deleting:
                return "VolumeBinding"
        for claim in claims:
            found = self.objects.storage_class(claim.class_name)
            waits = found is not None and found.waits_for_consumer
            if not claim.bound and (claim.volume_name or not waits):
                return "VolumeBinding"
        if any(claim.volume_name and self.objects.volume(claim.volume_name) is None for claim in claims):
            return "VolumeZone"
        return ""

    def binding(self, pod: PodRecord, node: NodeRecord) -> list[str] | None:
        """Names of the volumes that the pod's claims would be bound to on the node; None: not all can be."""
        claims = self._claims(pod)
        for claim in claims:
            volume = self.objects.volume(claim.volume_name)
            if claim.bound and volume is not None and not _reaches(volume, node):
                return None
        chosen: list[str] = []
        unbound = [claim for claim in claims if not claim.bound]
        if any(claim.selected_node not in (None, node.name) for claim in unbound):
            return None
        for claim in sorted(unbound, key=lambda each: each.size_bytes or 0):
            volume = None if claim.selected_node else self._match(claim, node, chosen)
            if volume is not None:
                chosen.append(volume.name)
            elif not self._makes(claim, node):
                return None
        return chosen

    # --- plugins ----------------------------------------------------------------------------------------------------

    def _restricted(self, pod: PodRecord, node: NodeRecord) -> bool:
        for other in self.pods.get(node.name, ()):
            for mine in pod.mounts.disks:
                if any(mine.conflicts(theirs) for theirs in other.mounts.disks):
                    return True
        exclusive = {claim.name for claim in self._claims(pod) if "ReadWriteOncePod" in claim.access_modes}
        everywhere = (other for pods in self.pods.values() for other in pods)
        return any(exclusive & set(other.mounts.claims) for other in everywhere)

    def _limited(self, pod: PodRecord, node: NodeRecord) -> bool:
        there: set[tuple[str, str]] = set()
        for other in self.pods.get(node.name, ()):
            there |= self._attached(other)
        new = Counter(driver for driver, _ in self._attached(pod) - there)
        used = Counter(driver for driver, _ in there)
        return any(
            used[driver] + count > node.volume_limits[driver]
            for driver, count in new.items()
            if driver in node.volume_limits
        )

    def _elsewhere(self, pod: PodRecord, node: NodeRecord) -> bool:
        if not any(key in node.labels for key in ZONES):
            return False
        for claim in self._claims(pod):
            volume = self.objects.volume(claim.volume_name)
            for key in ZONES:
                wanted = volume.labels.get(key) if volume is not None else None
                if wanted is not None and node.labels.get(key) not in wanted.split("__"):
                    return True
        return False

    # --- storage ----------------------------------------------------------------------------------------------------

    def _claims(self, pod: PodRecord) -> list[Claim]:
        found = (self.objects.claim(pod.namespace, name) for name in pod.mounts.claims)
        return [claim for claim in found if claim is not None]

    def _attached(self, pod: PodRecord) -> set[tuple[str, str]]:
        attached = set()
        for claim in self._claims(pod):
            volume = self.objects.volume(claim.volume_name)
            found = self.objects.storage_class(claim.class_name)
            if volume is not None:
                if volume.driver:
                    attached.add((volume.driver, volume.handle))
            elif found is not None:
                attached.add((found.provisioner, f"unbound {claim.name}"))
        return attached

    def _match(self, claim: Claim, node: NodeRecord, chosen: Sequence[str]) -> PersistentVolume | None:
        fitting = [
            volume
            for volume in self.objects.volumes
            if volume.available
            and volume.claim is None
            and volume.class_name == claim.class_name
            and volume.size_bytes >= (claim.size_bytes or 0)
            and volume.name not in self.taken
            and volume.name not in chosen
            and _reaches(volume, node)
        ]
        return min(fitting, key=lambda volume: (volume.size_bytes, volume.name), default=None)

    def _makes(self, claim: Claim, node: NodeRecord) -> bool:
        found = self.objects.storage_class(claim.class_name)
        if found is None or found.provisioner == "kubernetes.io/no-provisioner":
            return False
        allowed = found.allowed_topologies
        return not allowed or any(_matches(term, node.labels) for term in allowed)


def _reaches(volume: PersistentVolume, node: NodeRecord) -> bool:
    return volume.node_terms is None or any(_matches(term, node.labels) for term in volume.node_terms)


def _matches(term: NodeSelectorTerm, labels: Mapping[str, str]) -> bool:
    return bool(term.expressions) and all(labels.get(e.key) in e.values for e in term.expressions)
