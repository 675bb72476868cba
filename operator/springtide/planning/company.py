"""Company: the nodes that really go now, of all the unneeded ones; and whether one more can go with just them.

That all unneeded nodes could go together says that each part of them can, as long as pods only need room. A pod that must
be near to another, or evenly spread, may have its place only because a node goes that will stay after all.
"""

from __future__ import annotations

from collections.abc import Mapping

from springtide.planning.landscape import Landscape
from springtide.planning.removal_simulation import RemovalSimulation
from springtide.planning.unneeded import Found, Unneeded


class Company:
    """To be asked node by node, in the order in which they were found unneeded."""

    def __init__(self, found: Found, landscape: Landscape) -> None:
        self._found = found
        self._landscape = landscape
        self._simulation: RemovalSimulation | None = None
        self._going: list[Unneeded] = []
        self._destinations: Mapping[str, str] = {}

    def welcomes(self, node: Unneeded) -> bool:
        """Whether the node can go with those that go already; then it does."""
        if self._simulation is None:
            self._destinations = node.destinations
        else:
            if self._simulation.received(node.spare.node.name):
                return False
            moves = self._simulation.remove(node.spare.node.name, node.spare.moving)
            if not moves.feasible:
                return False
            self._destinations = moves.destinations
        self._going.append(node)
        return True

    def destinations(self) -> Mapping[str, str]:
        """Where the pods go of the node that was welcomed last: pod uid -> node name."""
        return self._destinations

    def leave_out(self) -> None:
        """A node stays. If moves hung on where other pods are, those to come are simulated anew without it."""
        if self._found.entangled and self._simulation is None:
            self._simulation = self._found.simulation(self._landscape)
            for node in self._going:
                self._simulation.remove(node.spare.node.name, node.spare.moving)
