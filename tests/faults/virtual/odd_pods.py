"""Random pods, odder than any API server would store."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.faults.virtual.odd_parts import (
    odd_amounts,
    odd_annotations,
    odd_labels,
    odd_requirement,
    odd_selector,
    some,
)
from tests.faults.virtual.oddities import KEYS, NAMESPACES, TIMES, VALUES, spoiled
from tests.manifests import Manifest


def odd_pod(rng: Random, number: int, nodes: Sequence[str]) -> Manifest:
    """A pod that waits for a node, or is on one of these; one in four is spoiled at random places besides."""
    bound = bool(nodes) and rng.random() < 0.2
    namespace = rng.choice(NAMESPACES)
    pod: Manifest = {
        "metadata": {
            "name": f"odd-{number}",
            "namespace": namespace,
            "uid": f"odd-{number}",
            "creationTimestamp": rng.choice(TIMES),
            "labels": odd_labels(rng),
            "annotations": odd_annotations(rng),
            "ownerReferences": rng.choice(([], [_owner(rng)], [_owner(rng), _owner(rng)])),
        },
        "spec": odd_spec(rng),
        "status": {"phase": "Pending", "conditions": [_REFUSED]},
    }
    if rng.random() < 0.1:
        pod["metadata"]["deletionTimestamp"] = rng.choice(TIMES)
        pod["metadata"]["deletionGracePeriodSeconds"] = rng.choice((30, 0, 2**62))
    if rng.random() < 0.02:
        _make_heavy(rng, pod["spec"])
    if bound:
        pod["spec"]["nodeName"] = rng.choice(nodes)
        pod["status"] = {"phase": rng.choice(("Running", "Pending", "Unknown", "Odd"))}
    if rng.random() < 0.25:
        spoiled_part = spoiled(
            rng, {"spec": pod["spec"], "status": pod["status"]}, times=rng.choice((1, 2, 4))
        )
        pod = {"metadata": pod["metadata"], **spoiled_part}
    return pod


def _make_heavy(rng: Random, spec: Manifest) -> None:
    """As much of one thing as fits into an object of the API server, nearly: a tenant who wants to be a burden."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    match rng.randrange(6):
        case 0:
            spec["tolerations"] = [{"key": f"k{i}", "operator": "Exists"} for i in range(2000)]
        case 1:
            terms = [
                {"topologyKey": f"k{i}", "labelSelector": {"matchLabels": {"app": str(i)}}}
                for i in range(300)
            ]
            spec["affinity"] = {rng.choice(("podAffinity", "podAntiAffinity")): {required: terms}}
        case 2:
            spec["topologySpreadConstraints"] = [
                {
                    "topologyKey": f"k{i % 3}",
                    "maxSkew": 1,
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app": str(i)}},
                }
                for i in range(300)
            ]
        case 3:
            expression = {
                "key": "topology.kubernetes.io/zone",
                "operator": "NotIn",
                "values": [f"z{i}" for i in range(100)],
            }
            spec["affinity"] = {
                "nodeAffinity": {
                    required: {"nodeSelectorTerms": [{"matchExpressions": [expression] * 20}] * 50}
                }
            }
        case 4:
            spec["containers"] = [
                {
                    "name": f"c{i}",
                    "ports": [{"hostPort": i + 1}],
                    "resources": {"requests": {f"x.io/{i}": "1"}},
                }
                for i in range(300)
            ]
        case _:
            spec["volumes"] = [
                {"name": f"v{i}", "persistentVolumeClaim": {"claimName": f"claim-{i}"}} for i in range(300)
            ]


_REFUSED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}


def _owner(rng: Random) -> Manifest:
    kind = rng.choice(("ReplicaSet", "DaemonSet", "StatefulSet", "Job", "Node", "Workflow"))
    return {
        "kind": kind,
        "name": "owner",
        "uid": f"owner-{rng.randrange(20)}",
        "apiVersion": "apps/v1",
        "controller": rng.random() < 0.9,
    }


def _container(rng: Random) -> Manifest:
    port = {
        "containerPort": rng.choice((80, 8080, 0, -1, 70000)),
        "hostPort": rng.choice((0, 80, 8080, 65536, -5)),
        "protocol": rng.choice(("TCP", "UDP", "SCTP", "", "QUIC")),
        "hostIP": rng.choice(("", "0.0.0.0", "127.0.0.1", "::", "nonsense")),
    }
    container = {
        "name": rng.choice(("main", "side", "")),
        "resources": {"requests": odd_amounts(rng), "limits": odd_amounts(rng)},
        "ports": [port] if rng.random() < 0.2 else [],
        "restartPolicy": rng.choice(("", "Always", "Never")),
    }
    return {key: value for key, value in container.items() if rng.random() < 0.9}


def _term(rng: Random) -> Manifest:
    term = {
        "topologyKey": rng.choice(KEYS),
        "labelSelector": odd_selector(rng),
        "namespaces": rng.choice(([], ["shop"], ["absent", ""])),
        "namespaceSelector": odd_selector(rng),
        "matchLabelKeys": rng.choice(([], ["app"], ["absent"])),
    }
    return {key: value for key, value in term.items() if rng.random() < 0.8 and value is not None}


def _affinity(rng: Random) -> Manifest:
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    terms = [
        {
            "matchExpressions": some(rng, odd_requirement, share=0.8),
            "matchFields": some(rng, odd_requirement, share=0.1),
        }
    ]
    parts = {
        "nodeAffinity": {
            required: {"nodeSelectorTerms": rng.choice(([], terms, terms * 3))},
            preferred: [{"weight": -1}],
        },
        "podAffinity": {required: some(rng, _term, share=0.7)},
        "podAntiAffinity": {
            required: some(rng, _term, share=0.7),
            preferred: [{"weight": 10**12, "podAffinityTerm": {}}],
        },
    }
    return {key: value for key, value in parts.items() if rng.random() < 0.4}


def _spread(rng: Random) -> Manifest:
    spread = {
        "topologyKey": rng.choice(KEYS[:4] + KEYS),
        "maxSkew": rng.choice((1, 2, 0, -1, 2**31)),
        "whenUnsatisfiable": rng.choice(("DoNotSchedule", "DoNotSchedule", "ScheduleAnyway", "Maybe")),
        "labelSelector": odd_selector(rng),
        "matchLabelKeys": rng.choice(([], ["app"], ["absent"])),
        "minDomains": rng.choice((None, 1, 3, 0, -1, 10**9)),
        "nodeAffinityPolicy": rng.choice((None, "Honor", "Ignore", "Perhaps")),
        "nodeTaintsPolicy": rng.choice((None, "Honor", "Ignore", "")),
    }
    return {key: value for key, value in spread.items() if rng.random() < 0.85}


def _toleration(rng: Random) -> Manifest:
    toleration = {
        "key": rng.choice(KEYS),
        "operator": rng.choice(("Equal", "Exists", "", "Gt", "Lt")),
        "value": rng.choice(VALUES),
        "effect": rng.choice(("NoSchedule", "NoExecute", "", "NoMercy")),
        "tolerationSeconds": rng.choice((0, -1, 2**63)),
    }
    return {key: value for key, value in toleration.items() if rng.random() < 0.8}


def _volume(rng: Random) -> Manifest:
    sources: list[Manifest] = [
        {"emptyDir": {}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "1e30"}},
        {"hostPath": {"path": "/"}},
        {"persistentVolumeClaim": {"claimName": rng.choice(("absent", "", "x" * 300))}},
        {"ephemeral": {"volumeClaimTemplate": {}}},
        {"awsElasticBlockStore": {"volumeID": rng.choice(("vol-1", "")), "readOnly": True}},
        {"gcePersistentDisk": {"pdName": "disk"}},
        {"rbd": {"monitors": ["a", "b"], "image": "i"}},
        {"iscsi": {"iqn": "iqn"}},
        {},
    ]
    return {"name": rng.choice(("data", "", "v" * 300)), **rng.choice(sources)}


def odd_spec(rng: Random) -> Manifest:
    spec: Manifest = {
        "containers": some(rng, _container, share=0.97),
        "initContainers": some(rng, _container, share=0.2),
        "affinity": _affinity(rng) if rng.random() < 0.5 else None,
        "topologySpreadConstraints": some(rng, _spread, share=0.3),
        "tolerations": some(rng, _toleration, share=0.4),
        "nodeSelector": odd_labels(rng) if rng.random() < 0.15 else None,
        "volumes": some(rng, _volume, share=0.25),
        "overhead": odd_amounts(rng) if rng.random() < 0.1 else None,
        "resources": {"requests": odd_amounts(rng)} if rng.random() < 0.1 else None,
        "priority": rng.choice((0, 0, -5, -(2**31), 2_000_000_000)),
        "schedulerName": rng.choice(("default-scheduler", "default-scheduler", "volcano", "")),
        "terminationGracePeriodSeconds": rng.choice((30, 0, -1, 2**62)),
        "restartPolicy": rng.choice(("Always", "Never", "", "Sometimes")),
        "hostNetwork": rng.random() < 0.1,
        "resourceClaims": [{"name": "gpu"}] if rng.random() < 0.03 else [],
        "schedulingGates": [{"name": "wait"}] if rng.random() < 0.03 else [],
    }
    return {key: value for key, value in spec.items() if value is not None and rng.random() < 0.9}
