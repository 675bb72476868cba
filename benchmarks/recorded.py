"""Objects as API servers really send them, byte for byte: managed fields, statuses with all conditions, the volumes
and variables that admission adds. About 8 kB a pod, 14 kB a node. Names, identities and addresses vary; all else is
rendered once for each controller."""

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
_MIB: Final = 2**20


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
        name = f"{self.name}-{_hash(self.number)}" if self.kind == "ReplicaSet" else self.name
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
                labels["pod-template-hash"] = _hash(self.number)
            case "StatefulSet":
                labels |= {
                    "apps.kubernetes.io/pod-index": "@ordinal@",
                    "controller-revision-hash": f"{self.name}-{_hash(self.number)}",
                    "statefulset.kubernetes.io/pod-name": "@name@",
                }
            case _:
                labels |= {"controller-revision-hash": _hash(self.number), "pod-template-generation": "3"}
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


def _hash(number: int) -> str:
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
        "managedFields": _managed_fields(app, identity, bound=stage not in ("created", "refused")),
    }
    if stage == "terminating":
        metadata |= {"deletionTimestamp": MADE, "deletionGracePeriodSeconds": 30}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": _spec(app, bound=stage not in ("created", "refused")),
        "status": _status(app, stage),
    }


def _managed_fields(app: App, owner: str, *, bound: bool) -> list[Manifest]:
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


def _spec(app: App, *, bound: bool) -> Manifest:
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
        "imageID": f"{_image(app).partition(':')[0]}@sha256:{_hash(app.number) * 6}",
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


# --- nodes and controllers ---------------------------------------------------------------------------------------


def node(*, zone: str, tier: str, pool: str, vcpu: int) -> Manifest:
    """A node of a managed group. Fields: name, uid, version, provider, hostip."""
    capacity = {
        "cpu": str(vcpu),
        "ephemeral-storage": "104779756Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{vcpu * 4 * 1024 * 1024}Ki",
        "pods": "110",
    }
    allocatable = capacity | {
        "cpu": f"{vcpu * 1000 - 90}m",
        "ephemeral-storage": "95491281146",
        "memory": f"{vcpu * 4 * 1024 * 1024 - 1048576}Ki",
    }
    heartbeat = {"lastHeartbeatTime": MADE, "lastTransitionTime": MADE}
    pressures = {
        "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    }
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": "@name@",
            "uid": "@uid@",
            "resourceVersion": "@version@",
            "creationTimestamp": "2025-12-28T06:12:09Z",
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/instance-type": f"m6i.{vcpu // 4}xlarge",
                "beta.kubernetes.io/os": "linux",
                "eks.amazonaws.com/capacityType": "ON_DEMAND",
                "eks.amazonaws.com/nodegroup": pool,
                "eks.amazonaws.com/nodegroup-image": "ami-0a1b2c3d4e5f60718",
                "failure-domain.beta.kubernetes.io/region": "eu-central-1",
                "failure-domain.beta.kubernetes.io/zone": zone,
                "k8s.io/cloud-provider-aws": "fa0b1c2d3e4f5061728394a5b6c7d8e9",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": "@name@",
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": f"m6i.{vcpu // 4}xlarge",
                "tier": tier,
                "topology.ebs.csi.aws.com/zone": zone,
                "topology.k8s.aws/zone-id": f"euc1-az{ord(zone[-1]) % 3 + 1}",
                "topology.kubernetes.io/region": "eu-central-1",
                "topology.kubernetes.io/zone": zone,
            },
            "annotations": {
                "alpha.kubernetes.io/provided-node-ip": "@hostip@",
                "csi.volume.kubernetes.io/nodeid": '{"ebs.csi.aws.com":"@name@"}',
                "node.alpha.kubernetes.io/ttl": "300",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
            "managedFields": [
                {
                    "manager": "kubelet",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": MADE,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {"f:annotations": {".": {}}, "f:labels": {".": {}}},
                        "f:status": {"f:images": {}, "f:conditions": {f"k:{i}": {} for i in range(20)}},
                    },
                }
            ],
        },
        "spec": {"providerID": "@provider@"},
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "conditions": [
                *(
                    {"type": kind, "status": "False", "reason": reason, "message": message, **heartbeat}
                    for kind, (reason, message) in pressures.items()
                ),
                {"type": "Ready", "status": "True", "reason": "KubeletReady", **heartbeat},
            ],
            "addresses": [
                {"type": "InternalIP", "address": "@hostip@"},
                {"type": "Hostname", "address": "@name@"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": "ec2a1b2c3d4e5f60718293a4b5c6d7e8",
                "systemUUID": "ec2a1b2c-3d4e-5f60-7182-93a4b5c6d7e8",
                "kernelVersion": "6.12.40-63.114.amzn2023.x86_64",
                "osImage": "Amazon Linux 2023.9.20260101",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.36.3-eks-3cfe0ce",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
            # The kubelet reports the fifty largest.
            "images": [
                {
                    "names": [
                        f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/image-{i}@sha256:{_hash(i) * 6}",
                        f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/image-{i}:v1.{i}.0",
                    ],
                    "sizeBytes": (500 - i) * _MIB,
                }
                for i in range(50)
            ],
        },
    }


def replica_set(app: App, *, revision: int) -> Manifest:
    """Revision 0 is the current one; older ones are kept, scaled to nothing, for rollbacks."""
    name, identity = app.owner
    if revision:
        name, identity = (
            f"{app.name}-{_hash(app.number + 100_000 * revision)}",
            uid(2, app.number * 16 + revision),
        )
    return _controller(app, "ReplicaSet", name, identity, replicas=0 if revision else app.replicas)


def controller(app: App) -> Manifest:
    """A StatefulSet or DaemonSet."""
    name, identity = app.owner
    return _controller(app, app.kind, name, identity, replicas=app.replicas)


def _controller(app: App, kind: str, name: str, identity: str, *, replicas: int) -> Manifest:
    pod_spec = _spec(app, bound=False)
    pod_spec.pop("affinity", None)
    labels = {key: value for key, value in app.labels.items() if "@" not in value}
    spec: Manifest = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": app.name}},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec},
    }
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    return {
        "kind": kind,
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": app.namespace,
            "uid": identity,
            "resourceVersion": "@version@",
            "generation": 1,
            "creationTimestamp": MADE,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "7", "meta.helm.sh/release-name": app.name},
            "managedFields": _managed_fields(app, identity, bound=False),
        },
        "spec": spec,
        "status": {"replicas": replicas, "readyReplicas": replicas, "observedGeneration": 1},
    }


def disruption_budget(app: App) -> Manifest:
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {
            "name": app.name,
            "namespace": app.namespace,
            "uid": uid(3, app.number),
            "resourceVersion": "@version@",
        },
        "spec": {"maxUnavailable": "25%", "selector": {"matchLabels": {"app.kubernetes.io/name": app.name}}},
        "status": {
            "disruptionsAllowed": app.replicas // 4,
            "currentHealthy": app.replicas,
            "observedGeneration": 1,
        },
    }


def namespace(name: str) -> Manifest:
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "resourceVersion": "@version@",
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "status": {"phase": "Active"},
    }


def csi_node(name: str, identity: str) -> Manifest:
    """Each node of a cluster with a CSI driver has one."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": identity}
    driver = {
        "name": "ebs.csi.aws.com",
        "nodeID": name,
        "topologyKeys": ["kubernetes.io/os", "topology.kubernetes.io/zone"],
        "allocatable": {"count": 26},
    }
    return {
        "kind": "CSINode",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": name, "resourceVersion": "@version@", "ownerReferences": [owner]},
        "spec": {"drivers": [driver]},
    }
