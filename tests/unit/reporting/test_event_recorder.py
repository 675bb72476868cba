"""Events: posted once, counted when repeated, never in the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from springtide.cluster.api_errors import ApiError
from springtide.reporting.events import MAX_MESSAGE, MAX_WAITING, Event, EventRecorder, EventType, Subject
from tests.hostile import SECRETS, hostile_text

POOL = Subject("springtide.dev/v1alpha1", "NodePool", "general", "uid-1")
POD = Subject("v1", "Pod", "web", "uid-2", "shop")


class Api:
    """Remembers events as the API server would."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []

    async def post(self, path: str, body: Any) -> Any:
        self.requests.append(f"POST {path}")
        self.objects[f"{path}/{body['metadata']['name']}"] = body
        return body

    async def patch(self, path: str, body: Any, content_type: str = "") -> Any:
        self.requests.append(f"PATCH {path}")
        if path not in self.objects:
            raise ApiError(status=404)
        self.objects[path].update(body)
        return self.objects[path]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def event(message: str = "bought", *, subject: Subject = POOL) -> Event:
    return Event(subject=subject, type=EventType.NORMAL, reason="ScaledUpGroup", message=message)


async def recorded(recorder: EventRecorder, *events: Event) -> None:
    """Record and wait until written."""
    task = asyncio.create_task(recorder.run())
    for one in events:
        recorder.record(one)
    await recorder.flush(seconds=5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_event_of_a_cluster_scoped_object_lives_in_default_and_names_no_namespace() -> None:
    api = Api()
    await recorded(EventRecorder(api, clock=Clock()), event())
    (posted,) = api.objects.values()
    assert posted["metadata"]["namespace"] == "default"
    # kubectl describe asks for events whose involvedObject.namespace is empty.
    assert "namespace" not in posted["involvedObject"]


async def test_an_event_of_a_pod_lives_beside_it() -> None:
    api = Api()
    await recorded(EventRecorder(api, clock=Clock()), event(subject=POD))
    (posted,) = api.objects.values()
    assert posted["metadata"]["namespace"] == posted["involvedObject"]["namespace"] == "shop"


async def test_the_same_words_within_five_minutes_are_written_once() -> None:
    api = Api()
    await recorded(EventRecorder(api, clock=Clock()), event(), event(), event("other"))
    assert len(api.requests) == 2


async def test_a_later_repetition_raises_the_count() -> None:
    api, clock = Api(), Clock()
    recorder = EventRecorder(api, clock=clock)
    await recorded(recorder, event())
    clock.now += timedelta(minutes=6)
    await recorded(recorder, event())
    (posted,) = api.objects.values()
    assert posted["count"] == 2


async def test_an_event_the_api_server_has_forgotten_begins_anew() -> None:
    api, clock = Api(), Clock()
    recorder = EventRecorder(api, clock=clock)
    await recorded(recorder, event())
    api.objects.clear()
    clock.now += timedelta(hours=2)
    await recorded(recorder, event())
    (posted,) = api.objects.values()
    assert posted["count"] == 1


async def test_a_long_message_is_cut_to_what_the_api_server_takes() -> None:
    api = Api()
    await recorded(EventRecorder(api, clock=Clock()), event("x" * 5000))
    (posted,) = api.objects.values()
    assert len(posted["message"]) == MAX_MESSAGE


async def test_more_than_can_be_written_is_dropped_and_counted() -> None:
    recorder = EventRecorder(Api(), clock=Clock())
    for number in range(MAX_WAITING + 7):
        recorder.record(event(str(number)))
    assert recorder.dropped == 7


async def test_that_events_are_forbidden_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Forbidding(Api):
        async def post(self, path: str, body: Any) -> Any:
            raise ApiError(status=403, reason="Forbidden", message="events is forbidden")

    recorder = EventRecorder(Forbidding(), clock=Clock())
    await recorded(recorder, event("one"), event("two"))
    (record,) = caplog.records
    assert "deploy/kubernetes/20-cluster-role.yaml" in record.getMessage()
    assert recorder.dropped == 2


@pytest.mark.parametrize(("text", "secret"), SECRETS)
async def test_no_event_tells_a_secret(text: str, secret: str) -> None:
    api = Api()
    await recorded(EventRecorder(api, clock=Clock()), event(text))
    (written,) = api.objects.values()
    assert secret not in written["message"]


@settings(deadline=None)
@given(hostile_text())
def test_whatever_is_said_an_event_has_one_bounded_line(text: str) -> None:
    message = event(text).message
    assert len(message) <= MAX_MESSAGE
    assert message.isprintable()


@pytest.mark.looptime
async def test_events_that_gathered_in_an_outage_are_not_written_all_at_once() -> None:
    api = Api()
    recorder = EventRecorder(api, clock=Clock())
    for number in range(300):
        node = Subject("v1", "Node", f"node-{number}", f"uid-{number}")
        recorder.record(event(subject=node))
    assert recorder.waiting == 300
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(1)
    assert len(api.requests) == pytest.approx(50, abs=2)
    await asyncio.sleep(5)
    assert recorder.waiting == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_dropped_is_told_to_whoever_counts() -> None:
    recorder, told = EventRecorder(Api(), clock=Clock()), []
    recorder.on_drop = lambda: told.append(1)
    for number in range(MAX_WAITING + 7):
        recorder.record(event(f"number {number}"))
    assert len(told) == 7


async def test_after_the_clock_was_set_back_an_event_is_told_again() -> None:
    clock, api = Clock(), Api()
    recorder = EventRecorder(api, clock=clock)
    recorder.record(event())
    clock.now -= timedelta(hours=2)
    recorder.record(event())
    assert recorder.waiting == 2
