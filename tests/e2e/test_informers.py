"""Our client and informers against the real API server: over TLS, with its own pages, bookmarks and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devcluster.api import Api, load_manifests
from devcluster.controlplane import ControlPlane
from devcluster.nodes import HollowNode, create_node, delete_node
from springtide.cluster.access import kubeconfig
from springtide.cluster.informer import InformerSettings
from springtide.cluster.kube import JSON_PATCH, ApiError, KubeClient
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.watching import ClusterWatch
from tests.kube_api import eventually
from tests.manifests import nodepool

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

REPOSITORY = Path(__file__).parents[2]
PODS = "/api/v1/namespaces/default/pods"
NODE_POOLS = "/apis/springtide.dev/v1alpha1/nodepools"
SMALL_PAGES = InformerSettings(page_size=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def control_plane() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as control_plane:
        async with control_plane.api() as api:
            await api.apply_all(load_manifests(REPOSITORY / "crds"))
        yield control_plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(control_plane: ControlPlane) -> AsyncIterator[Api]:
    async with control_plane.api() as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with KubeClient(kubeconfig(str(control_plane.kubeconfig))) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def watch(client: KubeClient) -> AsyncIterator[ClusterWatch]:
    watch = ClusterWatch(client, settings=SMALL_PAGES)
    watch.start()
    async with asyncio.timeout(20):
        await watch.synced()
    yield watch
    await watch.stop()


def pod(name: str, *, cpu: str = "500m", **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "none", "resources": {"limits": {"cpu": cpu, "memory": "64Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def picture(watch: ClusterWatch) -> ClusterPicture:
    return watch.picture(now=datetime.now(tz=UTC))


def pending(watch: ClusterWatch) -> set[str]:
    return {pod.name for pod in picture(watch).pending_pods}


def bound(watch: ClusterWatch, node: str) -> set[str]:
    return {pod.name for pod in picture(watch).pods_by_node.get(node, ())}


async def test_the_life_of_a_pod_and_its_node(api: Api, watch: ClusterWatch) -> None:
    wakes: list[str] = []
    watch.state.on_wake_up(wakes.append)

    await api.post(PODS, pod("lone"))
    await eventually(lambda: "pod default/lone became unschedulable" in wakes)
    (waiting,) = (p for p in picture(watch).pending_pods if p.name == "lone")
    assert waiting.shape.requests == {"cpu": 500, "memory": 64 * 2**20}
    assert waiting.unschedulable_since is not None

    await create_node(api, HollowNode(name="e2e-n1", capacity={"cpu": "4", "memory": "8Gi", "pods": "110"}))
    await eventually(lambda: "node e2e-n1 became ready" in wakes)
    await eventually(lambda: bound(watch, "e2e-n1") == {"lone"}, within_seconds=20)
    assert "lone" not in pending(watch)
    (node,) = (n for n in picture(watch).nodes if n.name == "e2e-n1")
    assert (node.ready, node.allocatable["cpu"]) == (True, 4000)

    await api.delete(f"{PODS}/lone", grace_seconds=0)
    await eventually(lambda: not bound(watch, "e2e-n1"))
    await delete_node(api, "e2e-n1")
    await eventually(lambda: "node e2e-n1 vanished" in wakes)


async def test_a_list_of_many_pages_is_whole(api: Api, client: KubeClient) -> None:
    names = {f"page-{n}" for n in range(20)}
    await asyncio.gather(*(api.post(PODS, pod(name, nodeSelector={"no": "where"})) for name in names))
    watch = ClusterWatch(client, settings=SMALL_PAGES)
    watch.start()
    await watch.synced()
    assert names <= pending(watch)
    assert len({p.shape for p in picture(watch).pending_pods if p.name in names}) == 20, "labels differ"
    await watch.stop()
    await asyncio.gather(*(api.delete(f"{PODS}/{name}", grace_seconds=0) for name in names))


async def test_only_what_a_user_changes_about_a_pool_wakes(api: Api, watch: ClusterWatch) -> None:
    wakes: list[str] = []
    await api.post(NODE_POOLS, nodepool("informed"))
    await eventually(lambda: any(p["metadata"]["name"] == "informed" for p in picture(watch).node_pools))
    watch.state.on_wake_up(wakes.append)

    await api.patch(f"{NODE_POOLS}/informed/status", {"status": {"observedGeneration": 1}})
    await eventually(lambda: any((p.get("status") or {}) for p in picture(watch).node_pools))
    assert wakes == []

    await api.patch(f"{NODE_POOLS}/informed", {"spec": {"mode": "Paused"}})
    await eventually(lambda: wakes == ["NodePool informed was changed"])
    await api.delete(f"{NODE_POOLS}/informed")
    await eventually(lambda: wakes[-1] == "NodePool informed is gone")


async def test_a_restart_of_the_api_server_is_got_over(
    control_plane: ControlPlane, api: Api, watch: ClusterWatch
) -> None:
    await control_plane.stop_component("kube-apiserver")
    await eventually(watch.problems, within_seconds=20)
    await control_plane.start_component("kube-apiserver")
    await eventually(lambda: not watch.problems(), within_seconds=30)

    await api.post(PODS, pod("after", nodeSelector={"no": "where"}))
    await eventually(lambda: "after" in pending(watch), within_seconds=20)
    # A fresh watch cache knows no history: what was quiet before is 410 and listed again, but only once.
    assert max(informer.lists for informer in watch.informers) <= 2
    await api.delete(f"{PODS}/after", grace_seconds=0)


async def test_errors_say_what_the_api_server_said(client: KubeClient) -> None:
    with pytest.raises(ApiError) as missing:
        await client.get("/api/v1/nodes/none")
    assert (missing.value.status, missing.value.reason) == (404, "NotFound")

    await client.post(PODS, pod("errors", nodeSelector={"no": "where"}))
    stale = await client.get_json(f"{PODS}/errors")
    stale["metadata"]["resourceVersion"] = "1"
    with pytest.raises(ApiError) as conflict:
        await client.put(f"{PODS}/errors", stale)
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")

    wrong_test = [{"op": "test", "path": "/metadata/name", "value": "other"}]
    with pytest.raises(ApiError) as failed:
        await client.patch(f"{PODS}/errors", wrong_test, JSON_PATCH)
    assert failed.value.status == 422
    await client.delete(f"{PODS}/errors", {"gracePeriodSeconds": 0})


async def test_an_eviction_against_a_budget_names_the_budget(api: Api, client: KubeClient) -> None:
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await create_node(api, HollowNode(name="e2e-n2", capacity={"cpu": "4", "memory": "8Gi", "pods": "110"}))
    await api.post(PODS, pod("guarded"))
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guard"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
    }
    await api.post(budgets, budget)
    await _until_observed(api, f"{budgets}/guard")

    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "guarded"}}
    with pytest.raises(ApiError) as refused:
        await client.post(f"{PODS}/guarded/eviction", eviction)
    assert refused.value.status == 429
    assert "DisruptionBudget" in refused.value.causes

    await api.delete(f"{budgets}/guard")
    await client.post(f"{PODS}/guarded/eviction", eviction)
    await delete_node(api, "e2e-n2")


async def _until_observed(api: Api, path: str) -> None:
    """Wait until the disruption controller counted the guarded pod as healthy."""
    async with asyncio.timeout(20):
        while (await api.get(path)).get("status", {}).get("currentHealthy") != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
