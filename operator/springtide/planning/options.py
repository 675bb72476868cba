"""Expansion options: what buying from one node group would achieve for the pods that are still pending."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from springtide.cluster.records import Resources
from springtide.cluster.shape import PodShape


@dataclass(frozen=True)
class ExpansionOption:
    """So many nodes of one group, holding so many pods of each shape."""

    pool: str
    group: str
    nodes: int
    served: tuple[tuple[PodShape, int], ...]
    """Shape and number of its pods that the nodes would hold; numbers are positive."""
    capacity: Resources = field(default_factory=dict)
    """Of one node: capacity, not allocatable, as Cluster Autoscaler's least-waste reads it."""

    @cached_property
    def pods(self) -> int:
        return sum(count for _, count in self.served)

    @cached_property
    def cpu_milli(self) -> int:
        """Requested by the pods it would hold."""
        return sum(shape.requests.get("cpu", 0) * count for shape, count in self.served)

    @cached_property
    def memory_bytes(self) -> int:
        """Requested by the pods it would hold."""
        return sum(shape.requests.get("memory", 0) * count for shape, count in self.served)

    @cached_property
    def waste(self) -> float | None:
        """Idle share of the added CPU plus idle share of the added memory, 0..2; None: capacity unknown.

        The sum, not CPU first and memory as tie-break: so is Cluster Autoscaler's code, against its documentation.
        """
        cpu = self.capacity.get("cpu", 0) * self.nodes
        memory = self.capacity.get("memory", 0) * self.nodes
        if cpu <= 0 or memory <= 0:
            return None
        return (cpu - self.cpu_milli) / cpu + (memory - self.memory_bytes) / memory
