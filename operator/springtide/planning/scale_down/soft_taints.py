"""Soft taints: the mark of unneeded nodes (PreferNoSchedule), and the memory of since when they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.records import NodeRecord
from springtide.planning.groups.readiness import SOFT_TAINT, NodeOwner
from springtide.planning.plan import SoftTaintChange

MAX_TIME_OFF: Final = timedelta(minutes=1)
"""A mark whose time is further off was written before the clock was set."""
MAX_CHANGES: Final = 10
"""Changes in one pass (Cluster Autoscaler: --max-bulk-soft-taint-count)."""


def changes(
    nodes: Iterable[NodeRecord],
    *,
    owners: Mapping[str, NodeOwner],
    unneeded_since: Mapping[str, datetime],
    trusted_since: Mapping[str, datetime],
    frozen_pools: frozenset[str],
) -> tuple[SoftTaintChange, ...]:
    """What to set and lift. Lifting goes first: a needed node that is marked keeps pods away.

    `unneeded_since`: the nodes unneeded now. `trusted_since`: what the taints that we can trust say.
    `frozen_pools`: pools whose nodes must not be touched. `nodes` are those not on their way out.
    """
    lifts: list[SoftTaintChange] = []
    marks: list[SoftTaintChange] = []
    for node in nodes:
        owner = owners.get(node.name)
        if owner is None or owner.pool.name in frozen_pools:
            continue
        marked = any(taint.key == SOFT_TAINT for taint in node.taints)
        since = unneeded_since.get(node.name)
        if since is None and marked:
            lifts.append(SoftTaintChange(node=node.name, pool=owner.pool.name, present=False))
        elif since is not None and not (marked and node.name in trusted_since and _says_about(node, since)):
            marks.append(SoftTaintChange(node=node.name, pool=owner.pool.name, present=True, since=since))
    return tuple((lifts + marks)[:MAX_CHANGES])


def _says_about(node: NodeRecord, since: datetime) -> bool:
    """Whether the node's mark says this time, more or less. Marks without a time are trusted as they are."""
    values = [taint.value for taint in node.taints if taint.key == SOFT_TAINT and taint.value.isdecimal()]
    return all(abs(int(value) - since.timestamp()) <= MAX_TIME_OFF.total_seconds() for value in values)
