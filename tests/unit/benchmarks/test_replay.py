"""The replayed cluster: real informers find in it what its formulas say, also after pods have come and gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from benchmarks.recorded_pods import STAGES
from benchmarks.recording import DAEMON_SETS, Recording, node_name
from benchmarks.replay import Server, number_of
from benchmarks.replayed_cluster import Churn, Cluster
from springtide.cluster.access import Access
from springtide.cluster.kube import KubeClient
from springtide.cluster.watching import ClusterWatch
from tests.kube_api import eventually

SMALL = Recording(nodes=30, pods=1200, shapes=54, groups=3)


@asynccontextmanager
async def watched(cluster: Cluster) -> AsyncIterator[ClusterWatch]:
    runner = web.AppRunner(Server(cluster).app(), shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def access() -> Access:
        return Access(server=url, ssl_context=None)

    try:
        async with KubeClient(access) as client:
            watch = ClusterWatch(client)
            watch.start()
            await watch.synced()
            yield watch
            await watch.stop()
    finally:
        await runner.cleanup()


async def test_informers_find_what_the_formulas_say() -> None:
    async with watched(Cluster(SMALL)) as cluster:
        picture = cluster.picture(now=datetime.now(UTC))
        assert len(cluster.state.pods) == SMALL.pods
        assert len({pod.shape for pod in cluster.state.pods}) == SMALL.shapes
        assert [len(pods) for pods in picture.pods_by_node.values()] == [
            SMALL.pods // SMALL.nodes
        ] * SMALL.nodes
        assert sum(pod.is_daemon for pod in cluster.state.pods) == DAEMON_SETS * SMALL.nodes
        assert all(pod.owner is not None and pod.owner.uid in picture.workloads for pod in cluster.state.pods)
        assert len(picture.node_pools) == SMALL.groups


async def test_each_pod_that_goes_is_followed_by_another() -> None:
    replayed = Cluster(SMALL)
    async with watched(replayed) as cluster:
        before = {pod.uid for pod in cluster.state.pods}
        await eventually(lambda: "/api/v1/pods" in replayed.watchers)
        await Churn(replayed).run(per_second=2000, seconds=0.4)
        await eventually(lambda: cluster.state.version > 0 and before - {p.uid for p in cluster.state.pods})
        assert {pod.uid for pod in cluster.state.pods} - before
        assert not cluster.problems()


def test_pods_are_as_large_as_real_ones() -> None:
    assert 7_500 < len(SMALL.pod(SMALL.pods - 1)) < 9_500
    sizes = [len(SMALL.pod(SMALL.pods - 1, stage)) for stage in STAGES]
    assert min(sizes) > 5_000


def test_node_names_lead_back_to_their_numbers() -> None:
    assert [number_of(node_name(n)) for n in (0, 255, 256, 4999)] == [0, 255, 256, 4999]
