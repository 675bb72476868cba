"""Outages of zones: so many nodes of a zone stopped being ready that it is the zone that failed, not the nodes.

Then nothing is removed anywhere (what is left is needed, and an empty node proves nothing), and nothing is bought where it
would not come up. The rule is that of Kubernetes' node controller for a zone in partial or full disruption, which stops
evicting pods there (pkg/controller/nodelifecycle, ComputeZoneState; --unhealthy-zone-threshold). Where all zones fail at
once there is no elsewhere: that is a matter of the policy's `health`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from springtide.cluster.degradation import Degradation, DegradedMode
from springtide.cluster.groups import NodeGroup
from springtide.cluster.records import NodeRecord
from springtide.cluster.zone_labels import ZONE_LABELS
from springtide.planning.groups.readiness import NodeState, Readiness

MORE_THAN_UNREADY: Final = 2
"""So few unready nodes are their own fault, however small the zone (the node controller's constant)."""
UNREADY_PERCENT: Final = 55
"""Share of a zone's nodes (the node controller's default of --unhealthy-zone-threshold)."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A zone that failed."""

    zone: str
    unready: int
    nodes: int

    @property
    def message(self) -> str:
        return f"{self.unready} of {self.nodes} nodes of zone {self.zone} are unready"


def zone_of(node: NodeRecord, readiness: Readiness) -> str:
    """The node's zone, by its labels, else by its instance; empty: nobody says."""
    for label in ZONE_LABELS:
        if node.labels.get(label):
            return node.labels[label]
    owner = readiness.owners.get(node.name)
    return owner.instance.zone if owner is not None else ""


def outages(nodes: Iterable[NodeRecord], readiness: Readiness) -> Mapping[str, Outage]:
    """By zone. Only nodes count that were ready once: those that never came up say nothing about their zone."""
    ready: Counter[str] = Counter()
    unready: Counter[str] = Counter()
    for node in nodes:
        state = readiness.states[node.name]
        if state is NodeState.READY:
            ready[zone_of(node, readiness)] += 1
        elif state is NodeState.UNREADY:
            unready[zone_of(node, readiness)] += 1
    return {
        zone: Outage(zone, count, count + ready[zone])
        for zone, count in sorted(unready.items())
        if zone
        and count > MORE_THAN_UNREADY
        and count * 100 >= UNREADY_PERCENT * (count + ready[zone])
        and ready.total() > ready[zone]
    }


def struck(group: NodeGroup, zones: Mapping[str, Outage]) -> str:
    """Why the group is not bought from; empty: it has a zone that did not fail. In which of several zones a node comes
    up is the cloud's choice."""
    if not group.zones or not all(zone in zones for zone in group.zones):
        return ""
    return ", ".join(zones[zone].message for zone in group.zones)


def as_degradation(zones: Mapping[str, Outage]) -> tuple[Degradation, ...]:
    """One for all zones together; none when no zone failed."""
    if not zones:
        return ()
    told = ", ".join(outage.message for outage in zones.values())
    message = f"{told}: until they recover nothing is removed, and nothing is bought there"
    return (Degradation(mode=DegradedMode.ZONE_OUTAGE, message=message, forbids_removals=True),)
