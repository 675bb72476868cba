"""One world for all end-to-end tests: starting it takes seconds, and each test tidies up after itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.world import World, open_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    logs: Path = tmp_path_factory.mktemp("e2e")
    async with open_world(logs) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def world(shared_world: World) -> AsyncIterator[World]:
    yield shared_world
    await shared_world.tidy()
