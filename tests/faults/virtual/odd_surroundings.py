"""Random objects that odd pods live among: nodes, budgets, owners, claims and volumes."""

from __future__ import annotations

from random import Random

from tests.faults.virtual.odd_parts import (
    odd_amounts,
    odd_annotations,
    odd_labels,
    odd_requirement,
    odd_selector,
    some,
)
from tests.faults.virtual.odd_pods import odd_spec
from tests.faults.virtual.oddities import KEYS, NAMESPACES, QUANTITIES, TIMES, VALUES, spoiled
from tests.manifests import Manifest


def odd_surroundings(rng: Random) -> dict[str, list[Manifest]]:
    """By resource: nodes, budgets, DaemonSets, namespaces, owners, claims and volumes, half of them spoiled."""
    made = {
        "nodes": [_node(rng, number) for number in range(rng.randrange(4))],
        "poddisruptionbudgets": [_budget(rng, number) for number in range(rng.randrange(4))],
        "daemonsets": [_daemon_set(rng, number) for number in range(rng.randrange(3))],
        "namespaces": [{"metadata": {"name": name, "labels": odd_labels(rng)}} for name in NAMESPACES],
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
            "labels": odd_labels(rng),
            "annotations": odd_annotations(rng),
        },
        "spec": {
            "providerID": rng.choice(("", "simulated://general/a/general-a-1", "aws:///x/i-1", "\n")),
            "taints": taints,
            "unschedulable": rng.random() < 0.2,
        },
        "status": {
            "capacity": odd_amounts(rng),
            "allocatable": odd_amounts(rng) | ({"pods": "110"} if rng.random() < 0.5 else {}),
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
        "spec": {"selector": odd_selector(rng)},
        "status": {"disruptionsAllowed": rng.choice((0, 1, -3, 2**40))},
    }


def _daemon_set(rng: Random, number: int) -> Manifest:
    template = {"metadata": {"labels": odd_labels(rng)}, "spec": odd_spec(rng)}
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
        "selector": odd_selector(rng),
    }
    name = {"name": rng.choice((f"claim-{number}", "absent")), "namespace": rng.choice(NAMESPACES)}
    return {
        "metadata": name,
        "spec": spec,
        "status": {"phase": rng.choice(("Pending", "Bound", "Lost", "Odd"))},
    }


def _persistent_volume(rng: Random, number: int) -> Manifest:
    terms = [{"matchExpressions": some(rng, odd_requirement, share=0.8)}]
    spec = {
        "capacity": {"storage": rng.choice(QUANTITIES)},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": rng.choice(("class-0", "")),
        "nodeAffinity": rng.choice((None, {}, {"required": {"nodeSelectorTerms": terms}})),
        "csi": rng.choice((None, {"driver": "d", "volumeHandle": rng.choice(VALUES)})),
    }
    return {
        "metadata": {"name": f"volume-{number}", "labels": odd_labels(rng)},
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
