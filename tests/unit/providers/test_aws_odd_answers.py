"""Answers that a well-behaved AWS never gives: stale, paged, malformed, none at all. From a server of our own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from springtide.api.nodepool import NodePool
from springtide.providers.aws.provider import AwsProvider
from springtide.providers.aws.session import CallSettings
from springtide.providers.base import AmbiguousError
from tests.unit.providers.worlds import make_pool


def group(name: str = "asg", *, desired: int | None = 0) -> str:
    capacity = "" if desired is None else f"<DesiredCapacity>{desired}</DesiredCapacity>"
    return (
        f"<member><AutoScalingGroupName>{name}</AutoScalingGroupName>{capacity}"
        "<MinSize>0</MinSize><MaxSize>10</MaxSize></member>"
    )


def failed(id_: str, when: datetime) -> str:
    return (
        f"<member><ActivityId>{id_}</ActivityId><StatusCode>Failed</StatusCode><StatusMessage>No.</StatusMessage>"
        f"<StartTime>{when.isoformat()}</StartTime></member>"
    )


class OddAws:
    """Describes groups and activities as told, answers everything else with nothing; remembers what was asked."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self.pages: dict[str, list[str]] = {}
        """Region to the groups of each page."""
        self.activities = ""
        self.silent_on = ""
        """The action that never gets an answer."""
        self.stopped = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        params = dict(parse_qsl(await request.text()))
        action = params["Action"]
        self.actions.append(action)
        if action == self.silent_on:
            await self.stopped.wait()
        match = re.search(r"Credential=[^/]+/\d+/([^/]+)/", request.headers["Authorization"])
        assert match is not None
        pages = self.pages.get(match[1], [""])
        page = int(params.get("NextToken", "0"))
        token = f"<NextToken>{page + 1}</NextToken>" if page + 1 < len(pages) else ""
        groups = f"<AutoScalingGroups>{pages[page]}</AutoScalingGroups>{token}"
        results = {
            "DescribeAutoScalingGroups": groups,
            "DescribeScalingActivities": f"<Activities>{self.activities}</Activities>",
        }
        result = results.get(action, "")
        body = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
        return web.Response(text=body, content_type="text/xml")


@pytest.fixture
async def odd() -> OddAws:
    return OddAws()


@pytest.fixture
async def provider(odd: OddAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwsProvider]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    app = web.Application()
    app.router.add_post("/", odd.handle)
    async with TestServer(app) as server:
        settings = CallSettings(
            endpoint_url=str(server.make_url("")), mutation_deadline_s=0.2, read_attempts=1
        )
        provider = AwsProvider(cluster_name="demo", settings=settings)
        yield provider
        odd.stopped.set()
        await provider.aclose()


def pool(*names: str, region: str = "us-east-1") -> NodePool:
    groups: dict[str, Any] = {"region": region, "autoScalingGroups": list(names)}
    return make_pool(f"pool-{region}", {"aws": groups}, template={"capacity": {"cpu": 1, "memory": "1Gi"}})


async def test_all_pages_are_read(odd: OddAws, provider: AwsProvider) -> None:
    odd.pages["us-east-1"] = [group("asg-1"), group("asg-2"), group("asg-3")]
    listings = await provider.list_groups([pool("asg-1", "asg-2", "asg-3")])
    assert len(listings["pool-us-east-1"].groups) == 3


async def test_a_malformed_answer_of_one_region_does_not_stop_another(
    odd: OddAws, provider: AwsProvider
) -> None:
    odd.pages = {"eu-central-1": [group(desired=None)], "us-east-1": [group()]}
    listings = await provider.list_groups([pool("asg", region="eu-central-1"), pool("asg")])
    assert "unexpected answer" in listings["pool-eu-central-1"].error
    assert listings["pool-us-east-1"].error == ""
    assert len(listings["pool-us-east-1"].groups) == 1


async def test_a_read_that_lags_behind_our_purchase_does_not_buy_twice(
    odd: OddAws, provider: AwsProvider
) -> None:
    odd.pages["us-east-1"] = [group(desired=0)]
    first = await provider.raise_target(pool("asg"), "asg", expected=0, to=2)
    again = await provider.raise_target(pool("asg"), "asg", expected=0, to=2)
    assert (first.before, first.after) == (0, 2)
    assert (again.before, again.after) == (2, 2)
    assert odd.actions.count("SetDesiredCapacity") == 1
    assert (await provider.list_groups([pool("asg")]))["pool-us-east-1"].groups[0].target == 2


async def test_a_change_that_is_never_answered_ends_at_its_deadline_as_ambiguous(
    odd: OddAws, provider: AwsProvider
) -> None:
    odd.pages["us-east-1"] = [group(desired=0)]
    odd.silent_on = "SetDesiredCapacity"
    with pytest.raises(AmbiguousError):
        await provider.raise_target(pool("asg"), "asg", expected=0, to=2)
    assert odd.actions.count("SetDesiredCapacity") == 1


async def test_after_a_lost_cancellation_a_read_of_its_result_is_believed(
    odd: OddAws, provider: AwsProvider
) -> None:
    odd.pages["us-east-1"] = [group(desired=3)]
    await provider.raise_target(pool("asg"), "asg", expected=3, to=5)
    odd.silent_on = "SetDesiredCapacity"
    with pytest.raises(AmbiguousError):
        await provider.cancel_unfulfilled(pool("asg"), "asg", to=3)
    assert (await provider.list_groups([pool("asg")]))["pool-us-east-1"].groups[0].target == 3


async def test_failures_from_before_our_last_raise_are_history(odd: OddAws, provider: AwsProvider) -> None:
    now = datetime.now(UTC)
    odd.pages["us-east-1"] = [group(desired=2)]
    odd.activities = failed("old", now - timedelta(minutes=2)) + failed("new", now + timedelta(minutes=2))
    before = (await provider.list_groups([pool("asg")]))["pool-us-east-1"].groups[0]
    await provider.raise_target(pool("asg"), "asg", expected=2, to=3)
    after = (await provider.list_groups([pool("asg")]))["pool-us-east-1"].groups[0]
    assert [failure.id for failure in before.failures] == ["old", "new"]
    assert [failure.id for failure in after.failures] == ["new"]
