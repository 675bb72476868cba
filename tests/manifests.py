"""Manifests that users might write: how to make one, and good ones."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]


def nodepool(name: str = "general", **spec: Any) -> Manifest:
    """A NodePool that is good unless `spec` spoils it; a value of None leaves the field out."""
    return _manifest("NodePool", name, {"provider": {"aws": {**REGION, **GROUPS}}} | spec)


def policy(name: str = "steady", **spec: Any) -> Manifest:
    """An AutoscalerPolicy that is good unless `spec` spoils it."""
    return _manifest("AutoscalerPolicy", name, spec)


def _manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    given = {key: value for key, value in spec.items() if value is not None}
    return {
        "apiVersion": "springtide.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": given,
    }


REGION = {"region": "eu-central-1"}
GROUPS = {"autoScalingGroups": ["general-a", "general-b"]}
TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}


def simulated(**group: Any) -> Manifest:
    return {"simulated": {"groups": [{"name": "a", "capacity": {"cpu": 4, "memory": "16Gi"}} | group]}}


def aws(**fields: Any) -> Manifest:
    return {"aws": REGION | fields}


GOOD: dict[str, Manifest] = {
    "the least there is to say": nodepool(),
    "every field of a NodePool": nodepool(
        policyRef={"name": "steady"},
        mode="DryRun",
        minSize=0,
        maxSize=100,
        provider=aws(discovery={"tags": {"k8s.io/cluster-autoscaler/prod": "", "team": "search"}}),
        template={
            "labels": {"example.com/tier": "front", "empty": ""},
            "taints": [TAINT, TAINT | {"effect": "NoExecute", "value": "yes"}],
            "startupTaints": [{"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}],
            "capacity": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": "1", "pods": 110},
            "allocatable": {"cpu": "3920m", "memory": "15.2Gi"},
        },
        hourlyPrice="0.096",
        scaleUp={"fromZero": False, "backoff": {"initial": "1m"}, "bypassedSchedulers": ["volcano"]},
        scaleDown={"enabled": False, "unneededTime": "1h30m", "utilizationThresholdPercent": 0},
    ),
    "min equal to max": nodepool(minSize=3, maxSize=3),
    "a simulated cloud": nodepool(provider=simulated(minSize=1, maxSize=5, bootDelay="2s", available=3)),
    "a policy that says nothing": policy(),
    "every field of a policy": policy(
        mode="Paused",
        scanInterval="30s",
        settle="0s",
        settleMax="500ms",
        expanders=["least-nodes", "least-waste", "random"],
        currency="EUR",
        scaleUp={
            "newPodDelay": "2s",
            "maxNodeProvisionTime": "10m",
            "maxNodeStartupTime": "1.5h",
            "maxNodesPerPass": 50,
            "backoff": {"initial": "30s", "max": "30s", "reset": "1h"},
            "expendablePodsPriorityCutoff": -100,
            "bypassedSchedulers": ["volcano", "yunikorn"],
            "fromZero": True,
        },
        scaleDown={"maxParallel": 3, "maxGracefulTermination": "0", "minReplicaCount": 1},
        limits={
            "min": {"nodes": 1, "cpu": "4000m", "memory": "1Ki"},
            "max": {"cpu": 4, "memory": "1Ti", "hourlyCost": "12.50"},
        },
        budgets=[
            {"name": "always", "nodesPercent": 10},
            {
                "name": "business-hours",
                "action": "Limit",
                "nodes": 0,
                "reasons": ["Empty", "Underutilized"],
                "schedule": "0 8 * * MON-FRI",
                "duration": "10h",
                "timeZone": "Europe/Berlin",
            },
            {"name": "nights", "action": "Allow", "schedule": "30 22 * * *", "duration": "6h"},
        ],
        health={"maxUnreadyPercent": 100, "okUnreadyCount": 0},
    ),
}
