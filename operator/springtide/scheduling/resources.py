"""Resources as rows of an int64 matrix: which row a resource has, and what a shape takes of each."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.shape import PodShape

LARGEST_AMOUNT = 2**53
"""Requests saturate here (8 PiB, or 9e12 cores). Allocatable saturates one below, so that a saturated request
never fits; and the sum of a thousand absurd requests on one node still does not overflow int64."""

PODS = "pods"
_FIRST_ROWS = (PODS, "cpu", "memory", "ephemeral-storage")
"""The order in which kube-scheduler compares; extended resources follow."""

Demand = tuple[tuple[int, int], ...]
"""(row, amount) of every resource that one pod takes, in the order in which the scheduler compares."""


class ResourceAxis:
    """Row numbers of resources. Rows are only ever added, so forks share one axis without leaking into each other."""

    __slots__ = ("_demands", "_rows")

    def __init__(self) -> None:
        self._rows = {name: row for row, name in enumerate(_FIRST_ROWS)}
        self._demands: dict[PodShape, Demand] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, resource: str) -> int:
        """The resource's row; a resource never seen before gets the next one."""
        return self._rows.setdefault(resource, len(self._rows))

    def names(self) -> list[str]:
        """Resource names by row."""
        return list(self._rows)

    def demand(self, shape: PodShape) -> Demand:
        """What one pod of the shape takes: one of "pods", and everything it requests (amount > 0)."""
        known = self._demands.get(shape)
        if known is None:
            known = self._demands[shape] = self._compile(shape.requests)
        return known

    def _compile(self, requests: Mapping[str, int]) -> Demand:
        first = [name for name in _FIRST_ROWS[1:] if requests.get(name, 0) > 0]
        others = sorted(n for n, amount in requests.items() if amount > 0 and n not in _FIRST_ROWS)
        amounts = ((self.row(n), min(requests[n], LARGEST_AMOUNT)) for n in (*first, *others))
        return ((self.row(PODS), 1), *amounts)


def saturated(allocatable: int) -> int:
    """A node's allocatable amount, cut off just below the largest request."""
    return min(allocatable, LARGEST_AMOUNT - 1)
