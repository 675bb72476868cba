"""The gauges of budgets: what is allowed, as far as there is a bound, and what is in use."""

from __future__ import annotations

from prometheus_client import generate_latest

from springtide.planning.planner import plan
from springtide.reporting.metrics import Metrics
from springtide.reporting.pass_gauges import LastPass
from tests.unit.planning.world import policy, snapshot


def test_a_budget_that_sets_no_bound_has_no_series_of_what_it_allows() -> None:
    budgets = [
        {"name": "always", "nodes": 3},
        {"name": "nights", "nodes": 0, "schedule": "0 22 * * *", "duration": "8h"},
    ]
    metrics = Metrics()
    made = plan(snapshot(policies=[policy(budgets=budgets)]))
    metrics.passed(LastPass(plan=made, conditions={}), cause="test", phases={}, ended_at=0)
    text = generate_latest(metrics.registry).decode()
    shown = sorted(line for line in text.splitlines() if line.startswith("springtide_disruption_budget"))
    assert shown == [
        'springtide_disruption_budget_allowed{budget="always",policy="default"} 3.0',
        'springtide_disruption_budget_in_use{budget="always",policy="default"} 0.0',
        'springtide_disruption_budget_in_use{budget="nights",policy="default"} 0.0',
    ]
