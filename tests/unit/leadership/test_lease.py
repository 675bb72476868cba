"""Reading and writing a Lease: when it is free, and what is written."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest

from springtide.leadership.lease import (
    LeaseTimes,
    Sighting,
    holder_of,
    micro_time,
    new_lease,
    released,
    taken,
    transitions_of,
)

WALL = datetime(2026, 1, 1, 12, 0, 0, 42, tzinfo=UTC)
TIMES = LeaseTimes()


def lease(holder: str = "", *, version: int = 1, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "springtide", "uid": "u", "resourceVersion": str(version)}
    return {"kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": holder, **spec}}


@pytest.mark.parametrize(
    ("seen", "at", "wait"),
    [
        pytest.param(lease(""), 100, 0, id="released: at once"),
        pytest.param(lease("me"), 100, 0, id="ours already, by a write whose answer was lost"),
        pytest.param(lease("other", leaseDurationSeconds=15), 100, 15, id="held: as long as its holder says"),
        pytest.param(lease("other", leaseDurationSeconds=15), 110, 5, id="minus what we have waited"),
        pytest.param(lease("other", leaseDurationSeconds=15), 115, 0, id="silent for long enough"),
        pytest.param(lease("other", leaseDurationSeconds=60), 115, 45, id="a holder with other settings"),
        pytest.param(lease("other"), 100, 15, id="no duration in it: by our own"),
        pytest.param(lease("other", leaseDurationSeconds="soon"), 100, 15, id="nonsense in it: by our own"),
        pytest.param(None, 100, 15, id="missing: as if somebody still held it"),
        pytest.param({"kind": "Lease", "metadata": {"uid": "u"}}, 100, 0, id="nobody ever held it"),
    ],
)
def test_how_long_a_lease_seen_at_100_is_waited_for(seen: Any, at: float, wait: float) -> None:
    sighting = Sighting().followed_by(seen, now=100)
    assert sighting.seconds_until_free(own="me", times=TIMES, now=at) == wait


def test_what_is_written_in_it_decides_nothing() -> None:
    """The holder's clock may be years ahead or behind."""
    for written in ("1990-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z", "no time at all"):
        sighting = Sighting().followed_by(lease("other", leaseDurationSeconds=15, renewTime=written), now=100)
        assert sighting.seconds_until_free(own="me", times=TIMES, now=105) == 10


def test_every_write_starts_the_waiting_anew() -> None:
    sighting = Sighting().followed_by(lease("other", leaseDurationSeconds=15), now=100)
    same = sighting.followed_by(lease("other", leaseDurationSeconds=15), now=110)
    assert same.since == 100
    renewed = same.followed_by(lease("other", version=2, leaseDurationSeconds=15), now=112)
    assert renewed.since == 112


def test_a_lease_that_vanishes_is_waited_for_as_long_as_its_holder_said() -> None:
    sighting = Sighting().followed_by(lease("other", leaseDurationSeconds=40), now=100)
    gone = sighting.followed_by(None, now=110)
    assert gone.seconds_until_free(own="me", times=TIMES, now=110) == 40
    assert gone.followed_by(None, now=130).seconds_until_free(own="me", times=TIMES, now=130) == 20


def test_taking_counts_a_transition_and_renewing_none() -> None:
    first = taken(new_lease(namespace="ns", name="l"), own="me", times=TIMES, wall=WALL)
    assert first["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T12:00:00.000042Z",
        "renewTime": "2026-01-01T12:00:00.000042Z",
        "leaseTransitions": 1,
    }
    later = WALL.replace(second=2)
    second = taken(first, own="me", times=TIMES, wall=later)
    assert second["spec"] == first["spec"] | {"renewTime": micro_time(later)}
    third = taken(released(second, wall=later), own="other", times=TIMES, wall=later)
    assert (holder_of(third), transitions_of(third)) == ("other", 2)


def test_the_duration_is_rounded_up() -> None:
    written = taken(lease(), own="me", times=LeaseTimes(duration=3.2), wall=WALL)
    assert written["spec"]["leaseDurationSeconds"] == 4


def test_writes_keep_the_resource_version_they_are_based_on() -> None:
    assert taken(lease(version=7), own="me", times=TIMES, wall=WALL)["metadata"]["resourceVersion"] == "7"
    assert released(lease("me", version=8), wall=WALL)["metadata"]["resourceVersion"] == "8"


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        pytest.param(LeaseTimes(), "", id="the defaults"),
        pytest.param(LeaseTimes(duration=3, renew_deadline=2, retry_period=0.4), "", id="short ones"),
        pytest.param(
            LeaseTimes(duration=0.5, renew_deadline=0.3, retry_period=0.1), "at least 1s", id="tiny"
        ),
        pytest.param(LeaseTimes(renew_deadline=14), "shorter than the lease duration", id="no margin"),
        pytest.param(LeaseTimes(retry_period=6), "at most half", id="one try only"),
        pytest.param(LeaseTimes(retry_period=0), "longer than zero", id="no pause"),
    ],
)
def test_times_that_nobody_could_lead_by_are_refused(times: LeaseTimes, problem: str) -> None:
    assert problem in times.problem()
    assert bool(times.problem()) == bool(problem)


def test_nothing_seen_yet_is_no_sighting_of_a_missing_lease() -> None:
    assert Sighting().since == -inf
    assert Sighting().followed_by(None, now=7).since == 7
