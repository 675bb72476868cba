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
    hourly_price: float | None = None
    """Of one node, in the policy's currency; None: unknown, or nobody asked."""
    worth: float | None = None
    """What its pods would cost an hour if each were bought where pods of its kind are cheapest."""
    priority: int | None = None
    """The group's, the higher the better; None: the policy's priorities do not name it."""

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

    @property
    def hourly_cost(self) -> float | None:
        """Of all its nodes."""
        return None if self.hourly_price is None else self.hourly_price * self.nodes

    @property
    def dearness(self) -> float | None:
        """What it costs for each unit of what it is worth; 1 is what the pods cost at their cheapest, one kind at a
        time, and less is possible where different kinds fill up what the other leaves idle. None: unknown.

        So options that serve different pods can be compared, and scarce resources are weighed by the offers
        themselves: pods without GPU are worth what they cost on nodes without.
        """
        if self.hourly_cost is None or not self.worth:
            return None
        return self.hourly_cost / self.worth
