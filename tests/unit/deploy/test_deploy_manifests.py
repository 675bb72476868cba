"""The plain manifests: what they say of the operator is true of its code, and they keep it from doing harm."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from springtide import __version__
from springtide.api.parse import parse_policy
from springtide.api.policy import AutoscalerPolicy
from springtide.cli.main import parser
from springtide.runtime.election import DEFAULT_NAMESPACE, Whereabouts
from springtide.runtime.http import make_app
from springtide.runtime.settings import from_arguments
from tests.unit.deploy.deployed import FOLDER, REPOSITORY, manifests, only


def pod_template() -> dict[str, Any]:
    template: dict[str, Any] = only("Deployment")["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    (found,) = pod_template()["spec"]["containers"]
    return dict(found)


def test_their_order_is_one_that_kubectl_apply_can_follow() -> None:
    assert [manifest["kind"] for manifest in manifests()] == [
        "Namespace",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRole",
        "Role",
        "ClusterRoleBinding",
        "ClusterRoleBinding",
        "RoleBinding",
        "AutoscalerPolicy",
        "Lease",
        "Deployment",
        "PodDisruptionBudget",
    ]


def test_the_default_policy_is_the_one_pools_follow_unless_told_otherwise() -> None:
    policy = parse_policy(only("AutoscalerPolicy"))
    assert isinstance(policy, AutoscalerPolicy)
    assert policy.name == "default"


def test_the_arguments_are_flags_that_springtide_run_has() -> None:
    arguments = parser().parse_args(container()["args"])
    settings = from_arguments(arguments, environment={})
    assert settings.http_host_port[1] == container()["ports"][0]["containerPort"]
    assert settings.leader_elect is True
    lease = only("Lease")["metadata"]
    assert (settings.lease_name, DEFAULT_NAMESPACE) == (lease["name"], lease["namespace"])


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_the_probes_ask_for_paths_that_are_served(probe: str) -> None:
    app = make_app(registry=CollectorRegistry(), healthy=str, ready=str)
    served = {resource.canonical for resource in app.router.resources()}
    asked = container()[probe]["httpGet"]
    assert asked["path"] in served
    assert asked["port"] in {port["name"] for port in container()["ports"]}


def test_the_metrics_path_of_the_scrape_annotations_is_served() -> None:
    app = make_app(registry=CollectorRegistry(), healthy=str, ready=str)
    annotations = pod_template()["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in {resource.canonical for resource in app.router.resources()}
    assert int(annotations["prometheus.io/port"]) == container()["ports"][0]["containerPort"]


def test_a_replica_stands_by_also_during_updates_and_drains() -> None:
    spec = only("Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = only("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spec["selector"]


def test_the_lease_that_is_shipped_is_held_by_nobody() -> None:
    """An apply must not take it from whoever leads."""
    assert "spec" not in only("Lease")


def test_the_operator_is_told_where_it_runs() -> None:
    paths = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container()["env"]}
    given = {name: f"<{path}>" for name, path in paths.items()}
    assert Whereabouts.from_environment(given) == Whereabouts(
        pod="<metadata.name>", namespace="<metadata.namespace>", node="<spec.nodeName>"
    )


def test_the_replicas_keep_apart_but_two_nodes_are_not_required() -> None:
    spec = pod_template()["spec"]
    (term,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (spread,) = spec["topologySpreadConstraints"]
    labels = pod_template()["metadata"]["labels"]
    for selector in (term["podAffinityTerm"]["labelSelector"], spread["labelSelector"]):
        assert selector["matchLabels"].items() <= labels.items()
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


def test_the_pod_meets_the_restricted_standard_that_its_namespace_enforces() -> None:
    labels = only("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod, own = pod_template()["spec"]["securityContext"], container()["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}


def test_the_selector_finds_the_pods() -> None:
    wanted = only("Deployment")["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= pod_template()["metadata"]["labels"].items()


def test_the_image_is_of_this_version() -> None:
    assert container()["image"] == f"springtide:{__version__}"
    dockerfile = (REPOSITORY / "deploy" / "docker" / "Dockerfile").read_text()
    assert f"-t springtide:{__version__} " in dockerfile


def test_kustomize_names_every_file() -> None:
    named = yaml.safe_load((FOLDER / "Kustomization").read_text())["resources"]
    assert named == ["../../crds", *sorted(path.name for path in FOLDER.glob("*.yaml"))]
    crds = REPOSITORY / "crds"
    named = yaml.safe_load((crds / "Kustomization").read_text())["resources"]
    assert named == sorted(path.name for path in crds.glob("*.yaml"))


def test_the_dockerfile_copies_what_its_ignore_file_lets_through() -> None:
    folder = REPOSITORY / "deploy" / "docker"
    lines = (folder / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    ignore = (folder / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    for source in (path for paths in copies for path in paths):
        assert (REPOSITORY / source).exists(), source
        assert any(source == entry or (REPOSITORY / source).match(entry) for entry in allowed), source
