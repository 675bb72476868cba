"""The devcluster itself: a real control plane that hollow nodes join, that can be cut, and that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devcluster.api import Api, ApiError, Object, has_condition, wait_for
from devcluster.components import ControlPlaneOptions
from devcluster.controlplane import ControlPlane
from devcluster.nodes import NODES, HollowNode, create_node, delete_node, set_ready, silence
from devcluster.process import Process, ProcessCrashed

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CAPACITY = {"cpu": "4", "memory": "16Gi", "pods": "110", "example.com/widget": "2"}
ALLOCATABLE = {**CAPACITY, "cpu": "3900m"}
PODS = "/api/v1/namespaces/default/pods"
REPOSITORY = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    options = ControlPlaneOptions(logs=tmp_path_factory.mktemp("logs"), node_lease_seconds=8)
    async with ControlPlane(options) as control_plane:
        yield control_plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: ControlPlane) -> AsyncIterator[Api]:
    async with cluster.api() as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def node(api: Api) -> AsyncIterator[str]:
    await create_node(api, HollowNode(name="hollow", capacity=CAPACITY, allocatable=ALLOCATABLE))
    await wait_for(lambda: schedulable(api, "hollow"), timeout=20, what="the node to be Ready")
    yield "hollow"
    await delete_node(api, "hollow")


async def schedulable(api: Api, name: str) -> bool:
    found = await api.get(f"{NODES}/{name}")
    return has_condition(found, "Ready") and not found["spec"].get("taints")


def pod(name: str, **metadata: Any) -> Object:
    container = {"name": "c", "image": "pause", "resources": {"requests": {"cpu": "100m"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [container]},
    }


async def in_phase(api: Api, name: str, phase: str) -> Object:
    async def reached() -> Object | None:
        found = await api.get(f"{PODS}/{name}")
        return found if found["status"]["phase"] == phase else None

    return await wait_for(reached, timeout=20, what=f"pod {name} to be {phase}") or {}


async def remove(api: Api, *names: str) -> None:
    for name in names:
        await api.delete(f"{PODS}/{name}", grace_seconds=0)


async def test_a_hollow_node_keeps_the_capacity_it_registered_with(api: Api, node: str) -> None:
    status = (await api.get(f"{NODES}/{node}"))["status"]
    assert status["capacity"] == CAPACITY
    assert status["allocatable"] == ALLOCATABLE
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.3"


async def test_registering_twice_leaves_the_node_as_it_is(api: Api, node: str) -> None:
    again = await create_node(api, HollowNode(name=node, capacity={"cpu": "1"}))
    assert again["status"]["capacity"] == CAPACITY


async def test_a_pod_runs_and_is_gone_as_soon_as_it_is_deleted(api: Api, node: str) -> None:
    await api.post(PODS, pod("lone"))
    running = await in_phase(api, "lone", "Running")
    assert running["spec"]["nodeName"] == node
    assert has_condition(running, "Ready")
    assert running["status"]["podIP"].startswith("10.")
    # With the default grace period of 30 s: the hollow kubelet must confirm the end.
    await api.delete(f"{PODS}/lone")

    async def absent() -> bool:
        return await api.find(f"{PODS}/lone") is None

    await wait_for(absent, timeout=10, what="the pod to be gone")


async def test_a_pod_ends_well_when_its_annotation_says_so(api: Api, node: str) -> None:
    await api.post(PODS, pod("brief", annotations={"devcluster.springtide.dev/run-for": "100ms"}))
    ended = await in_phase(api, "brief", "Succeeded")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    await remove(api, "brief")


async def test_disruption_budgets_are_counted_and_kept(api: Api, node: str) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "one"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "kept"}}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kept"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "kept"}},
            "template": {"metadata": {"labels": {"app": "kept"}}, "spec": pod("")["spec"]},
        },
    }
    await api.apply_all([budget, deployment])
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/one"

    async def counted() -> bool:
        healthy: int = (await api.get(path))["status"].get("currentHealthy", 0)
        return healthy == 2

    await wait_for(counted, timeout=20, what="the budget to count two healthy pods")
    victim = (await api.items(PODS, labelSelector="app=kept"))[0]["metadata"]["name"]
    with pytest.raises(ApiError) as refusal:
        await api.post(
            f"{PODS}/{victim}/eviction",
            {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}},
        )
    assert refusal.value.status == 429
    await api.delete("/apis/apps/v1/namespaces/default/deployments/kept", propagationPolicy="Background")
    await api.delete(path)


async def test_a_service_account_may_do_what_its_role_says_and_no_more(
    cluster: ControlPlane, api: Api
) -> None:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    granted = await api.post("/api/v1/namespaces/default/serviceaccounts/default/token", request)
    async with Api(
        server=cluster.server, token=granted["status"]["token"], ca_path=cluster.ca_path
    ) as limited:
        with pytest.raises(
            ApiError, match='User "system:serviceaccount:default:default" cannot list'
        ) as error:
            await limited.items(NODES)
        assert error.value.status == 403
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:node",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        }
        await api.apply(binding)

        async def allowed() -> bool:
            with contextlib.suppress(ApiError):
                await limited.items(NODES)
                return True
            return False

        await wait_for(allowed, timeout=10, what="the role to be granted")


async def test_a_node_made_unready_is_tainted_until_it_is_ready_again(api: Api, node: str) -> None:
    # A healthy one beside it: when no node at all is Ready, Kubernetes suspects itself and evicts nothing.
    await create_node(api, HollowNode(name="healthy", capacity=CAPACITY))
    await wait_for(lambda: schedulable(api, "healthy"), timeout=20, what="the other node to be Ready")
    await set_ready(api, node, ready=False)

    async def tainted() -> bool:
        taints = (await api.get(f"{NODES}/{node}"))["spec"].get("taints", [])
        effects = {taint["effect"] for taint in taints if taint["key"] == "node.kubernetes.io/not-ready"}
        return effects == {"NoSchedule", "NoExecute"}

    await wait_for(tainted, timeout=20, what="the node to be tainted")
    await set_ready(api, node, ready=True)
    await wait_for(lambda: schedulable(api, node), timeout=20, what="the node to be schedulable again")
    await delete_node(api, "healthy")


async def test_a_node_that_falls_silent_becomes_unknown(api: Api, node: str) -> None:
    await silence(api, node)

    async def unknown() -> bool:
        return has_condition(await api.get(f"{NODES}/{node}"), "Ready", "Unknown")

    await wait_for(unknown, timeout=40, what="the silent node to be Unknown")


async def test_the_api_server_can_be_cut_and_everything_goes_on(
    cluster: ControlPlane, api: Api, node: str
) -> None:
    await api.post(PODS, pod("before"))
    await in_phase(api, "before", "Running")
    await cluster.stop_component("kube-apiserver")
    with pytest.raises(OSError, match="Connect"):
        await api.get(NODES)
    assert cluster.failed() == []
    await cluster.start_component("kube-apiserver")
    await api.post(PODS, pod("after"))
    await in_phase(api, "after", "Running")
    assert (await api.get(f"{PODS}/before"))["status"]["phase"] == "Running"
    await remove(api, "before", "after")


async def test_a_crash_is_noticed_and_told(cluster: ControlPlane) -> None:
    pid = cluster.processes()["kwok"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    [crash] = await asyncio.wait_for(cluster.wait_failed(), 10)
    assert str(crash).startswith(f"kwok ended with signal 9; the last lines of {cluster.logs / 'kwok.log'}:")
    await cluster.start_component("kwok")
    assert cluster.failed() == []


async def test_a_component_that_cannot_start_fails_the_start_with_its_words(tmp_path: Path) -> None:
    options = ControlPlaneOptions(logs=tmp_path, extra_flags={"kube-scheduler": ["--nonsense"]})
    control_plane = ControlPlane(options)
    with pytest.raises(ProcessCrashed, match="unknown flag: --nonsense"):
        await control_plane.start()
    running = [process.pid for process in control_plane.processes().values() if process.running]
    await control_plane.stop()
    assert running
    assert not any(alive(pid) for pid in running if pid is not None)


async def test_a_stopped_cluster_leaves_its_logs_and_nothing_else(tmp_path: Path) -> None:
    async with ControlPlane(ControlPlaneOptions(logs=tmp_path)) as control_plane:
        pids = [process.pid for process in control_plane.processes().values()]
        folder = control_plane.kubeconfig.parent
    assert not any(alive(pid) for pid in pids if pid is not None)
    assert not folder.exists()
    assert (tmp_path / "kube-apiserver.log").stat().st_size > 0


@pytest.mark.parametrize(
    ("number", "returncode"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="kill -9"),
    ],
)
async def test_the_command_leaves_no_process_however_it_ends(
    tmp_path: Path, number: signal.Signals, returncode: int
) -> None:
    command = [sys.executable, "-m", "devcluster", "--no-cloud", "--logs", str(tmp_path)]
    log = tmp_path / "command.log"
    main = Process("devcluster", command, log=log, environment={"PYTHONPATH": str(REPOSITORY)})
    await main.start()
    try:
        await wait_for(says(main, "Ctrl-C stops it"), timeout=60, what="the command to be ready")
        assert main.pid is not None
        pids = children(main.pid)
        assert len(pids) == 5
        os.kill(main.pid, number)
        assert await asyncio.wait_for(main.wait(), 15) == returncode
    finally:
        await main.stop()

    async def all_gone() -> bool:
        return not any(alive(pid) for pid in pids)

    await wait_for(all_gone, timeout=10, what=f"{pids} to be gone")


def says(process: Process, text: str) -> Callable[[], Awaitable[bool]]:
    async def said() -> bool:
        if process.crash is not None:
            raise process.crash
        return text in process.tail()

    return said


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
