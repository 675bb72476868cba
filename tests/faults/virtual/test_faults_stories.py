"""Hundreds of random stories of the stateful machine, new ones each time; a failure comes with the line that repeats it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.amount import LONG
from tests.scenarios.operations import Operations

STORIES, STEPS = (2000, 50) if LONG else (200, 30)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
def test_random_stories_end_well() -> None:
    logging.getLogger("springtide").setLevel(logging.CRITICAL)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Operations,
        settings=settings(
            max_examples=STORIES,
            stateful_step_count=STEPS,
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            derandomize=False,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
