"""Pods as API servers really send them, byte for byte: managed fields, statuses with all conditions, the volumes and
variables that admission adds; about 8 kB each. Names, identities and addresses vary; all else is rendered once for each
controller."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec

Manifest = dict[str, Any]

MADE: Final = "2026-01-01T11:58:03Z"
_FIELDS: Final = re.compile(rb"@([a-z]+)@")


class Template:
    """A manifest with fields such as @name@ in its texts, rendered by filling them in."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        encoded = msgspec.json.encode(manifest).replace(b"%", b"%%")
        self._format = _FIELDS.sub(rb"%(\1)b", encoded)

    def render(self, fields: Mapping[bytes, bytes]) -> bytes:
        return self._format % fields


@dataclass(frozen=True)
class App:
    """A controller and the pods it makes: ReplicaSet of a Deployment, StatefulSet or DaemonSet."""

    number: int
    kind: str
    cpu_milli: int
    memory_mib: int
    replicas: int
    tier: str = ""
    _templates: dict[str, Template] = field(default_factory=dict, compare=False)

    @cached_property
    def name(self) -> str:
        return (
            f"{('checkout', 'search', 'payments', 'catalog', 'media')[self.number % 5]}-service-{self.number}"
        )

    @cached_property
    def namespace(self) -> str:
        return "kube-system" if self.kind == "DaemonSet" else f"team-{self.number % 97:02}"

    @cached_property
    def owner(self) -> tuple[str, str]:
        """Name and uid of the controller."""
        name = f"{self.name}-{template_hash(self.number)}" if self.kind == "ReplicaSet" else self.name
        return name, uid(1, self.number)

    @cached_property
    def labels(self) -> dict[str, str]:
        labels = {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/version": f"1.{self.number % 40}.2",
            "team": f"team-{self.number % 97:02}",
        }
        match self.kind:
            case "ReplicaSet":
                labels["pod-template-hash"] = template_hash(self.number)
            case "StatefulSet":
                labels |= {
                    "apps.kubernetes.io/pod-index": "@ordinal@",
                    "controller-revision-hash": f"{self.name}-{template_hash(self.number)}",
                    "statefulset.kubernetes.io/pod-name": "@name@",
                }
            case _:
                labels |= {
                    "controller-revision-hash": template_hash(self.number),
                    "pod-template-generation": "3",
                }
        return labels

    def pod(self, stage: str, fields: Mapping[bytes, bytes]) -> bytes:
        """A pod in one of STAGES. Fields: name, uid, version, node, hostip, podip, ordinal, container (an id)."""
        template = self._templates.get(stage)
        if template is None:
            template = self._templates[stage] = Template(_pod(self, stage))
        return template.render(fields)


STAGES: Final = ("created", "refused", "bound", "started", "ready", "terminating")
"""The states in which a pod is seen from its creation to its end."""


def uid(kind: int, number: int) -> str:
    """A UUID made of a formula."""
    text = f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128 ^ kind:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(number: int) -> str:
    """As of a pod template: ten letters and digits without vowels."""
    digits = (number + 7) * 2654435761
    return "".join(_LETTERS[digits // 27**i % 27] for i in range(10))


def suffix(number: int) -> str:
    """Five letters at the end of a pod's name."""
    return "".join(_LETTERS[number // 27**i % 27] for i in range(5))


# --- pods --------------------------------------------------------------------------------------------------------


def _pod(app: App, stage: str) -> Manifest:
    name, identity = app.owner
    owner = {
        "apiVersion": "apps/v1",
        "kind": app.kind,
        "name": name,
        "uid": identity,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata: Manifest = {"name": "@name@"}
    if app.kind != "StatefulSet":
        metadata["generateName"] = f"{name}-"
    metadata |= {
        "namespace": app.namespace,
        "uid": "@uid@",
        "resourceVersion": "@version@",
        "generation": 1,
        "creationTimestamp": MADE,
        "labels": app.labels,
        "annotations": {
            "checksum/config": "0f3c5d27a1b84c9e8d6a9f0e1b2c3d4e5f60718293a4b5c6d7e8f9a0b1c2d3e4",
            "kubectl.kubernetes.io/restartedAt": "2025-12-30T09:12:44+01:00",
            "prometheus.io/port": "9090",
            "prometheus.io/scrape": "true",
        },
        "ownerReferences": [owner],
        "managedFields": managed_fields(app, identity, bound=stage not in ("created", "refused")),
    }
    if stage == "terminating":
        metadata |= {"deletionTimestamp": MADE, "deletionGracePeriodSeconds": 30}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": pod_spec(app, bound=stage not in ("created", "refused")),
        "status": _status(app, stage),
    }


def managed_fields(app: App, owner: str, *, bound: bool) -> list[Manifest]:
    container = {
        "f:name": {},
        "f:image": {},
        "f:imagePullPolicy": {},
        "f:env": {".": {}}
        | {f'k:{{"name":"{variable}"}}': {".": {}, "f:name": {}, "f:value": {}} for variable in _VARIABLES},
        "f:livenessProbe": _PROBE_FIELDS,
        "f:readinessProbe": _PROBE_FIELDS,
        "f:ports": {'k:{"containerPort":8080,"protocol":"TCP"}': {"f:containerPort": {}, "f:name": {}}},
        "f:resources": {
            ".": {},
            "f:limits": {".": {}, "f:memory": {}},
            "f:requests": {".": {}, "f:cpu": {}, "f:memory": {}},
        },
        "f:securityContext": {".": {}, "f:allowPrivilegeEscalation": {}, "f:readOnlyRootFilesystem": {}},
        "f:terminationMessagePath": {},
        "f:terminationMessagePolicy": {},
        "f:volumeMounts": {
            ".": {},
            'k:{"mountPath":"/tmp"}': {".": {}, "f:mountPath": {}, "f:name": {}},
            'k:{"mountPath":"/etc/config"}': {".": {}, "f:mountPath": {}, "f:name": {}},
        },
    }
    made = {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": MADE,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {
                "f:annotations": {".": {}, "f:checksum/config": {}, "f:prometheus.io/port": {}},
                "f:generateName": {},
                "f:labels": {".": {}} | {f"f:{label}": {} for label in app.labels},
                "f:ownerReferences": {".": {}, f'k:{{"uid":"{owner}"}}': {}},
            },
            "f:spec": {
                "f:containers": {f'k:{{"name":"{app.name}"}}': container},
                "f:dnsPolicy": {},
                "f:enableServiceLinks": {},
                "f:restartPolicy": {},
                "f:schedulerName": {},
                "f:securityContext": {},
                "f:serviceAccount": {},
                "f:serviceAccountName": {},
                "f:terminationGracePeriodSeconds": {},
                "f:volumes": {".": {}, 'k:{"name":"tmp"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
            },
        },
    }
    condition: Manifest = {
        ".": {},
        "f:lastProbeTime": {},
        "f:lastTransitionTime": {},
        "f:status": {},
        "f:type": {},
    }
    reported = {
        "manager": "kubelet",
        "operation": "Update",
        "apiVersion": "v1",
        "time": MADE,
        "subresource": "status",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:status": {
                "f:conditions": {f'k:{{"type":"{kind}"}}': condition for kind in _CONDITIONS},
                "f:containerStatuses": {},
                "f:hostIP": {},
                "f:hostIPs": {},
                "f:phase": {},
                "f:podIP": {},
                "f:podIPs": {".": {}, 'k:{"ip":"@podip@"}': {".": {}, "f:ip": {}}},
                "f:startTime": {},
            }
        },
    }
    return [made, reported] if bound else [made]


_VARIABLES: Final = ("DATABASE_URL", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT", "REGION", "FEATURE_FLAGS")
_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
_PROBE_FIELDS: Final[Manifest] = {
    ".": {},
    "f:failureThreshold": {},
    "f:httpGet": {".": {}, "f:path": {}, "f:port": {}, "f:scheme": {}},
    "f:periodSeconds": {},
    "f:successThreshold": {},
    "f:timeoutSeconds": {},
}


def pod_spec(app: App, *, bound: bool) -> Manifest:
    probe = {
        "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    token = "kube-api-access-x7k2p"
    mounts = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "config", "readOnly": True, "mountPath": "/etc/config"},
        {"name": token, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
    ]
    container = {
        "name": app.name,
        "image": _image(app),
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": name, "value": f"{name.lower()}-of-{app.name}.internal.example.com:5432"}
            for name in _VARIABLES
        ],
        "resources": _resources(app),
        "volumeMounts": mounts,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    }
    spec: Manifest = {
        "volumes": [
            {"name": "tmp", "emptyDir": {"medium": "Memory"}},
            {"name": "config", "configMap": {"name": f"{app.name}-config", "defaultMode": 420}},
            {"name": token, "projected": {"sources": _token_sources(), "defaultMode": 420}},
        ],
        "containers": [container],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        **({"nodeSelector": {"tier": app.tier}} if app.tier else {}),
        "serviceAccountName": app.name,
        "serviceAccount": app.name,
        **({"nodeName": "@node@"} if bound else {}),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": "registry"}],
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"}
            | ({} if app.kind == "DaemonSet" else {"tolerationSeconds": 300})
            for key in ("not-ready", "unreachable")
        ],
        "priority": 2000001000 if app.kind == "DaemonSet" else 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    if app.kind == "DaemonSet":
        pin = {"key": "metadata.name", "operator": "In", "values": ["@node@"]}
        spec["affinity"] = {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchFields": [pin]}]
                }
            }
        }
    return spec


def _image(app: App) -> str:
    return f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/{app.name}:v1.{app.number % 40}.2"


def _resources(app: App) -> Manifest:
    memory = f"{app.memory_mib}Mi"
    return {"limits": {"memory": memory}, "requests": {"cpu": f"{app.cpu_milli}m", "memory": memory}}


def _token_sources() -> list[Manifest]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _status(app: App, stage: str) -> Manifest:
    if stage == "created":
        return {"phase": "Pending", "qosClass": "Burstable"}
    if stage == "refused":
        refused = _condition("PodScheduled", False) | {
            "reason": "Unschedulable",
            "message": "0/5000 nodes are available: 4000 Insufficient cpu, 1000 node(s) didn't match Pod's node "
            "affinity/selector. preemption: 0/5000 nodes are available: 5000 No preemption victims found.",
        }
        return {"phase": "Pending", "conditions": [refused], "qosClass": "Burstable"}
    if stage == "bound":
        scheduled = _condition("PodScheduled", True)
        return {"phase": "Pending", "conditions": [scheduled], "qosClass": "Burstable"}
    ready = stage == "ready"
    return {
        "observedGeneration": 1,
        "phase": "Running" if stage != "started" else "Pending",
        "conditions": [
            _condition("PodReadyToStartContainers", True),
            _condition("Initialized", True),
            _condition("Ready", ready),
            _condition("ContainersReady", ready),
            _condition("PodScheduled", True),
        ],
        "hostIP": "@hostip@",
        "hostIPs": [{"ip": "@hostip@"}],
        "podIP": "@podip@",
        "podIPs": [{"ip": "@podip@"}],
        "startTime": MADE,
        "containerStatuses": [_container_status(app, ready=ready)],
        "qosClass": "Burstable",
    }


def _condition(kind: str, holds: bool) -> Manifest:
    return {
        "type": kind,
        "observedGeneration": 1,
        "status": str(holds),
        "lastProbeTime": None,
        "lastTransitionTime": MADE,
    }


def _container_status(app: App, *, ready: bool) -> Manifest:
    return {
        "name": app.name,
        "state": {"running": {"startedAt": MADE}},
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": _image(app),
        "imageID": f"{_image(app).partition(':')[0]}@sha256:{template_hash(app.number) * 6}",
        "containerID": "containerd://@container@",
        "started": True,
        "allocatedResources": _resources(app)["requests"],
        "resources": _resources(app),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "config", "mountPath": "/etc/config", "readOnly": True, "recursiveReadOnly": "Disabled"},
        ],
        "user": {"linux": {"uid": 1000, "gid": 1000, "supplementalGroups": [1000]}},
    }
