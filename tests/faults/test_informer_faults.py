"""Informers end up with what the API server has, whatever happens on the way."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiohttp import web

from springtide.cluster import decode
from springtide.cluster.access import Access
from springtide.cluster.codec import ManifestCodec, RecordCodec
from springtide.cluster.informer import Informer, InformerSettings, Resource
from springtide.cluster.kube import KubeClient
from springtide.cluster.shape_table import ShapeTable
from springtide.cluster.store import Store
from springtide.cluster.watching import pod_codec
from springtide.cluster.wire import NodeWire, WorkloadWire
from tests.kube_api import KubeApi, eventually, line, refusal, serving, status

PODS = "/api/v1/pods"
QUICK = InformerSettings(
    page_size=2, silence_seconds=0.3, backoff_initial_seconds=0.01, backoff_max_seconds=0.05
)


def pod(name: str, **labels: str) -> dict:
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels}}


def names(informer: Informer) -> set[str]:
    return {item.name for item in informer.store}


@asynccontextmanager
async def following(api: KubeApi, settings: InformerSettings = QUICK):
    async def access() -> Access:
        return Access(server=api.url, ssl_context=None)

    codec = pod_codec(ShapeTable())
    async with KubeClient(access) as client:
        informer = Informer(client, Resource("pods", PODS, codec), Store(), settings=settings)
        task = asyncio.create_task(informer.run())
        try:
            yield informer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def api():
    async with serving() as api:
        yield api


@pytest.fixture
async def informer(api):
    for name in ("a", "b", "c"):
        api.put(PODS, pod(name))
    async with following(api) as informer:
        await eventually(lambda: informer.synced.is_set() and api.watching)
        yield informer


async def test_it_lists_in_pages_and_follows_changes(api, informer):
    assert names(informer) == {"a", "b", "c"}
    assert [r.query.get("continue", "") != "" for r in api.asked("list")] == [False, True]

    api.put(PODS, pod("d"))
    api.remove(PODS, "a", "default")
    await eventually(lambda: names(informer) == {"b", "c", "d"})
    assert informer.lists == 1


async def test_a_cut_watch_is_resumed_where_it_was(api, informer):
    api.put(PODS, pod("d"))
    await eventually(lambda: "d" in names(informer))
    seen = api.resource_version

    await api.cut_watches()
    api.put(PODS, pod("e"))

    await eventually(lambda: "e" in names(informer))
    assert informer.lists == 1
    assert api.asked("watch")[-1].query["resourceVersion"] == str(seen)


async def test_an_event_cut_in_the_middle_of_its_line_comes_again(api, informer):
    await api.cut_watches(leaving=b'{"type":"ADDED","object":{"metadata":{"name":"half')
    api.put(PODS, pod("whole"))

    await eventually(lambda: "whole" in names(informer))
    assert names(informer) == {"a", "b", "c", "whole"}
    assert informer.lists == 1


async def test_a_bookmark_moves_the_position_on(api, informer):
    api.bookmark(PODS)
    at = api.resource_version
    await eventually(lambda: informer._resource_version == str(at))
    api.compacted_at = at  # everything older than the bookmark is gone

    await api.cut_watches()
    await eventually(lambda: len(api.asked("watch")) == 2)
    api.put(PODS, pod("d"))
    await eventually(lambda: "d" in names(informer))
    assert informer.lists == 1, "a fresh bookmark spares the relist"


async def test_410_in_a_watch_means_a_relist_that_notices_deletions(api, informer):
    api.remove(PODS, "b", "default", silently=True)
    api.put(PODS, pod("d"), silently=True)
    api.compact()
    await api.cut_watches()

    await eventually(lambda: names(informer) == {"a", "c", "d"})
    assert informer.lists == 2


async def test_410_as_an_error_event_of_a_running_watch(api, informer):
    api.remove(PODS, "b", "default", silently=True)
    api.resource_version += 1
    api.send(PODS, {"type": "ERROR", "object": status(410, "Expired", "too old resource version")})

    await eventually(lambda: informer.lists == 2)
    assert names(informer) == {"a", "c"}


@pytest.mark.parametrize(
    ("wire", "to_record"),
    [
        pytest.param(WorkloadWire, partial(decode.workload, kind="ReplicaSet"), id="a kind without status"),
        pytest.param(NodeWire, decode.node_record, id="a kind with status"),
    ],
)
def test_an_error_event_is_understood_for_every_kind_and_after_the_events_before_it(wire, to_record):
    lines = line({"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "7"}}})
    lines += line({"type": "ERROR", "object": status(410, "Expired", "too old")})
    added, error = RecordCodec(wire, to_record).decode_events(lines)
    assert (added.key, added.resource_version) == (("", "a"), "7")
    assert (error.error.status, error.error.reason) == (410, "Expired")


async def test_410_while_paging_starts_over_without_pages():
    async with serving() as api:
        for name in "abcde":
            api.put(PODS, pod(name))

        def expire_token(_request: web.Request) -> None:
            api.compact()

        api.list_faults.extend([lambda _request: None, expire_token])
        async with following(api) as informer:
            await eventually(informer.synced.is_set)
            assert names(informer) == set("abcde")
        assert "limit" not in api.asked("list")[2].query


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(refusal(500, "InternalError"), id="500"),
        pytest.param(refusal(429, "TooManyRequests"), id="429"),
        pytest.param(refusal(403, "Forbidden"), id="403"),
        pytest.param(refusal(502, "", body="<html>bad gateway</html>"), id="proxy error page"),
        pytest.param(refusal(200, "", body='{"kind":"PodList","items":[{"metadata":'), id="broken JSON"),
    ],
)
async def test_a_failing_list_is_visible_and_tried_again(fault):
    async with serving() as api:
        api.put(PODS, pod("a"))
        errors = []

        def note(request: web.Request) -> web.Response | None:
            errors.append(watched[0].last_error)
            return None

        watched: list[Informer] = []
        api.list_faults.extend([fault, note])
        async with following(api) as informer:
            watched.append(informer)
            await eventually(informer.synced.is_set)
            assert names(informer) == {"a"}
            await eventually(lambda: not informer.last_error)
        assert errors != [""], "the error was visible while it lasted"


async def test_a_refused_watch_does_not_cost_a_relist_at_once(api, informer):
    api.watch_faults.append(refusal(500, "InternalError"))
    await api.cut_watches()
    api.put(PODS, pod("d"))
    await eventually(lambda: "d" in names(informer))
    assert informer.lists == 1


async def test_a_silent_stream_is_given_up_and_opened_anew(api, informer):
    api.put(PODS, pod("d"), silently=True)
    assert len(api.asked("watch")) == 1
    await eventually(lambda: len(api.asked("watch")) >= 2)
    api.put(PODS, pod("e"))
    await eventually(lambda: "e" in names(informer))


async def test_a_watch_that_is_refused_again_and_again_ends_in_a_relist(api, informer):
    api.put(PODS, pod("lost"), silently=True)
    api.watch_faults.extend([refusal(500, "InternalError")] * 3)
    await api.cut_watches()
    await eventually(lambda: "lost" in names(informer))
    assert informer.lists == 2


async def test_an_overloaded_server_is_not_burdened_with_relists(api, informer):
    api.watch_faults.extend([refusal(429, "TooManyRequests")] * 5)
    await api.cut_watches()
    api.put(PODS, pod("d"))
    await eventually(lambda: "d" in names(informer))
    assert informer.lists == 1


async def test_a_server_that_goes_away_and_comes_back():
    async with serving() as api:
        api.put(PODS, pod("a"))
        async with following(api) as informer:
            await eventually(informer.synced.is_set)
            api.down = True
            await api.cut_watches()
            await eventually(lambda: informer.last_error)
            age = informer.age_seconds
            await eventually(lambda: informer.age_seconds > age)

            api.down = False
            api.put(PODS, pod("b"))
            await eventually(lambda: names(informer) == {"a", "b"})
            assert not informer.last_error
            assert informer.age_seconds < 1
            assert informer.lists == 1, "a restart of the API server costs no relist"


async def test_a_listener_that_fails_does_not_end_the_informer(api, informer):
    failed = []

    def fail_once(_old, new):
        if new is not None and new.name == "d" and not failed:
            failed.append(new)
            raise RuntimeError("a bug in a listener")

    informer.store.subscribe(fail_once)
    api.put(PODS, pod("d"))
    await eventually(lambda: informer.lists == 2)
    assert "d" in names(informer)
    assert failed


async def test_custom_resources_survive_an_error_event_too(api):
    path = "/apis/springtide.dev/v1alpha1/nodepools"
    api.put(path, {"metadata": {"name": "general", "generation": 1}, "spec": {}, "status": {"size": {}}})

    async def access() -> Access:
        return Access(server=api.url, ssl_context=None)

    async with KubeClient(access) as client:
        informer = Informer(client, Resource("nodepools", path, ManifestCodec()), Store(), settings=QUICK)
        task = asyncio.create_task(informer.run())
        await eventually(lambda: informer.synced.is_set() and api.watching)
        api.resource_version += 1
        api.send(path, {"type": "ERROR", "object": status(410, "Expired")})
        await eventually(lambda: informer.lists == 2)
        assert [m["metadata"]["name"] for m in informer.store] == ["general"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_pod_that_cannot_be_read_neither_blinds_the_informer_nor_is_forgotten(api, caplog):
    odd = pod("odd") | {
        "spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "lots"}}}]}
    }
    api.put(PODS, pod("a"))
    api.put(PODS, odd)
    async with following(api) as informer:
        await eventually(lambda: informer.synced.is_set() and api.watching)
        assert names(informer) == {"a", "odd"}
        assert "lots" in informer.unreadable["default", "odd"]
        assert [r.getMessage() for r in caplog.records if "cannot be read" in r.getMessage()] == [
            "pods default/odd cannot be read: 'lots' is not a quantity: "
            "expected a number like 2, 1.5, 250m, 512Mi or 1e3"
        ]
        api.put(PODS, pod("odd"))
        api.put(PODS, pod("b"))
        await eventually(lambda: names(informer) == {"a", "odd", "b"})
        assert informer.unreadable == {}
        assert informer.lists == 1


async def test_of_many_that_cannot_be_read_a_few_are_named_and_all_are_counted(api, caplog):
    for number in range(40):
        api.put(PODS, pod(f"odd-{number}") | {"spec": {"overhead": {"cpu": "lots"}}})
    async with following(api, InformerSettings(page_size=100)) as informer:
        await eventually(informer.synced.is_set)
        assert len(informer.unreadable) == 40
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 6
