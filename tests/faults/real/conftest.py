"""One world for all tests here, as for the end-to-end tests; no operator runs but those that a test starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.world import World, open_world
from tests.faults.real.seat import Seat, open_seat
from tests.faults.real.witness import Witness


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    logs: Path = tmp_path_factory.mktemp("faults")
    async with open_world(logs) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def world(shared_world: World) -> AsyncIterator[World]:
    yield shared_world
    shared_world.cloud.traps.clear()
    await shared_world.tidy()


@pytest_asyncio.fixture(loop_scope="session")
async def witness(world: World) -> AsyncIterator[Witness]:
    async with Witness(world) as witness:
        yield witness


@pytest_asyncio.fixture(loop_scope="session")
async def seat(world: World) -> AsyncIterator[Seat]:
    async with open_seat(world, "only") as seat:
        yield seat
