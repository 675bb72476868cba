"""Objects as the API server sends them, for tests of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from springtide.cli.demo.picture import POOL_LABEL, Picture

GIB = 2**30


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def picture() -> tuple[Picture, Clock]:
    clock = Clock()
    return Picture(clock), clock


def pod(
    name: str, *, cpu: str = "1", memory: str = "1Gi", gpus: int = 0, node: str = "", phase: str = "Pending"
) -> dict[str, Any]:
    requests = {"cpu": cpu, "memory": memory} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"containers": [{"resources": {"requests": requests}}]}
        | ({"nodeName": node} if node else {}),
        "status": {"phase": phase},
    }


def node(
    name: str,
    *,
    pool: str = "general",
    zone: str = "us-east-1a",
    instance_type: str = "m5.24xlarge",
    allocatable: Mapping[str, str] | None = None,
    taints: tuple[str, ...] = (),
    ready: bool = True,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {
                POOL_LABEL: pool,
                "topology.kubernetes.io/zone": zone,
                "node.kubernetes.io/instance-type": instance_type,
            },
        },
        "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]},
        "status": {
            "allocatable": dict(allocatable or {"cpu": "4", "memory": "8Gi", "pods": "110"}),
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def node_pool(
    name: str, *, ready: int = 0, target: int = 0, scale_down: str = "NoCandidates"
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "status": {
            "size": {"target": target, "min": 0, "max": 90},
            "nodes": {"ready": ready},
            "scaleUp": {"state": "NoActivity" if ready == target else "InProgress"},
            "scaleDown": {"state": scale_down, "candidateCount": 0},
            "conditions": [{"type": "Ready", "status": "True", "message": "managing 3 node groups"}],
        },
    }


def event(message: str, *, component: str = "springtide", kind: str = "Normal") -> dict[str, Any]:
    return {
        "metadata": {"name": message, "uid": message},
        "involvedObject": {"kind": "NodePool", "name": "general"},
        "source": {"component": component},
        "reason": "ScaledUpGroup",
        "type": kind,
        "message": message,
    }
