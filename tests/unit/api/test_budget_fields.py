"""Budgets as users write them: what only a reader that knows cron and time zones can refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from springtide.api.budgets import Budget, RemovalReason
from springtide.api.nodepool import NodePoolSpec
from springtide.api.parse import InvalidResource, parse_policy
from springtide.api.policy import AutoscalerPolicySpec
from springtide.api.resolve import resolve
from tests.manifests import GROUPS, aws, policy

WINDOW: dict[str, Any] = {"name": "nights", "nodes": 0, "schedule": "0 22 * * *", "duration": "8h"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"schedule": "0 25 * * *"},
            "spec.budgets[0].schedule: '0 25 * * *' is no cron schedule (hour): write the five fields of cron "
            "(minute, hour, day of month, month, day of week), e.g. 0 22 * * MON-FRI",
            id="an hour that no day has",
        ),
        pytest.param(
            {"schedule": "0 0 31 2 *"},
            "spec.budgets[0].schedule: '0 0 31 2 *' is no cron schedule (day-of-month): write",
            id="a day that the month has not",
        ),
        pytest.param(
            {"schedule": "0 0 */20 * 1L"},
            "spec.budgets[0].schedule: '0 0 */20 * 1L' never comes: write",
            id="a day that never comes",
        ),
        pytest.param(
            {"timeZone": "Europe/Berln"},
            "spec.budgets[0].timeZone: 'Europe/Berln' is no time zone: write a name of the IANA time zone database, "
            "e.g. Europe/Berlin",
            id="a town that does not exist",
        ),
        pytest.param(
            {"timeZone": "Europe"}, "spec.budgets[0].timeZone: 'Europe' is no time zone", id="a continent"
        ),
        pytest.param(
            {"timeZone": "Etc/../../passwd"},
            "spec.budgets[0].timeZone: 'Etc/../../passwd' is malformed",
            id="a path that leads out",
        ),
        pytest.param(
            {"timeZone": "localtime"},
            "spec.budgets[0].timeZone: 'localtime' is malformed",
            id="this machine's",
        ),
        pytest.param({"duration": "0s"}, "spec.budgets[0].duration: 0s is too short", id="no time at all"),
    ],
)
def test_a_window_that_cannot_be_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    read = parse_policy(policy(budgets=[WINDOW | fields]))
    assert isinstance(read, InvalidResource)
    assert message in read.message


@pytest.mark.parametrize(
    "schedule",
    ["0 22 * * MON-FRI", "*/15 8-18 1,15 * *", "0 0 L * *", "0 9 * * MON#1", "0  22  *  jan-mar  fri"],
)
def test_schedules_that_are_understood(schedule: str) -> None:
    read = parse_policy(policy(budgets=[WINDOW | {"schedule": schedule}]))
    assert not isinstance(read, InvalidResource), read


def test_a_budget_without_reasons_covers_all() -> None:
    assert all(Budget(name="few", nodes=1).covers(reason) for reason in RemovalReason)
    some = Budget(name="few", nodes=1, reasons=(RemovalReason.EMPTY,))
    assert [reason for reason in RemovalReason if some.covers(reason)] == [RemovalReason.EMPTY]


def test_what_a_pool_sets_itself_is_known() -> None:
    spec = NodePoolSpec.model_validate({"provider": aws(**GROUPS), "scaleDown": {"maxParallel": 10}})
    assert resolve(spec, AutoscalerPolicySpec()).own_scale_down == {"max_parallel"}


@pytest.mark.parametrize("example", ["policy-budgets", "policy-night-window"])
def test_the_examples_are_understood(example: str) -> None:
    text = (Path(__file__).parents[3] / "examples" / f"{example}.yaml").read_text()
    assert not isinstance(read := parse_policy(yaml.safe_load(text)), InvalidResource), read
