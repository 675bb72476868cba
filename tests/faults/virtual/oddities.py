"""Random pods and custom resources, odder than any API server would store: everything comes from the seed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.manifests import GOOD, Manifest

NAMESPACES = ("default", "shop", "kube-system")
KEYS = (
    "app",
    "tier",
    "topology.kubernetes.io/zone",
    "kubernetes.io/hostname",
    "example.com/x",
    "",
    "Ünïcode/ключ",
    "a" * 400,
)
VALUES = (
    "web",
    "a",
    "b",
    "zone-a",
    "zone-b",
    "",
    "3",
    "-7",
    "1e9",
    "x" * 5000,
    "…\u202e[red]",
    "\x1b[31m",
    "日本",
    # Taints tell times as seconds: in the year 10000, and beyond any.
    "253402300800",
    "9" * 30,
)
_SANE_QUANTITIES = ("1", "250m", "0.5m", "1Gi", "512Mi", "4", "100Ki", "2500000u", "0", "1.5Gi", "7n")
_HUGE_QUANTITIES = (
    "1e30",
    "-5",
    "1Ei",
    "99999999999999999999",
    "1E3",
    "9" * 5000,
    "1e-400",
    "1e2147483648",
    "8E",
)
_NO_QUANTITIES = ("", "a lot", "1 Gi", "NaN", "--1", "1Zi", "०")
QUANTITIES = _SANE_QUANTITIES + _HUGE_QUANTITIES + _NO_QUANTITIES
RESOURCES = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "nvidia.com/gpu",
    "hugepages-2Mi",
    "pods",
    "",
    "attachable-volumes-aws-ebs",
)
TIMES = (
    "2026-01-01T12:00:00Z",
    "2026-01-01T12:00:00.123456789Z",
    "2025-01-01T00:00:00+14:00",
    "2062-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
)
DURATIONS = (
    "10m",
    "1h30m",
    "0",
    "0s",
    "-1s",
    "292y",
    "1e9s",
    "9" * 30 + "h",
    "1",
    "PT1H",
    "٣s",
    "1.5.5s",
    "2562047h47m16s",
    "",
)


def odd_scalar(rng: Random) -> Any:
    """Any JSON value that is not made of others."""
    return rng.choice(
        [
            lambda: rng.choice((0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 10**300, 7)),
            lambda: rng.choice((0.5, -0.0, 1e308, 1e-320, 3.0)),
            lambda: rng.choice((True, False, None)),
            lambda: rng.choice(QUANTITIES),
            lambda: rng.choice(DURATIONS),
            lambda: rng.choice(TIMES),
            lambda: rng.choice(VALUES),
            lambda: "".join(
                chr(rng.choice((rng.randrange(1, 128), rng.randrange(160, 0xD7FF))))
                for _ in range(rng.randrange(40))
            ),
        ]
    )()


def odd_value(rng: Random) -> Any:
    """Any JSON value, sometimes deep or long."""
    match rng.randrange(12):
        case 0:
            return [odd_scalar(rng) for _ in range(rng.choice((0, 1, 3, 300)))]
        case 1:
            return {str(odd_scalar(rng)): odd_scalar(rng) for _ in range(rng.choice((0, 1, 3, 100)))}
        case 2:
            return _nested(rng.choice((3, 30, 200)), rng.choice(("list", "object")))
        case _:
            return odd_scalar(rng)


def _nested(depth: int, kind: str) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


def spoiled(rng: Random, manifest: Manifest, *, times: int) -> Manifest:
    """The manifest with so many random changes at random places."""
    changed = copy.deepcopy(manifest)
    for _ in range(times):
        _spoil(rng, changed)
    return changed


def _spoil(rng: Random, value: Any) -> None:
    """Go down a random path, and change what is there."""
    while isinstance(value, (dict, list)) and value:
        key: Any = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        inside = value[key]
        if isinstance(inside, (dict, list)) and inside and rng.random() < 0.8:
            value = inside
            continue
        match rng.randrange(6):
            case 0:
                del value[key]
            case 1 if isinstance(value, dict):
                value[str(odd_scalar(rng))] = inside
            case 1:
                value.extend([inside] * rng.choice((1, 50)))
            case _:
                value[key] = odd_value(rng)
        return


# --- custom resources ----------------------------------------------------------------------------------------------


def odd_resource(rng: Random, number: int) -> Manifest:
    """A NodePool or AutoscalerPolicy, often valid but for one thing, with the metadata that an API server gives."""
    good = rng.choice(list(GOOD.values()))
    manifest = copy.deepcopy(good)
    if manifest["kind"] == "NodePool" and rng.random() < 0.7:
        manifest["spec"]["provider"] = _simulated(rng)
    spec = spoiled(rng, {"spec": manifest["spec"]}, times=rng.choice((0, 1, 1, 2, 5))).get("spec", {})
    if rng.random() < 0.1:
        manifest["status"] = odd_value(rng)
    elif rng.random() < 0.3:
        manifest["status"] = spoiled(rng, _STATUS, times=rng.choice((1, 3)))
    metadata = {"name": f"odd-{number}", "uid": f"odd-{number}", "generation": rng.choice((1, 2, 10**9))}
    return {**manifest, "metadata": metadata, "spec": spec}


def _simulated(rng: Random) -> Manifest:
    amounts = ("4", "64", "0", "250m", "1e30", "9223372036854775807", 16)
    groups = [
        {
            "name": f"g{index}",
            "zone": rng.choice(("zone-a", "zone-b", "")),
            "minSize": rng.choice((0, 0, 0, 1)),
            "maxSize": rng.choice((0, 3, 1_000_000)),
            "capacity": {"cpu": rng.choice(amounts), "memory": rng.choice(("16Gi", "1Ei", "0", "1"))},
            "hourlyPrice": rng.choice(("0.1", "0", "1e30", "9" * 32, 3)),
        }
        for index in range(rng.choice((1, 2, 5)))
    ]
    return {"simulated": {"groups": groups}}


_STATUS: Manifest = {
    "observedGeneration": 1,
    "size": {"target": 3, "min": 0, "max": 9},
    "groups": [
        {
            "id": "g0",
            "target": 3,
            "min": 0,
            "max": 9,
            "ready": 2,
            "unfulfilled": 1,
            "purchase": {
                "since": "2026-01-01T12:00:00.000000Z",
                "from": 1,
                "to": 3,
                "planID": "abc",
                "registered": 1,
            },
            "backoff": {
                "until": "2026-01-01T12:10:00Z",
                "reason": "OutOfCapacity",
                "failures": 3,
                "message": "none left",
            },
            "lastError": {"time": "2026-01-01T12:00:00Z", "message": "none left"},
        }
    ],
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "lastTransitionTime": "2026-01-01T12:00:00Z",
        }
    ],
    "lastProbeTime": "2026-01-01T12:00:00Z",
    "lastDecision": {"time": "2026-01-01T12:00:00Z", "planID": "abc", "action": "ScaleUp", "summary": "x"},
}


# --- pods ----------------------------------------------------------------------------------------------------------


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
            "labels": _labels(rng),
            "annotations": _annotations(rng),
            "ownerReferences": rng.choice(([], [_owner(rng)], [_owner(rng), _owner(rng)])),
        },
        "spec": _spec(rng),
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


# --- what pods live among ------------------------------------------------------------------------------------------


def odd_surroundings(rng: Random) -> dict[str, list[Manifest]]:
    """By resource: nodes, budgets, DaemonSets, namespaces, owners, claims and volumes, half of them spoiled."""
    made = {
        "nodes": [_node(rng, number) for number in range(rng.randrange(4))],
        "poddisruptionbudgets": [_budget(rng, number) for number in range(rng.randrange(4))],
        "daemonsets": [_daemon_set(rng, number) for number in range(rng.randrange(3))],
        "namespaces": [{"metadata": {"name": name, "labels": _labels(rng)}} for name in NAMESPACES],
        "replicasets": [_controller(rng, number) for number in range(rng.randrange(6))],
        "persistentvolumeclaims": [_claim(rng, number) for number in range(rng.randrange(6))],
        "persistentvolumes": [_persistent_volume(rng, number) for number in range(rng.randrange(4))],
        "storageclasses": [_storage_class(rng, number) for number in range(rng.randrange(3))],
        "csinodes": [
            {
                "metadata": {"name": "general-a-1"},
                "spec": {"drivers": [{"name": "d", "allocatable": {"count": rng.choice((0, -1, 2**31))}}]},
            }
        ],
    }
    return {
        resource: [_spoiled_by_half(rng, one) for one in manifests] for resource, manifests in made.items()
    }


def _spoiled_by_half(rng: Random, manifest: Manifest) -> Manifest:
    if rng.random() < 0.5:
        return manifest
    rest = {key: value for key, value in manifest.items() if key != "metadata"}
    return {"metadata": manifest["metadata"], **spoiled(rng, rest, times=1)}


def _node(rng: Random, number: int) -> Manifest:
    taints = [
        {
            "key": rng.choice(
                (*KEYS, "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler")
            ),
            "value": rng.choice(VALUES),
            "effect": rng.choice(("NoSchedule", "NoExecute", "PreferNoSchedule", "NoMercy")),
        }
        for _ in range(rng.randrange(3))
    ]
    return {
        "metadata": {
            "name": f"odd-node-{number}",
            "uid": f"odd-node-{number}",
            "creationTimestamp": rng.choice(TIMES),
            "labels": _labels(rng),
            "annotations": _annotations(rng),
        },
        "spec": {
            "providerID": rng.choice(("", "simulated://general/a/general-a-1", "aws:///x/i-1", "\n")),
            "taints": taints,
            "unschedulable": rng.random() < 0.2,
        },
        "status": {
            "capacity": _amounts(rng),
            "allocatable": _amounts(rng) | ({"pods": "110"} if rng.random() < 0.5 else {}),
            "conditions": [
                {
                    "type": "Ready",
                    "status": rng.choice(("True", "False", "Unknown", "")),
                    "lastTransitionTime": rng.choice(TIMES),
                }
            ],
        },
    }


def _named(rng: Random, kind: str, number: int) -> Manifest:
    return {"name": f"{kind}-{number}", "namespace": rng.choice(NAMESPACES), "uid": f"{kind}-{number}"}


def _budget(rng: Random, number: int) -> Manifest:
    return {
        "metadata": _named(rng, "budget", number),
        "spec": {"selector": _selector(rng)},
        "status": {"disruptionsAllowed": rng.choice((0, 1, -3, 2**40))},
    }


def _daemon_set(rng: Random, number: int) -> Manifest:
    template = {"metadata": {"labels": _labels(rng)}, "spec": _spec(rng)}
    return {"metadata": _named(rng, "daemons", number), "spec": {"template": template}}


def _controller(rng: Random, number: int) -> Manifest:
    return {
        "metadata": {**_named(rng, "owner", number), "uid": f"owner-{number}"},
        "spec": {"replicas": rng.choice((None, 0, 1, 3, -1, 2**31))},
    }


def _claim(rng: Random, number: int) -> Manifest:
    spec = {
        "accessModes": rng.choice(([], ["ReadWriteOnce"], ["ReadWriteOncePod"], ["Odd"])),
        "resources": {"requests": {"storage": rng.choice(QUANTITIES)}},
        "storageClassName": rng.choice(("class-0", "class-1", "absent", "")),
        "volumeName": rng.choice(("", "", "volume-0", "absent")),
        "selector": _selector(rng),
    }
    name = {"name": rng.choice((f"claim-{number}", "absent")), "namespace": rng.choice(NAMESPACES)}
    return {
        "metadata": name,
        "spec": spec,
        "status": {"phase": rng.choice(("Pending", "Bound", "Lost", "Odd"))},
    }


def _persistent_volume(rng: Random, number: int) -> Manifest:
    terms = [{"matchExpressions": _some(rng, _requirement, share=0.8)}]
    spec = {
        "capacity": {"storage": rng.choice(QUANTITIES)},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": rng.choice(("class-0", "")),
        "nodeAffinity": rng.choice((None, {}, {"required": {"nodeSelectorTerms": terms}})),
        "csi": rng.choice((None, {"driver": "d", "volumeHandle": rng.choice(VALUES)})),
    }
    return {
        "metadata": {"name": f"volume-{number}", "labels": _labels(rng)},
        "spec": spec,
        "status": {"phase": "Available"},
    }


def _storage_class(rng: Random, number: int) -> Manifest:
    return {
        "metadata": {"name": f"class-{number}"},
        "provisioner": rng.choice(("d", "kubernetes.io/no-provisioner", "")),
        "volumeBindingMode": rng.choice(("Immediate", "WaitForFirstConsumer", "Odd")),
        "allowedTopologies": [
            {"matchLabelExpressions": [{"key": rng.choice(KEYS), "values": [rng.choice(VALUES)]}]}
        ],
    }


_REFUSED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}


def _some(rng: Random, make: Callable[[Random], Any], *, share: float, most: int = 3) -> list[Any]:
    return [make(rng) for _ in range(rng.randrange(1, most + 1))] if rng.random() < share else []


def _labels(rng: Random) -> Manifest:
    return {rng.choice(KEYS): rng.choice(VALUES) for _ in range(rng.randrange(4))}


def _annotations(rng: Random) -> Manifest:
    keys = (
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "cluster-autoscaler.kubernetes.io/pod-scale-up-delay",
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
        "karpenter.sh/do-not-disrupt",
        "kubernetes.io/config.mirror",
        "springtide.dev/removal",
        "delay-deletion.cluster-autoscaler.kubernetes.io/x",
    )
    return {
        rng.choice(keys): rng.choice(("true", "false", _removal(rng), *DURATIONS, *VALUES))
        for _ in range(rng.choice((0, 0, 1, 3)))
    }


def _removal(rng: Random) -> str:
    """What stands in our own annotation of a node that is being removed; or nearly."""
    record = {
        "phase": rng.choice(("Tainted", "Draining", "Terminating")),
        "since": rng.choice(TIMES),
        "deadline": rng.choice(TIMES),
        "planID": "abc",
        "cordonedByUs": rng.random() < 0.5,
        "pool": rng.choice(("general", "absent")),
        "group": "a",
        "instance": "general-a-1",
        "nodeUID": rng.choice(("odd-node-0", "other")),
        "reason": "Empty",
    }
    return json.dumps(spoiled(rng, record, times=rng.randrange(2)))


def _owner(rng: Random) -> Manifest:
    kind = rng.choice(("ReplicaSet", "DaemonSet", "StatefulSet", "Job", "Node", "Workflow"))
    return {
        "kind": kind,
        "name": "owner",
        "uid": f"owner-{rng.randrange(20)}",
        "apiVersion": "apps/v1",
        "controller": rng.random() < 0.9,
    }


def _amounts(rng: Random) -> Manifest:
    # Mostly ones that make sense, or nearly every pod would be refused for its first quantity.
    sane = rng.random() < 0.8
    return {
        rng.choice(RESOURCES[:3] if sane else RESOURCES): rng.choice(_SANE_QUANTITIES if sane else QUANTITIES)
        for _ in range(rng.randrange(4))
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
        "resources": {"requests": _amounts(rng), "limits": _amounts(rng)},
        "ports": [port] if rng.random() < 0.2 else [],
        "restartPolicy": rng.choice(("", "Always", "Never")),
    }
    return {key: value for key, value in container.items() if rng.random() < 0.9}


def _requirement(rng: Random) -> Manifest:
    return {
        "key": rng.choice(KEYS),
        "operator": rng.choice(
            ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "In", "Exists", rng.choice(("Like", "")))
        ),
        "values": rng.choice(
            ([], ["web"], ["3"], ["zone-a", "zone-b"], ["a"] * 200, ["9" * 40], ["-7", "x"])
        ),
    }


def _selector(rng: Random) -> Any:
    labels = {rng.choice(KEYS): rng.choice(VALUES)} if rng.random() < 0.6 else {}
    expressions = [
        {**one, "operator": rng.choice(("In", "NotIn", "Exists", "DoesNotExist"))}
        if rng.random() < 0.95
        else one
        for one in _some(rng, _requirement, share=0.4)
    ]
    return rng.choice(
        (None, {}, {"matchLabels": labels}, {"matchLabels": labels, "matchExpressions": expressions})
    )


def _term(rng: Random) -> Manifest:
    term = {
        "topologyKey": rng.choice(KEYS),
        "labelSelector": _selector(rng),
        "namespaces": rng.choice(([], ["shop"], ["absent", ""])),
        "namespaceSelector": _selector(rng),
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
            "matchExpressions": _some(rng, _requirement, share=0.8),
            "matchFields": _some(rng, _requirement, share=0.1),
        }
    ]
    parts = {
        "nodeAffinity": {
            required: {"nodeSelectorTerms": rng.choice(([], terms, terms * 3))},
            preferred: [{"weight": -1}],
        },
        "podAffinity": {required: _some(rng, _term, share=0.7)},
        "podAntiAffinity": {
            required: _some(rng, _term, share=0.7),
            preferred: [{"weight": 10**12, "podAffinityTerm": {}}],
        },
    }
    return {key: value for key, value in parts.items() if rng.random() < 0.4}


def _spread(rng: Random) -> Manifest:
    spread = {
        "topologyKey": rng.choice(KEYS[:4] + KEYS),
        "maxSkew": rng.choice((1, 2, 0, -1, 2**31)),
        "whenUnsatisfiable": rng.choice(("DoNotSchedule", "DoNotSchedule", "ScheduleAnyway", "Maybe")),
        "labelSelector": _selector(rng),
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


def _spec(rng: Random) -> Manifest:
    spec: Manifest = {
        "containers": _some(rng, _container, share=0.97),
        "initContainers": _some(rng, _container, share=0.2),
        "affinity": _affinity(rng) if rng.random() < 0.5 else None,
        "topologySpreadConstraints": _some(rng, _spread, share=0.3),
        "tolerations": _some(rng, _toleration, share=0.4),
        "nodeSelector": _labels(rng) if rng.random() < 0.15 else None,
        "volumes": _some(rng, _volume, share=0.25),
        "overhead": _amounts(rng) if rng.random() < 0.1 else None,
        "resources": {"requests": _amounts(rng)} if rng.random() < 0.1 else None,
        "priority": rng.choice((0, 0, -5, -(2**31), 2_000_000_000)),
        "schedulerName": rng.choice(("default-scheduler", "default-scheduler", "volcano", "")),
        "terminationGracePeriodSeconds": rng.choice((30, 0, -1, 2**62)),
        "restartPolicy": rng.choice(("Always", "Never", "", "Sometimes")),
        "hostNetwork": rng.random() < 0.1,
        "resourceClaims": [{"name": "gpu"}] if rng.random() < 0.03 else [],
        "schedulingGates": [{"name": "wait"}] if rng.random() < 0.03 else [],
    }
    return {key: value for key, value in spec.items() if value is not None and rng.random() < 0.9}
