"""Numbers and prices that no status should hold: shown as the bound, never a reason to fail."""

from __future__ import annotations

import math

import pytest
from pydantic import TypeAdapter

from springtide.api.nodepool_status import NodeCounts, PoolSize
from springtide.api.scalars import Quantity
from springtide.reporting.pool_status import price


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        pytest.param(0.0, "0", id="nothing"),
        pytest.param(0.0959, "0.0959", id="a machine"),
        pytest.param(12.5, "12.5", id="without zeros behind"),
        pytest.param(123_456_789.0, "123456789", id="a fortune"),
        pytest.param(9.3e25, "9e+25", id="beyond all money"),
        pytest.param(1e300, "9e+99", id="beyond what a quantity can say"),
        pytest.param(math.inf, "9e+99", id="without end"),
        pytest.param(math.nan, "0", id="no number"),
    ],
)
def test_any_price_is_a_quantity(amount: float, text: str) -> None:
    assert price(amount) == text
    assert TypeAdapter(Quantity).validate_python(text) == text


def test_sizes_beyond_the_bounds_are_shown_as_the_bound() -> None:
    assert PoolSize(target=5_000_000, min=-3, max=1_000_003) == PoolSize(
        target=1_000_000, min=0, max=1_000_000
    )
    assert NodeCounts(ready=7).ready == 7


def test_the_bounds_stand_in_the_schema() -> None:
    assert PoolSize.model_json_schema()["properties"]["max"]["maximum"] == 1_000_000
