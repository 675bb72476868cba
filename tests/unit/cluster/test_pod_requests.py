"""What a pod costs, held against the rules of kube-scheduler 1.36."""

import pytest

from springtide.cluster.manifests import pod_from_manifest

GI = 2**30


def container(name="main", restart=None, **requests):
    spec = {"name": name, "resources": {"requests": requests}}
    return spec | ({"restartPolicy": restart} if restart else {})


def requests_of(spec, status=None):
    manifest = {"metadata": {"name": "p", "namespace": "default"}, "spec": spec, "status": status or {}}
    return dict(pod_from_manifest(manifest).shape.requests)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": [container()]}, {}, id="nothing asked for"),
        pytest.param(
            {"containers": [container(cpu="0", memory="1Gi")]}, {"memory": GI}, id="zero is nothing"
        ),
        pytest.param(
            {"containers": [container("a", cpu="250m"), container("b", cpu="1")]},
            {"cpu": 1250},
            id="containers add up",
        ),
        pytest.param(
            {"containers": [container("a", memory="0.5"), container("b", memory="0.5")]},
            {"memory": 1},
            id="sums are rounded once",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("i", cpu="3"), container("j", cpu="2")],
            },
            {"cpu": 3000},
            id="the largest init container counts if above the sum",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("proxy", "Always", cpu="1"), container("i", cpu="3")],
            },
            {"cpu": 4000},
            id="an init container runs beside the sidecars before it",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1")],
                "initContainers": [container("i", cpu="2"), container("proxy", "Always", cpu="1500m")],
            },
            {"cpu": 2500},
            id="but not beside those after it",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "overhead": {"cpu": "100m", "memory": "1Gi"}},
            {"cpu": 1100, "memory": GI},
            id="overhead comes on top",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1", memory="1Gi")],
                "initContainers": [container("i", cpu="9")],
                "resources": {"requests": {"cpu": "2"}},
                "overhead": {"cpu": "100m"},
            },
            {"cpu": 2100, "memory": GI},
            id="pod-level requests replace the sum, the init peak included",
        ),
        pytest.param(
            {
                "containers": [container(**{"nvidia.com/gpu": "2"})],
                "resources": {"requests": {"nvidia.com/gpu": "1"}},
            },
            {"nvidia.com/gpu": 2},
            id="extended resources have no pod level",
        ),
        pytest.param(
            {
                "containers": [
                    {"name": "a", "resources": {"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}}}
                ]
            },
            {"cpu": 2000, "memory": GI},
            id="a limit without a request is a request",
        ),
    ],
)
def test_effective_requests(spec, expected):
    assert requests_of(spec) == expected


def running(actuated, allocated, *, conditions=()):
    return {
        "phase": "Running",
        "conditions": list(conditions),
        "containerStatuses": [
            {
                "name": "main",
                "resources": {"requests": {"cpu": actuated}},
                "allocatedResources": {"cpu": allocated},
            }
        ],
    }


INFEASIBLE = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
DEFERRED = {"type": "PodResizePending", "status": "True", "reason": "Deferred"}


@pytest.mark.parametrize(
    ("status", "cpu_milli"),
    [
        pytest.param(running("1", "1"), 1000, id="settled"),
        pytest.param(running("2", "1"), 2000, id="shrinking: still uses more"),
        pytest.param(running("500m", "3"), 3000, id="growing: already allocated"),
        pytest.param(running("500m", "500m", conditions=[DEFERRED]), 1000, id="deferred: asked for counts"),
        pytest.param(running("500m", "500m", conditions=[INFEASIBLE]), 500, id="infeasible: it does not"),
    ],
)
def test_a_resize_in_place_costs_the_most_of_all(status, cpu_milli):
    assert requests_of({"containers": [container(cpu="1")]}, status) == {"cpu": cpu_milli}


def test_a_resize_of_the_pod_level():
    spec = {"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "1"}}}
    status = {"resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "2"}}
    assert requests_of(spec, status) == {"cpu": 3000}


def test_settled_and_pending_pods_of_one_template_share_their_shape():
    def pod(status):
        return pod_from_manifest(
            {"metadata": {"name": "p"}, "spec": {"containers": [container(cpu="1")]}, "status": status}
        )

    assert pod({}).shape is pod(running("1", "1")).shape
    assert pod({}).shape is not pod(running("2", "1")).shape
