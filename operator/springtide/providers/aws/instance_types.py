"""What each EC2 instance type is: asked from EC2 for the types in use, else from the packaged table; and prices."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from springtide.cluster.records import Resources
from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import Region
from springtide.providers.base import ProviderError

TYPES_PER_CALL = 100
"""Values one filter of DescribeInstanceTypes is given; EC2 allows 200."""

RETRY_UNKNOWN_AFTER = timedelta(minutes=10)
"""A type that EC2 did not tell of is asked for again after this: permissions get fixed, types get launched."""

MOST_PODS = 110
"""Kubelet's default --max-pods, and what EKS's images set for all but the largest types."""

_MIB = 1024**2
_GPU_RESOURCES = {"NVIDIA": "nvidia.com/gpu", "AMD": "amd.com/gpu", "Habana": "habana.ai/gaudi"}
"""Manufacturer as EC2 names it -> the resource its device plugin registers."""
NEURON_RESOURCE = "aws.amazon.com/neuron"
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
"""As EC2 names them -> label kubernetes.io/arch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One instance type."""

    name: str
    arch: str
    """amd64 or arm64."""
    vcpu: int
    memory_mib: int
    gpus: Mapping[str, int]
    """Accelerators by resource name."""
    eni_pods: int
    """Pods that the VPC network plugin has addresses for, without prefix delegation; 0 = unknown."""
    source: str
    """"EC2" or "packaged table"."""

    @property
    def capacity(self) -> Resources:
        """Node capacity. Nominal memory: what the firmware keeps for itself is not published, see template.py."""
        pods = min(self.eni_pods, MOST_PODS) if self.eni_pods else MOST_PODS
        return {"cpu": self.vcpu * 1000, "memory": self.memory_mib * _MIB, "pods": pods, **self.gpus}


class InstanceTypes:
    """The instance types of one region: asked for once, kept for good (a type never changes)."""

    def __init__(self, region: Region, *, clock: Callable[[], datetime]) -> None:
        self._region = region
        self._clock = clock
        self._described: dict[str, InstanceType] = {}
        self._ask_again_at: dict[str, datetime] = {}

    async def get(self, names: Iterable[str]) -> Mapping[str, InstanceType]:
        """The types of these names; one that nobody knows is absent. Never raises ProviderError."""
        wanted = set(names)
        now = self._clock()
        unknown = sorted(
            name for name in wanted - self._described.keys() if self._ask_again_at.get(name, now) <= now
        )
        for start in range(0, len(unknown), TYPES_PER_CALL):
            await self._describe(unknown[start : start + TYPES_PER_CALL])
        self._ask_again_at |= {
            name: now + RETRY_UNKNOWN_AFTER for name in unknown if name not in self._described
        }
        packaged = packaged_types()
        known = {name: self._described.get(name) or packaged.get(name) for name in wanted}
        return {name: found for name, found in known.items() if found is not None}

    async def _describe(self, names: list[str]) -> None:
        try:
            # By filter, because naming one unknown type in InstanceTypes fails the whole call.
            found = await self._region.pages(
                Operation.DESCRIBE_INSTANCE_TYPES,
                items="InstanceTypes",
                Filters=[{"Name": "instance-type", "Values": names}],
            )
        except ProviderError:
            return  # the packaged table serves; the template's source says so
        for raw in found:
            if raw["InstanceType"] in names:
                self._described[raw["InstanceType"]] = parse_instance_type(raw)


def parse_instance_type(raw: Mapping[str, Any]) -> InstanceType:
    """Decode one element of DescribeInstanceTypes."""
    architectures = (raw.get("ProcessorInfo") or {}).get("SupportedArchitectures") or ()
    network = raw.get("NetworkInfo") or {}
    gpus: dict[str, int] = {}
    for gpu in (raw.get("GpuInfo") or {}).get("Gpus") or ():
        resource = _GPU_RESOURCES.get(gpu.get("Manufacturer", ""))
        if resource and gpu.get("Count"):
            gpus[resource] = gpus.get(resource, 0) + gpu["Count"]
    neurons = sum(
        device.get("Count") or 0 for device in (raw.get("NeuronInfo") or {}).get("NeuronDevices") or ()
    )
    # Before NeuronInfo existed, EC2 reported Inferentia under InferenceAcceleratorInfo; some regions still do only that.
    neurons = neurons or sum(
        device.get("Count") or 0
        for device in (raw.get("InferenceAcceleratorInfo") or {}).get("Accelerators") or ()
        if device.get("Manufacturer") == "AWS"
    )
    if neurons:
        gpus[NEURON_RESOURCE] = neurons
    return InstanceType(
        name=raw["InstanceType"],
        # A type that runs both i386 and x86_64 lists both.
        arch=next((_ARCHITECTURES[name] for name in architectures if name in _ARCHITECTURES), ""),
        vcpu=raw["VCpuInfo"]["DefaultVCpus"],
        memory_mib=raw["MemoryInfo"]["SizeInMiB"],
        gpus=gpus,
        eni_pods=eni_pods(
            interfaces=network.get("MaximumNetworkInterfaces") or 0,
            addresses=network.get("Ipv4AddressesPerInterface") or 0,
        ),
        source="EC2",
    )


def eni_pods(*, interfaces: int, addresses: int) -> int:
    """Pods that the Amazon VPC CNI plugin can give an address, plus the two on the host network that each node runs.

    Source: https://github.com/awslabs/amazon-eks-ami, max-pods calculator. 0 when the limits are unknown.
    """
    return interfaces * (addresses - 1) + 2 if interfaces and addresses else 0


@cache
def packaged_types() -> Mapping[str, InstanceType]:
    """The packaged table of us-east-1 (source and licence: data/NOTICE), by name."""
    return {row["instance_type"]: _from_row(row) for row in _rows()}


@cache
def packaged_prices() -> Mapping[str, float]:
    """On-demand Linux prices of us-east-1 in USD per hour, by type; types without a published price are absent.

    Other regions differ by a factor that is nearly the same for all types, so the order between types holds there too;
    spec.hourlyPrice overrides.
    """
    return {row["instance_type"]: float(row["usd_per_hour"]) for row in _rows() if row["usd_per_hour"]}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    table = files("springtide.providers.aws") / "data" / "instance_types.csv"
    return tuple(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def _from_row(row: Mapping[str, str]) -> InstanceType:
    gpus: dict[str, int] = {}
    if count := int(row["gpu_count"]):
        gpus[_GPU_RESOURCES[row["gpu_name"].partition(" ")[0]]] = count
    if count := int(row["neuron_devices"]):
        gpus[NEURON_RESOURCE] = count
    return InstanceType(
        name=row["instance_type"],
        arch=row["arch"],
        vcpu=int(row["vcpu"]),
        memory_mib=int(row["memory_mib"]),
        gpus=gpus,
        eni_pods=eni_pods(interfaces=int(row["max_enis"]), addresses=int(row["ipv4_per_eni"])),
        source="packaged table",
    )
