"""A few stories of the stateful machine, the same ones each time; `make faults` tells hundreds of new ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.scenarios.operations import Operations


@pytest.mark.timeout(900)
def test_whatever_happens_nothing_forbidden_does_and_all_ends_well() -> None:
    """Seconds when it passes; minutes when it fails, while the shortest story that fails is looked for."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Operations,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
