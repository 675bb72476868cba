"""Shapes: one object per class of pods that the scheduler cannot tell apart."""

import gc

import pytest

from springtide.cluster.manifests import daemon_set_from_manifest, pod_from_manifest
from springtide.cluster.shape import HostPort, Unmodelled
from springtide.cluster.shape_table import ShapeTable


@pytest.fixture
def shapes():
    return ShapeTable()


def pod(shapes, *, name="p", namespace="default", labels=None, owner=None, **spec):
    owners = [{"kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
    spec.setdefault("containers", [{"name": "main", "resources": {"requests": {"cpu": "1"}}}])
    return pod_from_manifest(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels or {},
                "ownerReferences": owners,
            },
            "spec": spec,
        },
        shapes=shapes,
    )


def required(*terms):
    selector = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def pin(node):
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}


SSD = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
HARD_SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
SOFT_SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "host", "labelSelector": {}}]
    }
}
PREFERRED = {
    "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": SSD}]},
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {}}]
    },
}


def test_replicas_share_one_shape(shapes):
    labels = {"app": "web", "pod-template-hash": "abc"}
    assert pod(shapes, name="a", labels=labels).shape is pod(shapes, name="b", labels=labels).shape


def test_the_order_of_a_manifest_makes_no_difference(shapes):
    one = pod(shapes, labels={"a": "1", "b": "2"}, nodeSelector={"x": "1", "y": "2"})
    other = pod(shapes, labels={"b": "2", "a": "1"}, nodeSelector={"y": "2", "x": "1"})
    assert one.shape is other.shape


@pytest.mark.parametrize(
    "difference",
    [
        {"namespace": "other"},
        {"labels": {"app": "web"}},
        {"nodeSelector": {"disk": "ssd"}},
        {"affinity": required(SSD)},
        {"affinity": ANTI},
        {"tolerations": [{"operator": "Exists"}]},
        {"containers": [{"name": "main", "resources": {"requests": {"cpu": "2"}}}]},
        {"overhead": {"cpu": "1m"}},
        {"resources": {"requests": {"cpu": "2"}}},
        {"topologySpreadConstraints": [HARD_SPREAD]},
        {"resourceClaims": [{"name": "gpu"}]},
        {"priority": 7},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_what_makes_shapes_differ(shapes, difference):
    plain = pod(shapes)
    assert pod(shapes, **difference).shape is not plain.shape


@pytest.mark.parametrize(
    "preference",
    [
        {"affinity": PREFERRED},
        {"topologySpreadConstraints": [SOFT_SPREAD]},
        {"volumes": [{"name": "tmp", "emptyDir": {}}]},
        {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]},
        {"schedulingGates": [{"name": "wait"}]},
        {"terminationGracePeriodSeconds": 5},
    ],
    ids=str,
)
def test_what_never_decides_a_fit_is_not_part_of_the_shape(shapes, preference):
    shape = pod(shapes, **preference).shape
    assert shape.unmodelled == ()
    assert (shape.requests, shape.node_affinity or None) == ({"cpu": 1000}, None)


@pytest.mark.parametrize(
    ("spec", "unmodelled"),
    [
        ({"topologySpreadConstraints": [HARD_SPREAD]}, ()),
        ({"affinity": ANTI}, ()),
        ({"resourceClaims": [{"name": "gpu"}]}, (Unmodelled.RESOURCE_CLAIMS,)),
    ],
)
def test_hard_constraints_that_are_not_simulated_are_named(shapes, spec, unmodelled):
    assert pod(shapes, **spec).shape.unmodelled == unmodelled


def test_labels_of_one_pod_alone_stay_out_of_the_shape(shapes):
    first, second = (
        pod(shapes, labels={"app": "db", "statefulset.kubernetes.io/pod-name": f"db-{n}"}) for n in (0, 1)
    )
    assert first.shape is second.shape
    assert first.labels == {"app": "db", "statefulset.kubernetes.io/pod-name": "db-0"}
    assert second.shape.labels == {"app": "db"}


def test_unless_the_pods_own_constraints_may_select_by_them(shapes):
    labels = {"app": "db", "job-name": "x"}
    assert pod(shapes, labels=labels, affinity=ANTI).shape.labels == labels


def test_pods_of_a_daemon_set_share_one_shape_although_each_is_pinned_to_its_node(shapes):
    running = [
        pod(shapes, owner="DaemonSet", nodeName=node, affinity=required(pin(node))) for node in ("n1", "n2")
    ]
    assert running[0].shape is running[1].shape
    assert running[0].shape.node_affinity is None


def test_their_own_affinity_is_kept(shapes):
    pinned = pod(shapes, owner="DaemonSet", nodeName="n1", affinity=required(SSD | pin("n1")))
    (term,) = pinned.shape.node_affinity
    assert [r.key for r in term.expressions] == ["disk"]
    assert term.fields == ()


def test_a_pinned_pod_that_still_waits_keeps_its_pin(shapes):
    (term,) = pod(shapes, owner="DaemonSet", affinity=required(pin("n1"))).shape.node_affinity
    assert term.fields[0].values == ("n1",)


def test_an_empty_list_of_terms_matches_no_node(shapes):
    assert pod(shapes, affinity=required()).shape.node_affinity == ()


def test_host_ports_of_containers_and_sidecars_only(shapes):
    ports = [{"containerPort": 80, "hostPort": 8080}]
    shape = pod(
        shapes,
        containers=[{"name": "main", "ports": [*ports, {"containerPort": 9}]}],
        initContainers=[
            {"name": "init", "ports": [{"containerPort": 1, "hostPort": 1}]},
            {
                "name": "car",
                "restartPolicy": "Always",
                "ports": [{"containerPort": 2, "hostPort": 2, "protocol": "UDP", "hostIP": "10.0.0.1"}],
            },
        ],
    ).shape
    assert shape.host_ports == (HostPort("TCP", "", 8080), HostPort("UDP", "10.0.0.1", 2))


def test_a_shape_that_nobody_holds_is_forgotten_and_its_number_given_on(shapes):
    kept = pod(shapes, labels={"app": "kept"})
    dropped = pod(shapes, labels={"app": "dropped"}).shape.number
    gc.collect()
    assert len(shapes) == 1

    new = pod(shapes, labels={"app": "new"})
    assert new.shape.number == dropped
    assert kept.shape.number != new.shape.number


def test_numbers_stay_bounded_by_the_shapes_alive_at_once(shapes):
    for index in range(500):
        pod(shapes, labels={"run": str(index)})
    assert shapes.size <= 2


def test_a_daemon_set_is_given_the_shape_its_pods_will_have(shapes):
    template = {
        "metadata": {"labels": {"app": "agent"}},
        "spec": {
            "hostNetwork": True,
            "containers": [
                {"name": "a", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 9100}]}
            ],
        },
    }
    record = daemon_set_from_manifest(
        {
            "metadata": {"name": "agent", "namespace": "kube-system", "uid": "u"},
            "spec": {"template": template},
        },
        shapes=shapes,
    )
    assert record.workload.kind == "DaemonSet"
    assert record.shape.requests == {"cpu": 1000}
    assert [port.port for port in record.shape.host_ports] == [9100]
    tolerated = {(t.key.removeprefix("node.kubernetes.io/"), t.effect) for t in record.shape.tolerations}
    assert {
        ("unschedulable", "NoSchedule"),
        ("not-ready", "NoExecute"),
        ("network-unavailable", "NoSchedule"),
    } <= tolerated
