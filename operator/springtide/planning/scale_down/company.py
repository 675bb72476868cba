"""Company: the nodes that really go now, of all the unneeded ones; and whether one more can go with just them.

That all unneeded nodes could go together says that each part of them can, as long as pods only need room. A pod that must
be near to another, or evenly spread, may have its place only because a node goes that will stay after all.
"""

from __future__ import annotations

from collections.abc import Mapping

from springtide.planning.landscape import Landscape
from springtide.planning.scale_down.removal_simulation import Moves, RemovalSimulation
from springtide.planning.scale_down.unneeded import Found, Unneeded


class Company:
    """To be asked node by node, in the order in which they were found unneeded."""

    def __init__(self, found: Found, landscape: Landscape) -> None:
        self._found = found
        self._landscape = landscape
        self._others_stay = False
        self._anew: RemovalSimulation | None = None
        """Only the nodes that go; made when the moves that were found do not stand for them any more."""
        self._going: list[Unneeded] = []
        self._destinations = Moves()

    def welcomes(self, node: Unneeded) -> bool:
        """Whether the node can go with those that go already; then it does."""
        if self._others_stay and self._found.entangled:
            moves = self._simulate(node)
            if moves is None:
                return False
            self._destinations = moves
        else:
            self._destinations = node.moves
        self._going.append(node)
        return True

    def destinations(self) -> Mapping[str, str]:
        """Where the pods go of the node that was welcomed last: pod uid -> node name."""
        return self._destinations.destinations

    def leave_out(self) -> None:
        """A node stays: where moves hung on where other pods are, those to come must be simulated without it."""
        self._others_stay = True

    def _simulate(self, node: Unneeded) -> Moves | None:
        """Where the node's pods go when only those go that do; None: one has no place, or the node received pods."""
        if self._anew is None:
            self._anew = self._found.simulation(self._landscape)
            for each in self._going:
                self._anew.remove(each.spare.node.name, each.spare.drain.alike)
        if self._anew.received(node.spare.node.name):
            return None
        moves = self._anew.remove(node.spare.node.name, node.spare.drain.alike)
        return moves if moves.feasible else None
