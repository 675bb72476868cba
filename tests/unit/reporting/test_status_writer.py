"""Statuses: written when they say something new, guarded by the resourceVersion, with a slow heartbeat."""

from __future__ import annotations

import asyncio
import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.reporting.status_writer import StatusWriter

START = datetime(2026, 1, 1, tzinfo=UTC)


class Api:
    """One object with a resourceVersion, as the API server keeps it."""

    def __init__(self) -> None:
        self.object: dict[str, Any] = {"metadata": {"uid": "u", "resourceVersion": "1"}}
        self.patches = 0
        self.error: Exception | None = None

    def touched_by_somebody(self) -> None:
        self.object["metadata"]["resourceVersion"] = str(int(self.object["metadata"]["resourceVersion"]) + 1)

    async def patch(self, path: str, body: Any, content_type: str = "") -> Any:
        assert path == "/apis/springtide.dev/v1alpha1/nodepools/general/status"
        if self.error is not None:
            raise self.error
        test, add = body
        if test["value"] != self.object["metadata"]["resourceVersion"]:
            raise ApiError(status=422, reason="Invalid")
        self.patches += 1
        self.object["status"] = add["value"]
        self.touched_by_somebody()
        return copy.deepcopy(self.object)

    async def get_json(self, path: str) -> Any:
        return copy.deepcopy(self.object)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(api: Api, clock: Clock) -> StatusWriter:
    return StatusWriter(api, clock=clock, heartbeat=timedelta(seconds=60))


async def write(writer: StatusWriter, status: dict[str, Any], *, version: str = "1") -> bool:
    return await writer.write("nodepools", "general", uid="u", resource_version=version, status=status)


async def test_an_unchanged_status_is_not_written_again(api: Api, writer: StatusWriter) -> None:
    assert await write(writer, {"size": {"target": 1}})
    assert not await write(writer, {"size": {"target": 1}})
    assert api.patches == 1


async def test_a_heartbeat_field_alone_is_not_news(api: Api, writer: StatusWriter, clock: Clock) -> None:
    await write(writer, {"lastPass": {"time": "a", "planID": "1", "pendingPods": 0}})
    clock.now += timedelta(seconds=10)
    assert not await write(writer, {"lastPass": {"time": "b", "planID": "2", "pendingPods": 0}})
    assert await write(writer, {"lastPass": {"time": "b", "planID": "2", "pendingPods": 3}})


async def test_the_heartbeat_is_written_once_a_minute(api: Api, writer: StatusWriter, clock: Clock) -> None:
    await write(writer, {"a": 1})
    clock.now += timedelta(seconds=60)
    assert await write(writer, {"a": 1})
    assert api.object["status"]["lastProbeTime"] == "2026-01-01T00:01:00Z"


async def test_what_is_no_longer_true_does_not_linger(api: Api, writer: StatusWriter) -> None:
    await write(writer, {"a": 1, "b": 2})
    await write(writer, {"a": 1})
    assert "b" not in api.object["status"]


async def test_a_change_by_somebody_else_is_read_and_the_write_repeated(
    api: Api, writer: StatusWriter
) -> None:
    api.touched_by_somebody()
    assert await write(writer, {"a": 1}, version="1")
    assert api.object["status"]["a"] == 1


async def test_our_own_last_write_is_newer_than_a_lagging_watch(api: Api, writer: StatusWriter) -> None:
    await write(writer, {"a": 1}, version="1")
    assert await write(writer, {"a": 2}, version="1")
    assert api.patches == 2


async def test_another_object_of_the_same_name_is_left_alone(api: Api, writer: StatusWriter) -> None:
    api.object["metadata"] = {"uid": "another", "resourceVersion": "9"}
    await write(writer, {"a": 1}, version="1")
    assert "status" not in api.object


@pytest.mark.parametrize("error", [ApiUnreachable("cut"), ApiError(status=500)])
async def test_a_failed_write_is_counted_and_repeated_next_time(
    api: Api, writer: StatusWriter, error: Exception
) -> None:
    api.error = error
    assert not await write(writer, {"a": 1})
    assert writer.failures == 1
    api.error = None
    assert await write(writer, {"a": 1})


async def test_the_same_failure_is_told_once_and_again_after_a_success(
    api: Api, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StatusWriter(api, clock=clock, heartbeat=timedelta(seconds=60))

    async def write(number: int) -> bool:
        status = {"size": {"target": number}}
        return await writer.write("nodepools", "general", uid="u", resource_version="1", status=status)

    api.error = ApiError(status=403, reason="Forbidden", message="no")
    assert [await write(number) for number in range(3)] == [False] * 3
    assert len(caplog.records) == 1
    api.error = None
    assert await write(3)
    api.error = ApiError(status=403, reason="Forbidden", message="no")
    await write(4)
    assert len(caplog.records) == 2


# --- writing now ---------------------------------------------------------------------------------------------------


async def write_now(writer: StatusWriter, status: dict[str, Any], *, uid: str = "u") -> None:
    await writer.write_now("nodepools", "general", uid=uid, resource_version="1", status=status)


async def test_what_must_stand_there_is_written_even_if_it_is_not_news(
    api: Api, writer: StatusWriter
) -> None:
    await write(writer, {"a": 1})
    await write_now(writer, {"a": 1})
    assert api.patches == 2


async def test_a_lost_race_is_resolved_by_reading(api: Api, writer: StatusWriter) -> None:
    await write(writer, {"a": 1})
    api.touched_by_somebody()
    await write_now(writer, {"a": 2})
    assert api.object["status"]["a"] == 2


@pytest.mark.parametrize("error", [ApiUnreachable("cut"), ApiError(status=403)])
async def test_what_could_not_be_written_now_is_said(
    api: Api, writer: StatusWriter, error: Exception
) -> None:
    api.error = error
    with pytest.raises(type(error)):
        await write_now(writer, {"a": 1})


async def test_a_pool_made_anew_is_not_written_to_as_the_old_one(api: Api, writer: StatusWriter) -> None:
    api.object["metadata"] = {"uid": "another", "resourceVersion": "9"}
    with pytest.raises(ApiError, match="was deleted"):
        await write_now(writer, {"a": 1})
    assert "status" not in api.object


async def test_after_a_lost_answer_the_next_status_is_written_whatever_it_says(
    api: Api, writer: StatusWriter
) -> None:
    await write(writer, {"a": 1})
    api.error = ApiUnreachable("cut")
    with pytest.raises(ApiUnreachable):
        await write_now(writer, {"a": 2})
    api.error = None
    api.object["status"] = {"a": 2}
    assert await write(writer, {"a": 1})
    assert api.object["status"]["a"] == 1


async def test_writers_of_one_object_take_turns(writer: StatusWriter) -> None:
    order: list[str] = []

    async def turn(name: str) -> None:
        async with writer.exclusive("nodepools", "u"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(turn("report"), turn("purchase"))
    assert order == ["report in", "report out", "purchase in", "purchase out"]


async def test_a_clock_that_was_set_back_does_not_silence_the_heartbeat(
    api: Api, clock: Clock, writer: StatusWriter
) -> None:
    assert await write(writer, {"size": 1})
    clock.now -= timedelta(hours=2)
    assert await write(writer, {"size": 1})


async def test_what_is_gone_is_not_remembered(writer: StatusWriter) -> None:
    await write(writer, {"size": 1})
    assert len(writer) == 1
    writer.forget("nodepools", "u")
    assert len(writer) == 0
