"""Each degraded mode: from which measurement on it holds, and what it forbids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from springtide.api.conditions import Reason
from springtide.cluster.api_calls import ApiCalls
from springtide.cluster.degradation import Degradation, DegradedMode, against_purchases, against_removals
from springtide.cluster.groups import PoolListing
from springtide.runtime.degraded.api_server import of_api_server
from springtide.runtime.degraded.clock import HOLD_SECONDS, ClockGuard
from springtide.runtime.degraded.clouds import of_clouds
from springtide.runtime.degraded.load import MOST_RELIEF, Load
from springtide.runtime.degraded.pictures import stale

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


# --- the API server --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "modes"),
    [
        pytest.param(ApiCalls(answered=50, quick_calls=50, median_seconds=0.02), [], id="all is well"),
        pytest.param(ApiCalls(failed=2, failed_in_a_row=2, failing_seconds=30), [], id="two may be a hiccup"),
        pytest.param(ApiCalls(failed=9, failed_in_a_row=9, failing_seconds=9.9), [], id="so may ten seconds"),
        pytest.param(
            ApiCalls(failed=3, failed_in_a_row=3, failing_seconds=10),
            [DegradedMode.API_SERVER_UNREACHABLE],
            id="three in a row within ten seconds",
        ),
        pytest.param(ApiCalls(quick_calls=4, median_seconds=9), [], id="four slow calls say nothing"),
        pytest.param(
            ApiCalls(quick_calls=5, median_seconds=1.01), [DegradedMode.API_SERVER_SLOW], id="five do"
        ),
        pytest.param(ApiCalls(throttled=2), [], id="a moment's peak"),
        pytest.param(ApiCalls(throttled=3), [DegradedMode.API_SERVER_THROTTLING], id="no seat for us"),
    ],
)
def test_of_the_api_server(calls: ApiCalls, modes: list[DegradedMode]) -> None:
    found = list(of_api_server(calls))
    assert [each.mode for each in found] == modes
    assert all(each.forbids_removals and not each.forbids_purchases for each in found)


# --- the picture -----------------------------------------------------------------------------------------------

FINE = {"pods": 30.0, "nodes": 61.0, "poddisruptionbudgets": 59.0}


@pytest.mark.parametrize(
    ("ages", "removals", "purchases"),
    [
        pytest.param({}, True, True, id="a silent watch with its bookmarks"),
        pytest.param({"pods": 180.0}, True, True, id="at the bound"),
        pytest.param({"pods": 181.0}, False, True, id="pods, while nodes live"),
        pytest.param({"poddisruptionbudgets": 181.0}, False, True, id="budgets"),
        pytest.param({"statefulsets": 181.0}, False, True, id="owners of pods"),
        pytest.param({"pods": 601.0}, False, False, id="pods for very long"),
        pytest.param({"poddisruptionbudgets": 601.0}, False, True, id="no purchase needs budgets"),
        pytest.param({"leases": 601.0}, False, False, id="Cluster Autoscaler may have come"),
    ],
)
def test_how_old_each_kind_may_be(ages: dict[str, float], removals: bool, purchases: bool) -> None:
    found = list(
        stale(FINE | ages, max_for_removals=timedelta(minutes=3), max_for_purchases=timedelta(minutes=10))
    )
    assert (against_removals(found) == "", against_purchases(found) == "") == (removals, purchases)
    assert all(name in found[0].message for name in ages if found)


def test_the_message_does_not_change_while_time_passes() -> None:
    def message(age: float) -> str:
        (found,) = stale(
            {"pods": age}, max_for_removals=timedelta(minutes=3), max_for_purchases=timedelta(minutes=10)
        )
        return found.message

    assert message(200) == message(500)


def test_many_kinds_are_not_all_named() -> None:
    (found,) = stale(
        {f"kind{n}": 1000.0 for n in range(18)},
        max_for_removals=timedelta(minutes=3),
        max_for_purchases=timedelta(minutes=10),
    )
    assert "and 13 other kinds" in found.message


# --- the clouds ------------------------------------------------------------------------------------------------


def clouds(listing: PoolListing, seconds: float = 1.0) -> list[Degradation]:
    return list(
        of_clouds(
            {listing.pool: listing},
            kinds={"general": "aws", "other": "simulated"},
            listing_seconds={"aws": seconds},
        )
    )


@pytest.mark.parametrize(
    ("reason", "mode"),
    [
        (Reason.PROVIDER_THROTTLED, DegradedMode.CLOUD_THROTTLED),
        (Reason.CREDENTIALS_DENIED, DegradedMode.CLOUD_DENIED),
        (Reason.PROVIDER_ERROR, DegradedMode.CLOUD_UNREACHABLE),
        ("", DegradedMode.CLOUD_UNREACHABLE),
    ],
)
def test_a_pool_whose_cloud_cannot_be_read_loses_no_node(reason: str, mode: DegradedMode) -> None:
    (found,) = clouds(PoolListing(pool="general", error="no", error_reason=reason))
    assert found.mode is mode
    assert against_removals([found], "general")
    assert not against_removals([found], "other")
    assert not against_removals([found])


def test_a_provider_that_is_not_installed_is_no_degraded_mode() -> None:
    missing = PoolListing(pool="general", error="no", error_reason=Reason.PROVIDER_NOT_INSTALLED)
    assert clouds(missing) == []


def test_a_slow_cloud_is_told_of_its_pools_and_forbids_nothing() -> None:
    (found,) = clouds(PoolListing(pool="general", read_at=NOON), seconds=15.1)
    assert (found.mode, found.pools) == (DegradedMode.CLOUD_SLOW, frozenset({"general"}))
    assert not found.forbids_removals
    assert clouds(PoolListing(pool="general", read_at=NOON), seconds=15.0) == []


# --- the clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "jump"),
    [(0, 0), (29, 0), (-29, 0), (31, 31), (-31, -31), (7200, 7200), (-7200, -7200)],
)
def test_a_jump_is_what_the_wall_clock_has_more_or_less_than_the_other(seconds: float, jump: float) -> None:
    guard = ClockGuard()
    guard.look(wall=NOON, monotonic=100.0)
    later = NOON + timedelta(seconds=10 + seconds)
    assert guard.look(wall=later, monotonic=110.0) == timedelta(seconds=jump)
    assert (guard.degradation() is not None) is (jump != 0)


def test_the_first_look_sees_no_jump_and_long_passes_are_none() -> None:
    guard = ClockGuard()
    assert guard.look(wall=NOON, monotonic=5.0) == timedelta(0)
    assert guard.look(wall=NOON + timedelta(hours=1), monotonic=3605.0) == timedelta(0)


def test_after_a_jump_nothing_is_removed_for_two_minutes() -> None:
    guard = ClockGuard()
    guard.look(wall=NOON, monotonic=0.0)
    jumped = NOON + timedelta(hours=2)
    guard.look(wall=jumped, monotonic=1.0)
    held = guard.degradation()
    assert held is not None
    assert held.forbids_removals
    assert not held.forbids_purchases
    guard.look(wall=jumped + timedelta(seconds=HOLD_SECONDS), monotonic=1.0 + HOLD_SECONDS)
    assert guard.degradation() is None


# --- load ------------------------------------------------------------------------------------------------------


def test_relief_grows_with_each_overloaded_pass_and_shrinks_again() -> None:
    load = Load()
    grown = []
    for took in (1.0, 11.0, 11.0, 11.0, 11.0, 6.0, 1.0, 1.0, 1.0):
        load.passed(took=took, interval=10.0)
        grown.append(load.relief)
    assert grown == [0, 1, 2, 3, MOST_RELIEF, MOST_RELIEF, 2, 1, 0]
    assert load.overloaded_passes == 4


def test_overloaded_passes_are_followed_by_a_rest_of_at_most_an_interval() -> None:
    load = Load()
    assert load.passed(took=0.5, interval=10.0) == 0.0
    assert load.passed(took=12.0, interval=10.0) == 10.0
    assert load.passed(took=300.0, interval=10.0) == 10.0


def test_an_event_loop_that_comes_late_is_overload_too() -> None:
    load = Load()
    load.lagged(0.5)
    load.lagged(3.0)
    load.passed(took=0.1, interval=10.0)
    told = load.degradation()
    assert told is not None
    assert not told.forbids_removals
    load.passed(took=0.1, interval=10.0)
    assert load.degradation() is None
