"""In which order pods go, how long they wait for each other, and that the removal's deadline leaves time for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from springtide.actuation.removal import new_record
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.waves import patience_seconds, waves
from springtide.api.budgets import RemovalReason
from springtide.api.settings import ScaleDownSettings
from springtide.cluster.records import PodRecord
from springtide.planning.plan import Removal
from tests.unit.actuation.world import EPOCH, pod


def of(priority: int, grace: int = 30) -> PodRecord:
    return pod(priority=priority, termination_grace_seconds=grace)


def test_equal_priorities_go_together_and_lower_ones_first() -> None:
    pods = [of(10), of(-5), of(2_000_000_000), of(10), of(0)]
    assert [[each.shape.priority for each in wave] for wave in waves(pods)] == [
        [-5],
        [0],
        [10, 10],
        [2_000_000_000],
    ]
    assert waves([]) == []


@pytest.mark.parametrize(
    ("pods", "most", "seconds"),
    [
        pytest.param([], 600, 0, id="nobody waits for nobody"),
        pytest.param([of(0, 30), of(0, 60)], 600, 0, id="equal ones do not wait"),
        pytest.param([of(0, 30), of(0, 60), of(1, 90)], 600, 60, id="for the longest grace of those before"),
        pytest.param([of(0, 30), of(1, 60), of(2, 90)], 600, 90, id="of all those before"),
        pytest.param(
            [of(0, 400), of(1, 400), of(2, 400)], 600, 600, id="altogether no longer than a grace may be"
        ),
        pytest.param([of(0, 400), of(1, 10)], 20, 20, id="graces are cut as they are when pods are evicted"),
    ],
)
def test_how_long_higher_priorities_wait(pods: list[PodRecord], most: int, seconds: int) -> None:
    assert patience_seconds(pods, most=timedelta(seconds=most)) == seconds


def deadline_of(*pods: PodRecord, **rules: timedelta) -> timedelta:
    """From the beginning of a removal to its deadline."""
    removal = Removal(
        node="n",
        node_uid="uid-n",
        pool="general",
        group="a",
        instance="n",
        reason=RemovalReason.UNDERUTILIZED,
        since=EPOCH,
        utilization=0.1,
        pods_to_evict=pods,
    )
    record = new_record(
        removal,
        now=EPOCH,
        plan_id="plan-1",
        owner="test",
        rules=ScaleDownSettings(**rules),  # type: ignore[arg-type]
        settings=ActuationSettings(),
    )
    return record.deadline - EPOCH


def test_the_deadline_leaves_time_for_priorities_evictions_and_volumes() -> None:
    together = deadline_of(of(0, 60), of(0, 60))
    assert deadline_of(of(0, 60), of(1, 60)) - together == timedelta(seconds=60)
    patient = deadline_of(of(0, 60), of(0, 60), max_volume_detach_time=timedelta(minutes=12))
    assert patient - together == timedelta(minutes=10)
    stubborn = deadline_of(of(0, 60), of(0, 60), max_pod_eviction_time=timedelta(minutes=7))
    assert stubborn - together == timedelta(minutes=5)
