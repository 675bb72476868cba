"""Nodes, controllers and what else a cluster has, as API servers really send them; about 15 kB a node."""

from __future__ import annotations

from typing import Final

from benchmarks.recorded_pods import MADE, App, Manifest, managed_fields, pod_spec, template_hash, uid

_MIB: Final = 2**20


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
                        f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/image-{i}@sha256:{template_hash(i) * 6}",
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
            f"{app.name}-{template_hash(app.number + 100_000 * revision)}",
            uid(2, app.number * 16 + revision),
        )
    return _controller(app, "ReplicaSet", name, identity, replicas=0 if revision else app.replicas)


def controller(app: App) -> Manifest:
    """A StatefulSet or DaemonSet."""
    name, identity = app.owner
    return _controller(app, app.kind, name, identity, replicas=app.replicas)


def _controller(app: App, kind: str, name: str, identity: str, *, replicas: int) -> Manifest:
    template = pod_spec(app, bound=False)
    template.pop("affinity", None)
    labels = {key: value for key, value in app.labels.items() if "@" not in value}
    spec: Manifest = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": app.name}},
        "template": {"metadata": {"labels": labels}, "spec": template},
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
            "managedFields": managed_fields(app, identity, bound=False),
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
