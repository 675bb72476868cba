"""The landscape: the cluster as the plan imagines it, once what is on its way has arrived.

Nodes stand in this order: ready ones, those that are still starting (as they will be), unready ones, imagined ones,
which join as pods are promised to them. Unready nodes are withdrawn: nothing can be placed there, but the scheduler
still counts their pods and domains when it keeps pods apart or together. Those on their way out are not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from springtide.api.settings import ScaleUpSettings
from springtide.cluster.groups import Template
from springtide.cluster.records import DaemonSetRecord, NodeRecord, PodRecord
from springtide.cluster.snapshot import Snapshot
from springtide.planning.ground import Ground
from springtide.planning.groups.experience import as_siblings, corrected
from springtide.planning.groups.passing_taints import is_startup, is_status
from springtide.planning.groups.readiness import (
    ARRIVAL_TAINTS,
    SOFT_TAINT,
    NodeState,
    Readiness,
)
from springtide.planning.groups.upcoming import Upcoming
from springtide.scheduling.arrays import BoolArray
from springtide.scheduling.fresh import FreshNode
from springtide.scheduling.simulation import Simulation

SETTLING: Final = timedelta(seconds=30)
"""So long after a node became ready its room is still promised to the pods it was bought for; the scheduler binds
them within seconds."""

GroupKey = tuple[str, str]
"""(pool, group id)."""

PASSING_TAINTS: Final = ARRIVAL_TAINTS | {SOFT_TAINT}
"""Taints of a starting node that are gone once it has started."""


@dataclass(frozen=True)
class Landscape:
    """A simulation and what its nodes are. The simulation changes as pods are placed; `fork` before trying out."""

    simulation: Simulation
    ready_count: int
    """The first so many nodes are ready."""
    existing_count: int
    """The first so many nodes exist: ready ones, then starting ones, then unready ones."""
    fresh: Mapping[GroupKey, FreshNode]
    """A new node of each group that has a template."""
    arriving: Mapping[GroupKey, tuple[int, ...]]
    """Existing nodes that the scheduler has not filled yet, by group: starting ones, and those ready only just."""
    imagined: Counter[GroupKey]
    """Nodes that do not exist yet and have no pods promised to them. Changes as they are bought and promised."""

    def fork(self) -> Landscape:
        return replace(self, simulation=self.simulation.fork(), imagined=self.imagined.copy())

    @property
    def ready(self) -> BoolArray:
        """(size,) Nodes that take pods now."""
        return np.arange(self.simulation.size) < self.ready_count

    @property
    def settled(self) -> BoolArray:
        """(size,) Ready nodes that the scheduler has known for a while."""
        settled = self.ready
        for indices in self.arriving.values():
            settled[list(indices)] = False
        return settled

    def name(self, index: int) -> str:
        """What users call a node that pods were placed on."""
        return self.simulation.name(index) if index < self.existing_count else "an upcoming node"


def survey(
    snapshot: Snapshot, readiness: Readiness, upcoming: Mapping[GroupKey, Upcoming], ground: Ground
) -> Landscape:
    """The landscape at the beginning of a plan: what exists, and what earlier plans have asked for."""
    picture = snapshot.picture
    in_state = _by_state(picture.nodes, readiness)
    templates = as_siblings(
        {
            key: corrected(state.group.template, state.in_state(NodeState.READY))
            for key, state in readiness.groups.items()
            if state.group.template is not None
        }
    )
    starting = [
        as_started(node, template=_template(node, readiness, templates))
        for node in in_state[NodeState.NOT_STARTED]
    ]
    usable = [*in_state[NodeState.READY], *starting]
    nodes = [*usable, *in_state[NodeState.UNREADY], *in_state[NodeState.LONG_NOT_STARTED]]
    simulation = Simulation.of(
        nodes,
        _counting_pods(nodes, snapshot, readiness, ground),
        picture.namespaces,
        table=ground.table(nodes),
        roll=ground.roll,
    )
    for index in range(len(usable), len(nodes)):
        simulation.withdraw(index)
    for node in starting:
        _add_missing_daemons(simulation, node, picture.pods_by_node.get(node.name, ()), picture.daemon_sets)
    return Landscape(
        simulation=simulation,
        ready_count=len(in_state[NodeState.READY]),
        existing_count=len(nodes),
        fresh={key: ground.fresh(key, template, picture.daemon_sets) for key, template in templates.items()},
        arriving=_arriving(usable, readiness, now=snapshot.now),
        imagined=Counter({key: coming.imagined for key, coming in upcoming.items() if coming.imagined}),
    )


def settles_at(node: NodeRecord) -> datetime:
    """When a node that has become ready counts as known to the scheduler."""
    return (node.ready_changed_at or node.created_at) + SETTLING


def _arriving(
    nodes: Sequence[NodeRecord], readiness: Readiness, *, now: datetime
) -> Mapping[GroupKey, tuple[int, ...]]:
    arriving: dict[GroupKey, list[int]] = {}
    for index, node in enumerate(nodes):
        owner = readiness.owners.get(node.name)
        starting = readiness.states[node.name] is NodeState.NOT_STARTED
        if owner is not None and (starting or settles_at(node) > now):
            arriving.setdefault((owner.pool.name, owner.group.id), []).append(index)
    return {key: tuple(indices) for key, indices in arriving.items()}


def imagined_prefix(key: GroupKey) -> str:
    """Prefix of the names of a group's imagined nodes; no real node's name has a slash."""
    return f"upcoming/{key[0]}/{key[1]}"


def as_started(node: NodeRecord, *, template: Template | None) -> NodeRecord:
    """The node as it will be: without the taints of its start, with what its template promises and it lacks."""
    taints = tuple(
        taint
        for taint in node.taints
        if taint.key not in PASSING_TAINTS
        and not is_startup(taint.key, template)
        and not is_status(taint.key, template)
    )
    if template is None:
        return replace(node, taints=taints)
    there = {name: amount for name, amount in node.allocatable.items() if amount}
    return replace(
        node,
        taints=taints,
        labels={**template.labels, **node.labels},
        allocatable={**template.allocatable, **there},
        volume_limits={**template.volume_limits, **node.volume_limits},
    )


def _by_state(nodes: Iterable[NodeRecord], readiness: Readiness) -> Mapping[NodeState, list[NodeRecord]]:
    sorted_out: dict[NodeState, list[NodeRecord]] = {state: [] for state in NodeState}
    for node in nodes:
        sorted_out[readiness.states[node.name]].append(node)
    return sorted_out


def _template(
    node: NodeRecord, readiness: Readiness, templates: Mapping[GroupKey, Template]
) -> Template | None:
    owner = readiness.owners.get(node.name)
    return templates.get((owner.pool.name, owner.group.id)) if owner is not None else None


def _counting_pods(
    nodes: Sequence[NodeRecord], snapshot: Snapshot, readiness: Readiness, ground: Ground
) -> Mapping[str, Sequence[PodRecord]]:
    """The pods on each node without expendable ones: the scheduler would preempt those for any other."""
    default = ScaleUpSettings().expendable_pods_priority_cutoff
    counting: dict[str, Sequence[PodRecord]] = {}
    for node in nodes:
        pods = snapshot.picture.pods_by_node.get(node.name, ())
        owner = readiness.owners.get(node.name)
        cutoff = default
        if owner is not None:
            cutoff = owner.pool.settings.scale_up.expendable_pods_priority_cutoff
        if ground.lowest_priority(node.name, pods) < cutoff:
            pods = tuple(pod for pod in pods if pod.shape.priority >= cutoff)
        counting[node.name] = pods
    return counting


def _add_missing_daemons(
    simulation: Simulation,
    node: NodeRecord,
    pods: Iterable[PodRecord],
    daemon_sets: Iterable[DaemonSetRecord],
) -> None:
    """Count the DaemonSet pods that are still to come to a starting node, or others would be promised their room."""
    present = {pod.owner.uid for pod in pods if pod.owner is not None}
    index = simulation.index(node.name)
    for daemon_set in daemon_sets:
        if daemon_set.workload.uid not in present and simulation.misfit(daemon_set.shape, index) is None:
            simulation.place_on(daemon_set.shape, index)
