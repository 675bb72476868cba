"""Manifests become records: only what decisions read, in their units."""

from datetime import UTC, datetime

import msgspec
import pytest

from springtide.cluster.manifests import (
    disruption_budget_from_manifest,
    lease_from_manifest,
    node_from_manifest,
    pod_from_manifest,
    workload_from_manifest,
)
from springtide.cluster.records import PodPhase, Taint, TaintEffect

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_TEXT = "2026-01-01T12:00:00Z"


def pod(metadata=None, spec=None, status=None):
    meta = {"name": "web-1", "namespace": "shop", "uid": "u1"} | (metadata or {})
    return pod_from_manifest({"metadata": meta, "spec": spec or {}, "status": status or {}})


def test_a_pod():
    record = pod(
        {
            "creationTimestamp": NOON_TEXT,
            "annotations": {
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                "karpenter.sh/do-not-disrupt": "true",
                "kubectl.kubernetes.io/last-applied-configuration": "{...}",
            },
            "ownerReferences": [
                {"kind": "Foo", "name": "not-in-charge", "uid": "x"},
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "web",
                    "uid": "rs",
                    "controller": True,
                },
            ],
        },
        {"nodeName": "n1", "terminationGracePeriodSeconds": 0, "restartPolicy": "OnFailure"},
        {"phase": "Running", "nominatedNodeName": "n2"},
    )
    assert record.key == "shop/web-1"
    assert record.created_at == NOON
    assert record.annotations == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    assert (record.owner.kind, record.owner.name) == ("ReplicaSet", "web")
    assert (record.node_name, record.nominated_node_name) == ("n1", "n2")
    assert (record.termination_grace_seconds, record.restart_policy) == (0, "OnFailure")
    assert record.phase is PodPhase.RUNNING


def test_defaults_that_the_api_server_would_have_filled_in():
    record = pod()
    assert (record.restart_policy, record.termination_grace_seconds) == ("Always", 30)
    assert (record.scheduler_name, record.phase) == ("default-scheduler", PodPhase.PENDING)


@pytest.mark.parametrize(
    ("condition", "since"),
    [
        ({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}, NOON),
        ({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}, None),
        ({"type": "PodScheduled", "status": "True"}, None),
        ({"type": "Ready", "status": "False", "reason": "Unschedulable"}, None),
    ],
)
def test_unschedulable_since(condition, since):
    assert (
        pod(status={"conditions": [condition | {"lastTransitionTime": NOON_TEXT}]}).unschedulable_since
        == since
    )


def test_volumes_that_die_with_the_node():
    volumes = [
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "huge", "emptyDir": {"medium": "HugePages"}},
        {"name": "ram", "emptyDir": {"medium": "Memory"}},
        {"name": "config", "configMap": {"name": "c"}},
    ]
    assert pod(spec={"volumes": volumes}).local_volumes == ("host", "scratch", "huge")


def test_a_gated_pod():
    assert pod(spec={"schedulingGates": [{"name": "g"}]}).gated


@pytest.mark.parametrize(
    ("annotations", "owner", "mirror", "daemon"),
    [
        ({"kubernetes.io/config.mirror": "hash"}, None, True, False),
        ({}, "DaemonSet", False, True),
        ({"cluster-autoscaler.kubernetes.io/daemonset-pod": "true"}, "Custom", False, True),
        ({"cluster-autoscaler.kubernetes.io/daemonset-pod": "True"}, "Custom", False, False),
    ],
)
def test_mirror_and_daemon_pods(annotations, owner, mirror, daemon):
    owners = [{"kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
    record = pod({"annotations": annotations, "ownerReferences": owners})
    assert (record.is_mirror, record.is_daemon) == (mirror, daemon)


def test_a_node():
    record = node_from_manifest(
        {
            "metadata": {
                "name": "n1",
                "uid": "u",
                "creationTimestamp": NOON_TEXT,
                "resourceVersion": "7",
                "labels": {"zone": "a"},
                "annotations": {
                    "node.alpha.kubernetes.io/ttl": "0",
                    "springtide.dev/removal": "{}",
                    "delay-deletion.cluster-autoscaler.kubernetes.io/csi": "x",
                },
            },
            "spec": {
                "providerID": "aws:///a/i-1",
                "unschedulable": True,
                "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
            },
            "status": {
                "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
                "allocatable": {"cpu": "3920m", "memory": "15Gi", "pods": "110", "nvidia.com/gpu": "1"},
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": NOON_TEXT}],
            },
        }
    )
    assert record.provider_id == "aws:///a/i-1"
    assert record.allocatable == {"cpu": 3920, "memory": 15 * 2**30, "pods": 110, "nvidia.com/gpu": 1}
    assert record.taints == (Taint("gpu", "yes", TaintEffect.NO_SCHEDULE),)
    assert set(record.annotations) == {
        "springtide.dev/removal",
        "delay-deletion.cluster-autoscaler.kubernetes.io/csi",
    }
    assert (record.ready, record.ready_changed_at, record.unschedulable) == (True, NOON, True)


def test_a_node_whose_kubelet_never_reported_is_not_ready():
    record = node_from_manifest({"metadata": {"name": "n1"}})
    assert (record.ready, record.ready_changed_at) == (False, None)


def test_a_heartbeat_makes_no_different_node():
    old, new = (node_from_manifest({"metadata": {"name": "n", "resourceVersion": v}}) for v in "12")
    assert old == new


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ({"matchLabels": {"app": "db"}}, {"app": "db", "x": "y"}, True),
        ({"matchLabels": {"app": "db"}}, {"app": "web"}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, {}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {}, False),
        ({}, {"anything": "goes"}, True),
    ],
)
def test_a_disruption_budget_selects(selector, labels, matches):
    budget = disruption_budget_from_manifest(
        {
            "metadata": {"name": "b", "namespace": "shop"},
            "spec": {"selector": selector},
            "status": {"disruptionsAllowed": 2},
        }
    )
    assert budget.selector.matches(labels) is matches
    assert budget.disruptions_allowed == 2


def test_a_budget_without_a_selector_selects_nothing():
    assert disruption_budget_from_manifest({"metadata": {"name": "b"}, "spec": {}}).selector is None


@pytest.mark.parametrize(
    ("kind", "spec", "replicas"),
    [
        ("ReplicaSet", {"replicas": 3}, 3),
        ("ReplicaSet", {"replicas": 0}, 0),
        ("StatefulSet", {}, 1),
        ("Job", {"parallelism": 4, "replicas": 9}, 4),
        ("DaemonSet", {}, 0),
    ],
)
def test_workloads(kind, spec, replicas):
    record = workload_from_manifest({"kind": kind, "metadata": {"name": "w", "uid": "u"}, "spec": spec})
    assert (record.kind, record.replicas) == (kind, replicas)


def test_a_lease_with_micro_time():
    lease = lease_from_manifest(
        {
            "metadata": {"name": "cluster-autoscaler", "namespace": "kube-system"},
            "spec": {
                "holderIdentity": "ca-0",
                "renewTime": "2026-01-01T12:00:00.123456Z",
                "leaseDurationSeconds": 15,
            },
        }
    )
    assert (lease.holder, lease.duration_seconds) == ("ca-0", 15)
    assert lease.renewed_at == NOON.replace(microsecond=123456)


def test_a_wrong_type_is_named_with_its_place():
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.priority"):
        pod(spec={"priority": "high"})


@pytest.mark.parametrize(
    ("given", "kept"),
    [(2**62, 366 * 24 * 3600), (-1, 0), (0, 0), (600, 600)],
    ids=["endless", "negative", "none", "usual"],
)
def test_the_time_a_pod_may_take_to_end_can_be_reckoned_with(given, kept):
    assert pod(spec={"terminationGracePeriodSeconds": given}).termination_grace_seconds == kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param("0001-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC), id="Go's zero time"),
        pytest.param("9999-12-31T23:59:59Z", datetime(9000, 1, 1, tzinfo=UTC), id="the last second there is"),
        pytest.param(NOON_TEXT, NOON, id="a usual one"),
    ],
)
def test_times_at_the_ends_of_the_calendar_are_moved_to_where_they_can_be_reckoned_with(written, kept):
    refused = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "lastTransitionTime": written,
    }
    seen = pod({"creationTimestamp": written, "deletionTimestamp": written}, status={"conditions": [refused]})
    assert (seen.created_at, seen.deletion_timestamp, seen.unschedulable_since) == (kept, kept, kept)
