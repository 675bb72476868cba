"""ClusterWatch: all informers together, from the first list to a clean stop."""

import asyncio
from datetime import UTC, datetime
from math import inf

from springtide.cluster.access import Access
from springtide.cluster.informer import InformerSettings
from springtide.cluster.kube import KubeClient
from springtide.cluster.watching import ClusterWatch
from tests.kube_api import KubeApi, eventually, refusal, serving
from tests.unit.cluster.storage import (
    DRIVER,
    capacity,
    claim,
    csi_driver,
    csi_node,
    pod,
    storage_class,
    volume,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = InformerSettings(backoff_initial_seconds=0.01, backoff_max_seconds=0.05)


def client_of(api: KubeApi) -> KubeClient:
    async def access() -> Access:
        return Access(server=api.url, ssl_context=None)

    return KubeClient(access)


async def test_one_of_everything_is_in_the_picture():
    objects = {
        "/api/v1/nodes": {"metadata": {"name": "n1"}},
        "/api/v1/pods": pod("web", "data", node="n1"),
        "/apis/policy/v1/poddisruptionbudgets": {"metadata": {"name": "b", "namespace": "shop"}},
        "/apis/apps/v1/daemonsets": {"metadata": {"name": "agent", "namespace": "x", "uid": "ds"}},
        "/apis/apps/v1/replicasets": {"metadata": {"name": "web", "namespace": "shop", "uid": "rs"}},
        "/apis/apps/v1/statefulsets": {"metadata": {"name": "db", "namespace": "shop", "uid": "sts"}},
        "/api/v1/replicationcontrollers": {"metadata": {"name": "rc", "namespace": "shop", "uid": "rc"}},
        "/apis/batch/v1/jobs": {"metadata": {"name": "job", "namespace": "shop", "uid": "job"}},
        "/apis/coordination.k8s.io/v1/leases": {
            "metadata": {"name": "cluster-autoscaler", "namespace": "kube-system"}
        },
        "/api/v1/namespaces": {"metadata": {"name": "shop", "labels": {"team": "red"}}},
        "/api/v1/persistentvolumeclaims": claim("data", "pv"),
        "/api/v1/persistentvolumes": volume("pv", handle="vol-1"),
        "/apis/storage.k8s.io/v1/storageclasses": storage_class(),
        "/apis/storage.k8s.io/v1/csidrivers": csi_driver(),
        "/apis/storage.k8s.io/v1/csinodes": csi_node("n1", 25),
        "/apis/storage.k8s.io/v1/csistoragecapacities": capacity("c", topology={}, capacity="1Gi"),
        "/apis/springtide.dev/v1alpha1/nodepools": {"metadata": {"name": "general"}},
        "/apis/springtide.dev/v1alpha1/autoscalerpolicies": {"metadata": {"name": "default"}},
    }
    async with serving() as api, client_of(api) as client:
        for path, manifest in objects.items():
            api.put(path, manifest)
        watch = ClusterWatch(client, settings=QUICK)
        assert watch.age_seconds == inf
        watch.start()
        await watch.synced()

        picture = watch.picture(now=NOW)
        assert [node.name for node in picture.nodes] == ["n1"]
        assert [node.volume_limits for node in picture.nodes] == [{DRIVER: 25}]
        (web,) = picture.pods_by_node["n1"]
        assert web.key == "default/web"
        assert web.shape.volumes is not None
        assert web.shape.volumes.attaches == ((DRIVER, 1),)
        volumes = watch.state.volumes
        assert len(volumes.classes) == len(volumes.drivers) == len(volumes.capacities) == 1
        assert {w.kind for w in picture.workloads.values()} == {
            "DaemonSet",
            "ReplicaSet",
            "StatefulSet",
            "ReplicationController",
            "Job",
        }
        assert len(picture.disruption_budgets) == len(picture.daemon_sets) == 1
        assert picture.namespaces == {"shop": {"team": "red"}}
        assert picture.ca_lease is not None
        assert [m["metadata"]["name"] for m in (*picture.node_pools, *picture.policies)] == [
            "general",
            "default",
        ]
        assert picture.age_seconds < 5
        await watch.stop()

    selectors = {r.path: r.query.get("fieldSelector") for r in api.asked("list")}
    assert selectors["/apis/coordination.k8s.io/v1/leases"] == "metadata.name=cluster-autoscaler"
    assert "status.phase!=Succeeded" in selectors["/api/v1/pods"]


async def test_it_is_not_synced_while_one_kind_cannot_be_read_and_says_which():
    async with serving() as api, client_of(api) as client:

        def no_pods(request):
            return refusal(403, "Forbidden")(request) if request.path == "/api/v1/pods" else None

        api.list_faults.extend([no_pods] * 500)
        watch = ClusterWatch(client, settings=QUICK)
        watch.start()
        await eventually(lambda: sum(i.synced.is_set() for i in watch.informers) == len(watch.informers) - 1)
        assert not watch.is_synced
        await eventually(watch.problems)
        (problem,) = watch.problems()
        assert problem.startswith("pods: 403 Forbidden")
        assert "deploy/kubernetes/20-cluster-role.yaml" in problem
        assert watch.age_seconds == inf
        await watch.stop()


async def test_stopping_leaves_no_task_behind():
    async with serving() as api, client_of(api) as client:
        before = asyncio.all_tasks()
        watch = ClusterWatch(client)
        watch.start()
        await watch.synced()
        await watch.stop()
        assert {t for t in asyncio.all_tasks() - before if "informer" in t.get_name()} == set()


async def test_listing_anew_shows_what_no_watch_has_told():
    """A new leader must see what the one before it did, however far behind its watches are."""
    async with serving() as api, client_of(api) as client:
        api.put("/api/v1/nodes", {"metadata": {"name": "n1"}})
        api.put("/api/v1/nodes", {"metadata": {"name": "n2"}})
        watch = ClusterWatch(client, settings=QUICK)
        watch.start()
        await watch.synced()
        api.put("/api/v1/nodes", {"metadata": {"name": "n3"}}, silently=True)
        api.remove("/api/v1/nodes", "n1", silently=True)
        assert {node.name for node in watch.picture(now=NOW).nodes} == {"n1", "n2"}
        before = [informer.lists for informer in watch.informers]
        await watch.list_anew({"nodes"})
        assert {node.name for node in watch.picture(now=NOW).nodes} == {"n2", "n3"}
        listed = [i.resource.name for i, was in zip(watch.informers, before, strict=True) if i.lists > was]
        assert listed == ["nodes"]
        api.put("/api/v1/nodes", {"metadata": {"name": "n4"}})
        await eventually(lambda: len(watch.picture(now=NOW).nodes) == 3)
        await watch.stop()
