"""Resources as rows of an int64 matrix: which row a resource has, and what a shape takes of each.

How many volumes of a CSI driver a node can attach is a row, too: volumes that no other pod uses add up like any
resource. What differs is the plugin that compares (NodeVolumeLimits), and that a node without the row has no limit.
"""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.shape import PodShape

LARGEST_AMOUNT = 2**53
"""Requests saturate here (8 PiB, or 9e12 cores). Allocatable saturates one below, so that a saturated request
never fits; and the sum of a thousand absurd requests on one node still does not overflow int64."""

PODS = "pods"
_FIRST_ROWS = (PODS, "cpu", "memory", "ephemeral-storage")
"""The order in which kube-scheduler compares; extended resources follow."""

_ATTACHMENTS = "volumes of "
"""With a space, which no resource name has."""

Demand = tuple[tuple[int, int], ...]
"""(row, amount) of what one pod takes, in the order in which the scheduler compares."""


class ResourceAxis:
    """Row numbers of resources. Rows are only ever added, so forks share one axis without leaking into each other."""

    __slots__ = ("_attachments", "_demands", "_requests", "_rows")

    def __init__(self) -> None:
        self._rows = {name: row for row, name in enumerate(_FIRST_ROWS)}
        self._requests: dict[PodShape, Demand] = {}
        self._attachments: dict[PodShape, Demand] = {}
        self._demands: dict[PodShape, Demand] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, resource: str) -> int:
        """The resource's row; a resource never seen before gets the next one."""
        return self._rows.setdefault(resource, len(self._rows))

    def names(self) -> list[str]:
        """Resource names by row."""
        return list(self._rows)

    def volumes_row(self, driver: str) -> int:
        """The row that says how many volumes of a CSI driver can still be attached."""
        return self.row(_ATTACHMENTS + driver)

    @property
    def drivers(self) -> list[str | None]:
        """By row: the CSI driver whose volumes it counts, None for a resource."""
        return [name[len(_ATTACHMENTS) :] if name.startswith(_ATTACHMENTS) else None for name in self._rows]

    def all_absent(self) -> list[int]:
        """By row: what a node has of it that says nothing about it."""
        return [0 if driver is None else NO_LIMIT for driver in self.drivers]

    def demand(self, shape: PodShape) -> Demand:
        """Everything that one pod of the shape takes: requested resources, then volumes."""
        known = self._demands.get(shape)
        if known is None:
            known = self._demands[shape] = (*self.requests(shape), *self.attachments(shape))
        return known

    def requests(self, shape: PodShape) -> Demand:
        """What NodeResourcesFit compares: one of "pods", and everything it requests (amount > 0)."""
        known = self._requests.get(shape)
        if known is None:
            known = self._requests[shape] = self._compile(shape.requests)
        return known

    def attachments(self, shape: PodShape) -> Demand:
        """Volumes to attach that no other pod uses, by driver; shared ones are counted apart (scheduling.nodes.volumes)."""
        if shape.volumes is None:
            return ()
        known = self._attachments.get(shape)
        if known is None:
            for driver, _ in shape.volumes.shared:
                self.volumes_row(driver)
            amounts = ((self.volumes_row(driver), count) for driver, count in shape.volumes.attaches)
            known = self._attachments[shape] = tuple(amounts)
        return known

    def _compile(self, requests: Mapping[str, int]) -> Demand:
        first = [name for name in _FIRST_ROWS[1:] if requests.get(name, 0) > 0]
        others = sorted(n for n, amount in requests.items() if amount > 0 and n not in _FIRST_ROWS)
        amounts = ((self.row(n), min(requests[n], LARGEST_AMOUNT)) for n in (*first, *others))
        return ((self.row(PODS), 1), *amounts)


def saturated(allocatable: int) -> int:
    """A node's allocatable amount, cut off just below the largest request."""
    return min(allocatable, LARGEST_AMOUNT - 1)


NO_LIMIT = LARGEST_AMOUNT - 1
"""Volumes that a node without a limit can attach."""
