"""Reading the clouds: cadence, isolation, and what counts as news; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springtide.api.nodepool import NodePool
from springtide.api.parse import parse_nodepool
from springtide.cluster.groups import NodeGroup, PoolListing
from springtide.runtime.cloud_watch import CloudWatch

pytestmark = pytest.mark.looptime


def pool(name: str, kind: str = "aws") -> NodePool:
    providers: dict[str, Any] = {
        "aws": {"region": "us-east-1", "autoScalingGroups": ["a"]},
        "simulated": {"groups": [{"name": "a", "capacity": {"cpu": 4}}]},
    }
    parsed = parse_nodepool(
        {"metadata": {"name": name, "uid": name}, "spec": {"provider": {kind: providers[kind]}}}
    )
    assert isinstance(parsed, NodePool)
    return parsed


class Cloud:
    """A provider that answers what it is told to, and counts."""

    kind = "aws"

    def __init__(self) -> None:
        self.reads: list[float] = []
        self.group = NodeGroup(
            id="a", pool="p", target=0, min_size=0, max_size=9, instances=(), template=None, read_at=None
        )
        self.error = ""
        self.delay = 0.0
        self.crash: Exception | None = None

    async def list_groups(self, pools: Sequence[NodePool]) -> Mapping[str, PoolListing]:
        now = asyncio.get_running_loop().time()
        self.reads.append(round(now, 3))
        await asyncio.sleep(self.delay)
        if self.crash is not None:
            raise self.crash
        group = replace(self.group, read_at=datetime.fromtimestamp(now, UTC))
        return {pool.name: PoolListing(pool.name, groups=(group,), error=self.error) for pool in pools}


@asynccontextmanager
async def watching(**clouds: Cloud) -> AsyncIterator[tuple[CloudWatch, list[str]]]:
    news: list[str] = []
    watch = CloudWatch(
        clouds,  # type: ignore[arg-type]
        idle=timedelta(seconds=10),
        busy=timedelta(seconds=2),
        changed=news.append,
    )
    task = asyncio.create_task(watch.run())
    yield watch, news
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_new_pool_is_read_at_once_and_then_every_ten_seconds() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        await asyncio.sleep(3)
        assert cloud.reads == []
        watch.follow([pool("p")])
        await asyncio.sleep(25)
    assert cloud.reads == [3, 13, 23]


async def test_while_something_is_outstanding_it_is_read_every_two_seconds() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(1)
        watch.hurry(["aws"])
        await asyncio.sleep(4.5)
        watch.hurry([])
        await asyncio.sleep(14)
    assert cloud.reads == [0, 1, 3, 5, 7, 17]


async def test_only_changes_are_news() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, news):
        watch.follow([pool("p")])
        await asyncio.sleep(25)
        assert news == ["aws"]
        cloud.group = replace(cloud.group, target=1)
        await asyncio.sleep(10)
    assert news == ["aws", "aws"]


async def test_a_failing_cloud_is_asked_ever_less_often_and_the_last_groups_stay() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(5)
        cloud.crash = RuntimeError("boom")
        await asyncio.sleep(200)
        assert watch.listings["p"].groups != ()
        assert "boom" in watch.listings["p"].error
    gaps = [later - sooner for sooner, later in zip(cloud.reads, cloud.reads[1:], strict=False)]
    for gap, most in zip(gaps[:4], (10, 20, 40, 60), strict=True):
        assert 0.75 * most <= gap <= most


async def test_a_failing_cloud_is_not_hammered_however_often_it_is_asked_for() -> None:
    cloud = Cloud()
    cloud.crash = RuntimeError("boom")
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        for _ in range(100):
            watch.read_now(["aws"])
            await asyncio.sleep(0.1)
    assert len(cloud.reads) <= 6


async def test_how_long_a_listing_takes_is_known_while_it_still_goes_on() -> None:
    cloud = Cloud()
    cloud.delay = 30
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(20)
        assert watch.listing_seconds["aws"] == pytest.approx(20, abs=0.1)
        await asyncio.sleep(15)
        assert watch.listing_seconds["aws"] == pytest.approx(30, abs=0.1)


async def test_what_was_read_is_as_old_as_before_when_the_clock_is_set() -> None:
    async with watching(aws=Cloud()) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(1)
        (before,) = watch.listings["p"].groups
        assert before.read_at is not None
        watch.clock_jumped(timedelta(hours=2))
        (after,) = watch.listings["p"].groups
        assert after.read_at == before.read_at + timedelta(hours=2)


async def test_a_cloud_that_does_not_answer_is_given_up_after_a_minute() -> None:
    cloud = Cloud()
    cloud.delay = 1e6
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(61)
        assert "no answer" in watch.listings["p"].error


async def test_a_slow_cloud_delays_no_other() -> None:
    slow, quick = Cloud(), Cloud()
    slow.delay = 1e6
    async with watching(aws=slow, simulated=quick) as (watch, news):
        watch.follow([pool("p"), pool("q", "simulated")])
        await asyncio.sleep(1)
        assert news == ["simulated"]
        assert set(watch.listings) == {"q"}


async def test_a_pool_that_is_gone_is_forgotten() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(1)
        watch.follow([])
        await asyncio.sleep(30)
    assert watch.listings == {}
    assert cloud.reads == [0]


async def test_asked_to_it_reads_at_once() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        watch.follow([pool("p")])
        await asyncio.sleep(4)
        watch.read_now(["aws", "a kind without provider"])
        await asyncio.sleep(12)
    assert cloud.reads == [0, 4, 14]


async def test_a_standby_reads_now_and_then_and_a_new_leader_at_once() -> None:
    cloud = Cloud()
    async with watching(aws=cloud) as (watch, _):
        watch.stand_by()
        watch.follow([pool("p")])
        await asyncio.sleep(65)
        assert cloud.reads == [0, 60]
        watch.start_over()
        assert watch.listings == {}
        await asyncio.sleep(11)
        assert cloud.reads == [0, 60, 65, 75]
        assert set(watch.listings) == {"p"}


async def test_what_was_asked_before_one_leads_is_no_answer() -> None:
    """The predecessor may have acted while the cloud was still answering."""
    cloud = Cloud()
    cloud.delay = 3
    async with watching(aws=cloud) as (watch, news):
        watch.stand_by()
        watch.follow([pool("p")])
        await asyncio.sleep(1)
        watch.start_over()
        await asyncio.sleep(2.5)
        assert (watch.listings, news) == ({}, [])
        await asyncio.sleep(3)
        assert cloud.reads == [0, 3]
        assert watch.listings["p"].groups[0].read_at == datetime.fromtimestamp(3, UTC)
