"""Free room: what was free on the existing nodes before the plan placed anything on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.planning.landscape import Landscape
from springtide.scheduling.arrays import IntArray


@dataclass(frozen=True, slots=True)
class FreeRoom:
    """By index of the node in the landscape; of the ready ones also by name."""

    ready: Mapping[str, int]
    """Name -> index of each ready node."""
    pods: IntArray
    cpu: IntArray
    """In milli."""
    memory: IntArray

    @classmethod
    def of(cls, landscape: Landscape) -> FreeRoom:
        simulation = landscape.simulation
        return cls(
            ready={simulation.name(index): index for index in range(landscape.ready_count)},
            pods=simulation.free("pods"),
            cpu=simulation.free("cpu"),
            memory=simulation.free("memory"),
        )

    def by_name(self, free: IntArray) -> dict[str, int]:
        """One of the three, of the ready nodes."""
        amounts = free.tolist()
        return {name: amounts[index] for name, index in self.ready.items()}
