"""Packing on a candidate whose groups lie in several cells: a site for each, so that all zones are bought together.

Pods that are bound to a cell go to its site; the others go where room is left, and open new nodes where the fewest are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from springtide.planning.groups.limits import Ledger
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Candidate
from springtide.scheduling.arrays import IntArray
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.packing.packing import Packing, Part, Site, pack_parts
from springtide.scheduling.packing.rules import Rulebook


def pack_on_sites(
    candidate: Candidate,
    lots: Sequence[tuple[Demand, int | None]],
    *,
    ledger: Ledger,
    room: int,
    rulebook: Rulebook,
) -> Packing:
    """Pack lots (pods, and the cell they are bound to, if to any) on the candidate's new nodes, `room` at most."""
    sites = candidate.sites
    number_of = {cell: number for number, cell in enumerate(sites)}
    parts = [
        Part(
            demand.shape,
            demand.count,
            None if cell is None else frozenset({number_of[cell]} if cell in number_of else ()),
        )
        for demand, cell in lots
    ]
    rooms = np.array([ledger.room(*keys).nodes for keys in sites.values()], dtype=np.int64)
    needs = _needs(candidate.fresh, parts, len(rooms))
    return pack_parts(
        candidate.fresh,
        parts,
        sites=[
            Site(room=int(nodes), target=sum(ledger.target(key) for key in keys))
            for nodes, keys in zip(_fair(rooms, needs, room), sites.values(), strict=True)
        ],
        max_nodes=room,
        rulebook=rulebook,
    )


def _needs(fresh: FreshNode, parts: Sequence[Part], sites: int) -> IntArray:
    """(sites,) Nodes that the parts bound to each site need at least, by volume."""
    needs = np.zeros(sites, dtype=np.int64)
    for resource in {name for part in parts for name in part.shape.requests} | {"pods"}:
        whole = int(fresh.alone.free(resource)[0])
        if whole <= 0:
            continue
        asked = np.zeros(sites, dtype=np.int64)
        for part in parts:
            if part.sites is not None:
                each = 1 if resource == "pods" else part.shape.requests.get(resource, 0)
                asked[list(part.sites)] += each * part.count
        needs = np.maximum(needs, -(-asked // whole))
    return needs


def _fair(rooms: IntArray, needs: IntArray, room: int) -> IntArray:
    """The rooms, cut down to their needs' shares where all together may not have what they need: or the first zone
    would take everything, and a spread over zones would allow next to nothing of it."""
    if needs.sum() <= room or not needs.any():
        return rooms
    fair = room * needs // needs.sum()
    fair[: room - int(fair.sum())] += 1
    cut: IntArray = np.minimum(rooms, fair)
    return cut
