"""EC2's instance types: what a machine of each type brings to a cluster."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DATA = Path(__file__).with_name("data") / "instance_types.csv"
_DEFAULT_MAX_PODS = 110
"""The kubelet's default, for types whose interface limits are not known."""
_KUBERNETES_ARCH = {"x86_64_mac": "amd64", "arm64_mac": "arm64"}
"""Where EC2's name, which the catalogue has otherwise translated, is not the one Kubernetes uses."""


@dataclass(frozen=True)
class InstanceType:
    """One row of the catalogue."""

    name: str
    vcpu: int
    memory_mib: int
    arch: str
    """As Kubernetes names it: amd64, arm64."""
    gpus: int
    max_pods: int

    def capacity(self, *, disk_gib: int) -> dict[str, str]:
        """A Node's capacity, in Kubernetes quantities."""
        resources = {
            "cpu": str(self.vcpu),
            "memory": f"{self.memory_mib}Mi",
            "ephemeral-storage": f"{disk_gib}Gi",
            "pods": str(self.max_pods),
        }
        if self.gpus:
            resources["nvidia.com/gpu"] = str(self.gpus)
        return resources


@cache
def instance_types() -> dict[str, InstanceType]:
    """All types by name."""
    with _DATA.open(newline="") as file:
        return {row["instance_type"]: _type(row) for row in csv.DictReader(file)}


def _type(row: dict[str, str]) -> InstanceType:
    return InstanceType(
        name=row["instance_type"],
        vcpu=int(row["vcpu"]),
        memory_mib=int(row["memory_mib"]),
        arch=_KUBERNETES_ARCH.get(row["arch"], row["arch"]),
        gpus=int(row["gpu_count"] or 0),
        max_pods=int(row["eni_max_pods"] or _DEFAULT_MAX_PODS),
    )
