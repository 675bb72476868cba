"""The workbench: what one pass has worked out and the next can use, because all that it follows from is still there.

A cluster of thousands of nodes changes at a few of them from one pass to the next, and a picture shares all that did not
change with the one before it: an informer's record, the tuple of a node's pods, the mapping of workloads are then the very
same objects. So what was worked out from them is kept by their identity. Plans made with a workbench equal those
made without one: whatever hangs on the clock is kept with the instant until which it holds.
"""

from __future__ import annotations

from springtide.cluster.picture import ClusterPicture
from springtide.planning.ground import Ground
from springtide.planning.scale_down.examined import Examined


class Workbench:
    """For one planner at a time, in one thread at a time."""

    def __init__(self) -> None:
        self.ground = Ground()
        self.examined = Examined()

    @property
    def remembered_nodes(self) -> frozenset[str]:
        """Names of the nodes of which anything is remembered."""
        return frozenset((*self.ground.remembered_nodes, *self.examined.remembered_nodes))

    def begin_pass(self, picture: ClusterPicture) -> None:
        """To be called once by each plan, first. What the last one has not asked about is forgotten."""
        self.ground.begin_pass()
        self.examined.begin_pass(picture)
