"""One AWS for all tests of providers: starting it costs seconds, so they share it and use groups of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("tests.unit.providers.contract")

from devcluster.cloud.cloud import Cloud, CloudOptions  # noqa: E402
from devcluster.cloud.fleet import Timings  # noqa: E402
from springtide.providers.aws.provider import AwsProvider  # noqa: E402
from springtide.providers.aws.session import CallSettings  # noqa: E402
from tests.unit.providers.worlds import BOOT_S, NUMBERS, TERMINATION_S, AwsWorld  # noqa: E402

UNPACED = CallSettings(
    reads_per_second=1000, reads_burst=1000, mutations_per_second=1000, mutations_burst=1000, read_attempts=1
)
"""Tests poll faster than an operator does, and count calls."""


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The variables for as long as the block lasts; monkeypatch serves one function only."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cloud() -> AsyncIterator[Cloud]:
    timings = Timings(boot_s=BOOT_S, terminate_s=TERMINATION_S, retry_s=0.3)
    async with Cloud(CloudOptions(timings=timings)) as cloud:
        with environment(cloud.environment()):
            yield cloud


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def aws(cloud: Cloud) -> AsyncIterator[AwsProvider]:
    provider = AwsProvider(cluster_name="demo", settings=UNPACED)
    yield provider
    await provider.aclose()


@pytest.fixture
def aws_world(cloud: Cloud, aws: AwsProvider) -> Iterator[AwsWorld]:
    cloud.calls.clear()
    yield AwsWorld(cloud, aws, NUMBERS)
    cloud.failures.clear()
