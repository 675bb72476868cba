"""How mutations are sent to AWS: once, and not at all when the leave to send them goes at the last moment."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aioboto3
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from springtide.providers.aws.iam import Operation
from springtide.providers.aws.session import CallSettings, Region
from springtide.providers.base import ProviderError

MUTATIONS = [each for each in Operation if each.mutates]


class NotNow(Exception):
    """What the guard says in these tests."""


class FailingAws:
    """Answers everything with an error that SDKs retry by default; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.url = ""

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        body = (
            "<ErrorResponse><Error><Code>InternalFailure</Code><Message>no</Message></Error></ErrorResponse>"
        )
        return web.Response(status=500, text=body, content_type="text/xml")


@pytest_asyncio.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FailingAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    made = FailingAws()
    app = web.Application()
    app.router.add_post("/", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url(""))
        yield made


def region(aws: FailingAws, *, shut: bool = False) -> Region:
    def leave() -> None:
        if shut:
            raise NotNow

    settings = CallSettings(endpoint_url=aws.url, read_attempts=2)
    return Region("us-east-1", session=aioboto3.Session(), settings=settings, leave=leave)


@pytest.mark.parametrize("operation", MUTATIONS)
async def test_the_sdk_sends_a_mutation_once(aws: FailingAws, operation: Operation) -> None:
    here = region(aws)
    with pytest.raises(ProviderError):
        await here.call(operation, **PARAMETERS[operation])
    await here.aclose()
    assert aws.asked == 1


@pytest.mark.parametrize("operation", MUTATIONS)
async def test_a_mutation_that_is_not_allowed_any_more_is_not_sent(
    aws: FailingAws, operation: Operation
) -> None:
    here = region(aws, shut=True)
    with pytest.raises(NotNow):
        await here.call(operation, **PARAMETERS[operation])
    await here.aclose()
    assert aws.asked == 0


async def test_reading_needs_no_leave_and_is_tried_again(aws: FailingAws) -> None:
    here = region(aws, shut=True)
    with pytest.raises(ProviderError):
        await here.call(Operation.DESCRIBE_GROUPS)
    await here.aclose()
    assert aws.asked == 2


PARAMETERS: dict[Operation, dict[str, object]] = {
    Operation.SET_DESIRED_CAPACITY: {"AutoScalingGroupName": "asg", "DesiredCapacity": 1},
    Operation.TERMINATE_INSTANCE: {"InstanceId": "i-1", "ShouldDecrementDesiredCapacity": True},
}
