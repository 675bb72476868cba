"""Estimate: packing is never worse than Cluster Autoscaler's estimator, at least as many pods on at most as many nodes."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.cluster.groups import Template
from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.cluster.records import DaemonSetRecord, Workload
from springtide.scheduling.fresh import FreshNode, fresh_node
from springtide.scheduling.packing.packing import Packing, pack
from tests.conformance.corpus import Case

ENOUGH = 10_000
"""Nodes: more than any case needs."""


def judge(case: Case) -> Mapping[str, str]:
    """One line: right when we are no worse in pods and in nodes.

    Where we find a place for more pods, on more nodes, it counts how many find one on the recorded number of nodes:
    Cluster Autoscaler gives up on pods that come after one which nothing helps.
    """
    pods, nodes = bar(case["answer"])
    packing = packing_of(case, max_nodes=ENOUGH)
    if sum(packing.placed) > pods and packing.nodes > nodes:
        packing = packing_of(case, max_nodes=nodes)
    placed = sum(packing.placed)
    worse = placed < pods or packing.nodes > nodes
    said = f"{placed} pods on {packing.nodes} nodes, recorded {pods} pods on {nodes} nodes"
    return {"estimate": said if worse else ""}


def packing_of(case: Case, *, max_nodes: int) -> Packing:
    """Ours, of the case's pods on new nodes."""
    demands = [(pod_from_manifest(group["pod"]).shape, group["count"]) for group in case["groups"]]
    return pack(fresh_of(case), demands, max_nodes=max_nodes)


def fresh_of(case: Case) -> FreshNode:
    """The case's new node with its daemon pods."""
    node = node_from_manifest(case["template"])
    daemons = [
        DaemonSetRecord(
            workload=Workload(kind="DaemonSet", namespace="default", name=str(number), uid=str(number)),
            shape=pod_from_manifest(manifest).shape,
        )
        for number, manifest in enumerate(case["templatePods"])
    ]
    template = Template(
        capacity=node.capacity, allocatable=node.allocatable, labels=node.labels, taints=node.taints
    )
    return fresh_node(template, daemons)


def bar(answer: Case) -> tuple[int, int]:
    """(pods, nodes) to beat. Where its runs disagreed with each other, either of its two modes will do."""
    modes = [answer["default"]] if answer["stable"] else [answer["default"], answer["fastpath"]]
    return (
        max(mode["scheduledPodsRange"][0] for mode in modes),
        max(mode["nodeCountRange"][1] for mode in modes),
    )
