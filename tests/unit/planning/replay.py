"""A plan's removals carried out one by one, judged by the filters on clusters that are built anew for every pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from springtide.api.nodepool import HARD_TAINT
from springtide.cluster.records import NodeRecord, PodRecord, Taint, TaintEffect
from springtide.cluster.snapshot import Snapshot
from springtide.planning.plan import Plan, Removal
from springtide.scheduling.simulation import Simulation

_LEAVING = Taint(HARD_TAINT, "1", TaintEffect.NO_SCHEDULE)
_CORDON = Taint("node.kubernetes.io/unschedulable", "", TaintEffect.NO_SCHEDULE)
CUTOFF = -10


def broken_promises(world: Snapshot, made: Plan) -> list[str]:
    """In words: each pod that would not fit where the plan says that it goes, or that the plan has forgotten."""
    told: list[str] = []
    pods = {name: list(there) for name, there in world.picture.pods_by_node.items()}
    removed: list[str] = []
    for removal in made.removals:
        removed.append(removal.node)
        moving = {pod.uid: pod for pod in must_move(removal)}
        if set(moving) != set(removal.destinations):
            told.append(f"{removal.node}: not every pod has a destination, or too many have")
        pods[removal.node] = [pod for pod in pods.get(removal.node, []) if pod.uid not in moving]
        for uid, target in removal.destinations.items():
            told += _objections(world.picture.nodes, pods, removed, moving[uid], target)
            pods.setdefault(target, []).append(
                replace(moving[uid], node_name=target, deletion_timestamp=None)
            )
    received = {target for removal in made.removals for target in removal.destinations.values()}
    told += [f"{name} receives pods and goes" for name in sorted(received & set(removed))]
    return told


def must_move(removal: Removal) -> list[PodRecord]:
    return [pod for pod in removal.pods_to_evict if pod.shape.priority >= CUTOFF]


def _objections(
    nodes: Sequence[NodeRecord],
    pods: Mapping[str, Sequence[PodRecord]],
    removed: Sequence[str],
    pod: PodRecord,
    target: str,
) -> list[str]:
    counting = {
        name: [each for each in there if each.shape.priority >= CUTOFF] for name, there in pods.items()
    }
    there = [_as_ghost(node) if node.name in removed else node for node in nodes]
    gone = [node for node in nodes if node.name not in removed]
    told = []
    for moment, present in (("while the nodes are there", there), ("once they are gone", gone)):
        simulation = Simulation.of([node for node in present if node.ready], counting)
        misfit = simulation.misfit(pod.shape, simulation.index(target))
        if misfit is not None:
            told.append(f"{pod.key} does not fit {target} {moment}: {misfit}")
    return told


def _as_ghost(node: NodeRecord) -> NodeRecord:
    return replace(node, taints=(*node.taints, _LEAVING, _CORDON), unschedulable=True)
