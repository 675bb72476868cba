"""Hard taints that a Cluster Autoscaler left behind: on nodes of ours, old, without our annotation, and nobody at work.

Cluster Autoscaler forgets its removals when it dies. Its taint stays, and keeps pods and load balancers away from a node
that is paid for. It takes such taints off itself when it starts; where it was replaced by us it never will.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from springtide.api.conditions import ConditionType, Reason
from springtide.api.nodepool import HARD_TAINT
from springtide.api.settings import ForeignTaints, Mode
from springtide.cluster.annotations import REMOVAL
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import PoolView, Snapshot
from springtide.planning.plan import PoolFinding

ABANDONED_AFTER: Final = timedelta(minutes=30)
"""A Cluster Autoscaler that runs without a Lease (--leader-elect=false) needs less for a removal: 10 minutes of grace, 2 of
evictions, 2 of delayed deletion by default, and as much again for the cloud."""
EARLIEST: Final = datetime(2016, 1, 1, tzinfo=UTC)
"""Before that there was no Cluster Autoscaler: a smaller number is no time of its."""
MOST_NAMED: Final = 3
"""Nodes named in a condition."""


@dataclass(frozen=True, slots=True)
class ForeignTaint:
    """Somebody else's hard taint on a node of a pool."""

    node: str
    value: str
    """Unix seconds, if Cluster Autoscaler wrote it."""
    since: datetime | None
    """None: the value is no time, so Cluster Autoscaler did not write it."""
    cordoned: bool

    def abandoned(self, snapshot: Snapshot) -> bool:
        """Whether the one who wrote it must be gone. Never while a Cluster Autoscaler holds its Lease."""
        if snapshot.cluster_autoscaler or self.since is None:
            return False
        return self.since + ABANDONED_AFTER <= snapshot.now


def foreign_taint(node: NodeRecord, snapshot: Snapshot) -> ForeignTaint | None:
    """The hard taint on the node that is no removal of ours; None: there is none."""
    taint = next((taint for taint in node.taints if taint.key == HARD_TAINT), None)
    if taint is None or REMOVAL in node.annotations or node.name in snapshot.removals:
        return None
    since = taint.since if taint.since is not None and taint.since >= EARLIEST else None
    return ForeignTaint(node=node.name, value=taint.value, since=since, cordoned=node.unschedulable)


def abandoned_taint(node: NodeRecord, snapshot: Snapshot) -> ForeignTaint | None:
    """The node's hard taint if it says nothing any more: nobody is removing the node."""
    if node.deletion_timestamp is not None:
        return None
    taint = foreign_taint(node, snapshot)
    return taint if taint is not None and taint.abandoned(snapshot) else None


def finding(pool: PoolView, nodes: Iterable[NodeRecord], snapshot: Snapshot) -> PoolFinding | None:
    """What the pool's condition says of foreign taints on its nodes, whatever is done about them."""
    if snapshot.cluster_autoscaler:
        return None
    found = [taint for node in nodes if (taint := foreign_taint(node, snapshot)) is not None]
    if not found:
        return None
    return PoolFinding(
        condition=ConditionType.DEGRADED,
        status=True,
        reason=Reason.FOREIGN_TAINTS,
        message=f"{_count(found)} of a Cluster Autoscaler that is gone ({_names(found)}): {_what(pool, found, snapshot)}",
    )


def _what(pool: PoolView, found: Sequence[ForeignTaint], snapshot: Snapshot) -> str:
    """What becomes of them. No ages: the text goes to status."""
    policy = pool.settings.scale_down.foreign_taints
    if pool.mode is not Mode.ACTIVE:
        return f"nothing is done about them in mode {pool.mode.value}"
    if policy is ForeignTaints.IGNORE:
        return "they stay (scaleDown.foreignTaints: Ignore), and keep pods away until somebody takes them off"
    if any(taint.since is None for taint in found):
        return "those whose value is no time were set by somebody else, and stay until he takes them off"
    if not all(taint.abandoned(snapshot) for taint in found):
        minutes = ABANDONED_AFTER.total_seconds() / 60
        return f"left alone until they are {minutes:g} minutes old, in case a removal is under way"
    if policy is ForeignTaints.CLEAN_UP:
        return f"they are taken off{_cordoned(found)}"
    return f"nodes that are unneeded are removed, the others get them taken off{_cordoned(found)}"


def _cordoned(found: Sequence[ForeignTaint]) -> str:
    cordoned = sum(taint.cordoned for taint in found)
    if not cordoned:
        return ""
    return f"; {cordoned} of the nodes are cordoned and stay so, for nobody can tell who did it: kubectl uncordon them"


def _count(found: Sequence[ForeignTaint]) -> str:
    return "1 node carries the hard taint" if len(found) == 1 else f"{len(found)} nodes carry hard taints"


def _names(found: Sequence[ForeignTaint]) -> str:
    names = sorted(taint.node for taint in found)
    return ", ".join([*names[:MOST_NAMED], *(["…"] if len(names) > MOST_NAMED else [])])
