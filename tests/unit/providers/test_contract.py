"""The provider contract, on every provider there is."""

from __future__ import annotations

import pytest

from tests.unit.providers.contract import ProviderContract
from tests.unit.providers.worlds import AwsWorld, SimulatedWorld


@pytest.mark.asyncio(loop_scope="session")
class TestAwsProvider(ProviderContract):
    @pytest.fixture
    def world(self, aws_world: AwsWorld) -> AwsWorld:
        return aws_world


class TestSimulatedProvider(ProviderContract):
    @pytest.fixture
    def world(self) -> SimulatedWorld:
        return SimulatedWorld()
