"""Which hard taints of a Cluster Autoscaler that is gone are taken off now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from springtide.api.settings import ForeignTaints, Mode
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.groups.foreign_taints import abandoned_taint
from springtide.planning.groups.readiness import NodeOwner
from springtide.planning.plan import ForeignTaintLift

MAX_LIFTS: Final = 10
"""In one pass, as with soft taints."""


def lifts(
    nodes: Iterable[NodeRecord],
    *,
    owners: Mapping[str, NodeOwner],
    unneeded_since: Mapping[str, datetime],
    snapshot: Snapshot,
) -> tuple[ForeignTaintLift, ...]:
    """The taints to take off. `unneeded_since`: the nodes unneeded now, which keep theirs where they are taken over."""
    found: list[ForeignTaintLift] = []
    for node in nodes:
        owner = owners.get(node.name)
        if owner is None or not _is_lifted(owner.pool, unneeded=node.name in unneeded_since):
            continue
        taint = abandoned_taint(node, snapshot)
        if taint is not None:
            found.append(ForeignTaintLift(node=node.name, pool=owner.pool.name, value=taint.value))
    return tuple(found[:MAX_LIFTS])


def _is_lifted(pool: PoolView, *, unneeded: bool) -> bool:
    if pool.mode is not Mode.ACTIVE or pool.left_alone:
        return False
    match pool.settings.scale_down.foreign_taints:
        case ForeignTaints.IGNORE:
            return False
        case ForeignTaints.CLEAN_UP:
            return True
        case ForeignTaints.TAKE_OVER:
            return not unneeded
