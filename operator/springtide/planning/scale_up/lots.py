"""Lots: demands as purchases see them, those bound by quotas cut into a lot for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from springtide.planning.pods.pending import Demand
from springtide.planning.zones.quotas import Quota


@dataclass(frozen=True, slots=True)
class Lot:
    """Pods of one demand that may go to one cell, or anywhere."""

    number: int
    """The demand's."""
    demand: Demand
    cell: int | None = None
    """None: anywhere."""


def lots_of(demands: Sequence[Demand], quotas: Sequence[Quota | None]) -> list[Lot]:
    """The lots of all demands that have pods; pods beyond their quota are in none."""
    lots: list[Lot] = []
    for number, (demand, quota) in enumerate(zip(demands, quotas, strict=True)):
        if not demand.count:
            continue
        if quota is None:
            lots.append(Lot(number, demand))
            continue
        start = 0
        for cell, count in quota.by_cell.items():
            pods = demand.pods[start : start + count]
            start += count
            lots.append(Lot(number, replace(demand, pods=pods), cell))
    return lots
