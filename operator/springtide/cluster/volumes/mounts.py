"""What a pod mounts: names of claims and disks, as its spec says; what they mean is resolved elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DiskKind(StrEnum):
    """In-tree disks that two pods on one node cannot share freely (VolumeRestrictions), or that count as attached."""

    GCE_PD = "gcePersistentDisk"
    AWS_EBS = "awsElasticBlockStore"
    ISCSI = "iscsi"
    RBD = "rbd"
    AZURE_DISK = "azureDisk"
    CINDER = "cinder"
    PORTWORX = "portworxVolume"


MIGRATED: dict[DiskKind, str] = {
    DiskKind.AWS_EBS: "ebs.csi.aws.com",
    DiskKind.GCE_PD: "pd.csi.storage.gke.io",
    DiskKind.AZURE_DISK: "disk.csi.azure.com",
    DiskKind.CINDER: "cinder.csi.openstack.org",
    DiskKind.PORTWORX: "pxd.portworx.com",
}
"""Kinds whose volumes NodeVolumeLimits counts for the CSI driver that has taken them over (csi-translation-lib)."""

PROVISIONERS: dict[str, DiskKind] = {
    "kubernetes.io/aws-ebs": DiskKind.AWS_EBS,
    "kubernetes.io/gce-pd": DiskKind.GCE_PD,
    "kubernetes.io/azure-disk": DiskKind.AZURE_DISK,
    "kubernetes.io/cinder": DiskKind.CINDER,
    "kubernetes.io/portworx-volume": DiskKind.PORTWORX,
}
"""In-tree provisioners of storage classes, by the kind of volume they make."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that a pod mounts without a claim."""

    kind: DiskKind
    identity: str
    """Name of the PD, id of the volume, IQN of the iSCSI target, pool/image of the RBD."""
    read_only: bool = False
    monitors: frozenset[str] = frozenset()
    """Of an RBD: images are the same only if they have a monitor in common."""

    @property
    def handle(self) -> str:
        """What the CSI driver that has taken the kind over calls it: an EBS volume may be named aws://zone/vol-1."""
        return self.identity.rsplit("/", 1)[-1] if self.kind is DiskKind.AWS_EBS else self.identity

    def conflicts(self, other: Disk) -> bool:
        """Whether VolumeRestrictions keeps two pods with these disks from sharing a node."""
        if self.kind is not other.kind or self.identity != other.identity or self.kind not in _RESTRICTED:
            return False
        if self.kind is DiskKind.AWS_EBS:
            return True  # read only or not
        if self.kind is DiskKind.RBD and self.monitors.isdisjoint(other.monitors):
            return False
        return not (self.read_only and other.read_only)


_RESTRICTED = frozenset({DiskKind.GCE_PD, DiskKind.AWS_EBS, DiskKind.ISCSI, DiskKind.RBD})


@dataclass(frozen=True, slots=True)
class Mounts:
    """All that scheduling reads of spec.volumes."""

    claims: tuple[str, ...] = ()
    """Names of PersistentVolumeClaims of the pod's namespace, in the order of its volumes."""
    ephemeral: tuple[tuple[str, str], ...] = ()
    """(claim, volume) of generic ephemeral volumes; their claims are among `claims`, too."""
    disks: tuple[Disk, ...] = ()


NO_MOUNTS = Mounts()
"""Of pods that mount nothing that matters."""
