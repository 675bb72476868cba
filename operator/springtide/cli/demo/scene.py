"""One picture of the live view as plain data: what is shown, and nothing of how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from springtide.cli.demo.picture import RESOURCES, Decision, NodeSeen, Picture, PodSeen
from springtide.cli.demo.story import Chapter

AGES: Final = (2.0, 5.0, 15.0)
"""Waiting pods are counted by age: younger than each of these, and older than the last. Seconds."""

DECISIONS_SHOWN: Final = 8


class NodeState(Enum):
    """What a node is about to do."""

    STARTING = "starting"
    READY = "ready"
    CANDIDATE = "unneeded"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One NodePool, as `kubectl get nodepools` shows it."""

    name: str
    ready: int
    target: int
    min: int
    max: int
    scale_up: str
    scale_down: str
    candidates: int
    hourly_cost: float
    accepted: bool
    """Its condition Ready."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node."""

    name: str
    pool: str
    zone: str
    state: NodeState
    fill: Mapping[str, float]
    """Requested share of what is allocatable, 0 to 1, by resource; absent what the node does not have."""
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything on the screen at one moment."""

    elapsed: float
    chapter: Chapter | None
    result: str
    """What the chapter came to, once it did."""
    kubectl: str
    pools: tuple[PoolRow, ...]
    nodes: tuple[NodeRow, ...]
    running: int
    waiting_by_age: tuple[int, ...]
    """One count for each of AGES, and one for the older."""
    decisions: tuple[Decision, ...]
    hourly_cost: float
    spent: float
    """USD so far."""


def scene_of(picture: Picture, *, chapter: Chapter | None, result: str, kubectl: str) -> Scene:
    """What there is to show now."""
    now = picture.clock()
    return Scene(
        elapsed=now,
        chapter=chapter,
        result=result,
        kubectl=kubectl,
        pools=tuple(_pool_row(name, pool, picture) for name, pool in sorted(picture.pools.items())),
        nodes=_node_rows(picture),
        running=picture.running(),
        waiting_by_age=_by_age(picture.waiting(), now),
        decisions=tuple(picture.decisions)[-DECISIONS_SHOWN:],
        hourly_cost=picture.hourly_cost(),
        spent=picture.spent(now),
    )


def _pool_row(name: str, pool: dict[str, Any], picture: Picture) -> PoolRow:
    status = pool.get("status", {})
    size, scale_down = status.get("size", {}), status.get("scaleDown", {})
    conditions = status.get("conditions", ())
    return PoolRow(
        name=name,
        ready=status.get("nodes", {}).get("ready", 0),
        target=size.get("target", 0),
        min=size.get("min", 0),
        max=size.get("max", 0),
        scale_up=status.get("scaleUp", {}).get("state", ""),
        scale_down=scale_down.get("state", ""),
        candidates=scale_down.get("candidateCount", 0),
        hourly_cost=sum(node.hourly_price or 0.0 for node in picture.nodes.values() if node.pool == name),
        accepted=any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions),
    )


def _node_rows(picture: Picture) -> tuple[NodeRow, ...]:
    used = picture.used()
    pods: dict[str, int] = dict.fromkeys(picture.nodes, 0)
    for pod in picture.pods.values():
        if pod.node in pods:
            pods[pod.node] += 1
    ordered = sorted(picture.nodes.values(), key=lambda node: (node.pool, node.joined, node.name))
    return tuple(
        NodeRow(
            name=node.name,
            pool=node.pool,
            zone=node.zone,
            state=_state(node),
            fill={
                resource: used[node.name][resource] / node.allocatable[resource]
                for resource in RESOURCES
                if node.allocatable.get(resource)
            },
            pods=pods[node.name],
        )
        for node in ordered
    )


def _state(node: NodeSeen) -> NodeState:
    if node.removing:
        return NodeState.REMOVING
    if not node.ready:
        return NodeState.STARTING
    return NodeState.CANDIDATE if node.candidate else NodeState.READY


def _by_age(waiting: list[PodSeen], now: float) -> tuple[int, ...]:
    counts = [0] * (len(AGES) + 1)
    for pod in waiting:
        counts[sum(now - pod.created >= age for age in AGES)] += 1
    return tuple(counts)
