"""Nodes that do not exist yet: a node group's template with the DaemonSet pods that will run on it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from springtide.cluster.groups import Template
from springtide.cluster.records import DaemonSetRecord, NodeRecord, Resources, Taint
from springtide.cluster.shape import PodShape, Toleration
from springtide.scheduling.admission import BETWEEN_PODS
from springtide.scheduling.nodes.nodes import HOSTNAME_LABEL
from springtide.scheduling.simulation import Simulation
from springtide.scheduling.verdict import Misfit, Plugin

_FRESH_PREFIX = "fresh"
_LEFT_OPEN = BETWEEN_PODS | {Plugin.NOT_MODELLED}
"""Plugins whose no says little about a node that stands alone."""
_NEVER_BORN = datetime.fromtimestamp(0, UTC)

DAEMON_TOLERATIONS = (
    Toleration(key="node.kubernetes.io/not-ready", operator="Exists", effect="NoExecute"),
    Toleration(key="node.kubernetes.io/unreachable", operator="Exists", effect="NoExecute"),
    Toleration(key="node.kubernetes.io/disk-pressure", operator="Exists", effect="NoSchedule"),
    Toleration(key="node.kubernetes.io/memory-pressure", operator="Exists", effect="NoSchedule"),
    Toleration(key="node.kubernetes.io/pid-pressure", operator="Exists", effect="NoSchedule"),
    Toleration(key="node.kubernetes.io/unschedulable", operator="Exists", effect="NoSchedule"),
    Toleration(key="node.kubernetes.io/network-unavailable", operator="Exists", effect="NoSchedule"),
)
"""What the DaemonSet controller adds to its pods
(pkg/controller/daemon/util.AddOrUpdateDaemonPodTolerations). The last one it adds to pods on the host network
only; but that taint is gone once the node's network is up, and then the others run there, too."""


@dataclass(frozen=True)
class FreshNode:
    """What a new node of a group will be when its daemon pods run on it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    """Those that stay; startup taints are left out."""
    allocatable: Resources = field(default_factory=dict)
    capacity: Resources = field(default_factory=dict)
    volume_limits: Mapping[str, int] = field(default_factory=dict)
    """CSI driver -> how many of its volumes can be attached, as far as known."""
    daemon_shapes: tuple[PodShape, ...] = ()
    """One daemon pod of each is on every such node."""

    def anew(self) -> FreshNode:
        """The same, without what it remembers of questions about it."""
        return replace(self)

    @cached_property
    def size(self) -> Hashable:
        """Nodes equal in this hold the same pods, as far as those fit them at all."""
        return (
            tuple(sorted(self.capacity.items())),
            tuple(sorted(self.allocatable.items())),
            tuple(sorted(shape.number for shape in self.daemon_shapes)),
        )

    @cached_property
    def alone(self) -> Simulation:
        """A simulation of one such node and nothing else. Shared: fork it before changing it."""
        simulation = Simulation.empty()
        simulation.add_nodes(self, 1, prefix=_FRESH_PREFIX)
        return simulation


def fresh_node(template: Template, daemonsets: Sequence[DaemonSetRecord]) -> FreshNode:
    """The template with the daemon pods that the filters let run there.

    A DaemonSet that does not admit the node, or whose pod does not fit beside those of higher priority, has
    no pod there: it would wait, and must not make the node look smaller. A daemon pod with constraints that
    are not modelled, or that asks where other pods are, is counted, which errs on the side of too little room.
    """
    startup = {(taint.key, taint.effect) for taint in template.startup_taints}
    bare = FreshNode(
        labels=template.labels,
        taints=tuple(taint for taint in template.taints if (taint.key, taint.effect) not in startup),
        allocatable=template.allocatable,
        capacity=template.capacity,
        volume_limits=template.volume_limits,
    )
    if not daemonsets:
        return bare
    node = bare.alone.fork()
    running: list[PodShape] = []
    for shape in sorted((record.shape for record in daemonsets), key=lambda shape: -shape.priority):
        misfit = node.misfit(_as_controlled(shape), 0)
        if misfit is None or misfit.plugin in _LEFT_OPEN:
            node.place_on(shape, 0)
            running.append(shape)
    return replace(bare, daemon_shapes=tuple(running))


def side_by_side(nodes: Mapping[str, FreshNode]) -> Simulation:
    """A simulation of one node of each kind with its daemon pods, named as given; no other node exists."""
    records = [
        NodeRecord(
            name=name,
            uid=name,
            created_at=_NEVER_BORN,
            labels={**node.labels, HOSTNAME_LABEL: name},
            taints=node.taints,
            allocatable=node.allocatable,
            volume_limits=node.volume_limits,
        )
        for name, node in nodes.items()
    ]
    simulation = Simulation.of(records, {})
    on: dict[PodShape, list[int]] = {}
    for index, node in enumerate(nodes.values()):
        for shape in node.daemon_shapes:
            on.setdefault(shape, []).append(index)
    for shape, indices in on.items():
        simulation.place_at(shape, np.array(indices), np.ones(len(indices), dtype=np.int64))
    return simulation


def _as_controlled(shape: PodShape) -> PodShape:
    return replace(shape, tolerations=(*shape.tolerations, *DAEMON_TOLERATIONS))


def misfit_on_fresh(shape: PodShape, fresh: FreshNode) -> Misfit | None:
    """Why a pod of the shape would not fit a fresh node on which only daemon pods run; None if it would."""
    return fresh.alone.misfit(shape, 0)
