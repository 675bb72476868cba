"""Expanders keep the options that Cluster Autoscaler's keep. Price is reported only: its measure is Cluster Autoscaler's
taste in node sizes, ours is money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from springtide.api.settings import Expander
from springtide.cluster.groups import Template
from springtide.cluster.manifests import node_from_manifest, pod_from_manifest
from springtide.cluster.shape import PodShape
from springtide.planning.expanders.expanders import best
from springtide.planning.expanders.options import ExpansionOption
from springtide.planning.expanders.priorities import Priorities, read_priorities
from springtide.scheduling.fresh import FreshNode, fresh_node
from tests.conformance.corpus import Case
from tests.conformance.judging import unlike


def judge(case: Case) -> Mapping[str, str]:
    """One line for each expander and chain that was recorded."""
    options = _options(case)
    return {
        f"expander-{chain}": unlike(_kept(options, chain), recorded)
        for chain, recorded in case["answer"].items()
    }


def _kept(left: Sequence[ExpansionOption], chain: str) -> list[str]:
    for name in chain.split(","):
        left = best(left, Expander(name))
    return [option.group for option in left]


def _options(case: Case) -> list[ExpansionOption]:
    nodes = {group: _fresh(manifest) for group, manifest in case["nodeInfos"].items()}
    prices = {each["id"]: each["nodePrice"] for each in case["options"] if each["nodePrice"] >= 0}
    priorities = _priorities(case)
    options = []
    for each in case["options"]:
        group = each["id"]
        served = tuple((pod_from_manifest(pods["pod"]).shape, pods["count"]) for pods in each["pods"])
        options.append(
            ExpansionOption(
                pool="pool",
                group=group,
                nodes=each["nodeCount"],
                served=served,
                capacity=nodes[group].capacity if group in nodes else {},
                hourly_price=prices.get(group),
                worth=sum(_worth(shape, nodes, prices) * count for shape, count in served),
                priority=priorities.of(group),
            )
        )
    return options


def _fresh(manifest: Case) -> FreshNode:
    node = node_from_manifest(manifest)
    return fresh_node(
        Template(
            capacity=node.capacity, allocatable=node.allocatable, labels=node.labels, taints=node.taints
        ),
        (),
    )


def _worth(shape: PodShape, nodes: Mapping[str, FreshNode], prices: Mapping[str, float]) -> float:
    """As planning.expanders.appraisal settles it from the groups that may be bought from; here they are the options."""
    rooms = {group: int(node.alone.room(shape)[0]) for group, node in nodes.items() if group in prices}
    return min((prices[group] / room for group, room in rooms.items() if room), default=0.0)


def _priorities(case: Case) -> Priorities:
    text = case.get("priorityConfig")
    return Priorities() if text is None or case.get("noPrioritiesKey") else read_priorities(text)
