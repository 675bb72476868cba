"""Budgets of policies: what holds when, what counts, and what a node that must wait is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from springtide.api.budgets import Budget, RemovalReason
from springtide.api.settings import Mode, ScaleDownSettings, ScaleUpSettings
from springtide.cluster.records import NodeRecord
from springtide.cluster.snapshot import PoolView, RemovalInFlight
from springtide.planning.plan import BlockReason, BudgetState, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import ago, group, node, pending, policy, pool, running, shape, snapshot

# The world's clock: Thursday, 1 January 2026, 12:00 UTC.
NAMES = [f"n{number}" for number in range(10)]
NOON = {"schedule": "0 10 * * *", "duration": "3h"}
"""Open, until 13:00."""
NIGHT = {"schedule": "0 22 * * *", "duration": "8h"}
"""Closed, until 22:00."""
EAGER = ScaleDownSettings(unneeded_time=timedelta(0), unready_time=timedelta(0), max_parallel=50)


def budget(name: str = "few", **fields: Any) -> Budget:
    return Budget.model_validate({"name": name, **fields})


def made(*budgets: Budget, nodes: list[NodeRecord] | None = None, **fields: Any) -> Plan:
    """The plan for ten idle nodes of one pool."""
    there = nodes if nodes is not None else [node(name) for name in NAMES]
    view = fields.pop("view", None) or pool("p", group(nodes=[each.name for each in there]), down=EAGER)
    return plan(snapshot(view, nodes=there, policies=[policy(budgets=budgets)], **fields))


def blocks(of: Plan) -> set[tuple[str, str]]:
    return {(str(verdict.block), verdict.detail) for verdict in of.nodes.values() if verdict.block}


def in_flight(*names: str) -> list[RemovalInFlight]:
    return [
        RemovalInFlight(node=n, pool="p", group="asg-a", phase="Draining", since=ago(minutes=1))
        for n in names
    ]


def unready(name: str) -> NodeRecord:
    return node(name, ready=False, ready_changed_at=ago(hours=2))


# --- how many ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budgets", "go"),
    [
        pytest.param([], 10, id="none: all"),
        pytest.param([budget(nodes=3)], 3, id="a number"),
        pytest.param([budget(nodes=0)], 0, id="none may"),
        pytest.param([budget(nodesPercent=30)], 3, id="a share"),
        pytest.param([budget(nodesPercent=1)], 1, id="a share, rounded up"),
        pytest.param([budget(nodesPercent=0)], 0, id="no share"),
        pytest.param([budget("a", nodes=5), budget("b", nodesPercent=20)], 2, id="the strictest counts"),
        pytest.param([budget(nodes=2, reasons=["Underutilized"])], 10, id="others' reasons do not"),
        pytest.param([budget(nodes=0, **NOON)], 0, id="denied while the window is open"),
        pytest.param([budget(nodes=0, **NIGHT)], 10, id="not denied while it is closed"),
        pytest.param([budget(action="Allow", **NOON)], 10, id="allowed while the window is open"),
        pytest.param([budget(action="Allow", nodes=4, **NOON)], 4, id="allowed, so many"),
        pytest.param([budget(action="Allow", **NIGHT)], 0, id="not allowed while it is closed"),
        pytest.param(
            [budget("n", action="Allow", **NIGHT), budget("d", action="Allow", nodes=6, **NOON)],
            6,
            id="one window that is open is enough",
        ),
        pytest.param(
            [budget(action="Allow", reasons=["Underutilized"], **NIGHT)], 10, id="allowing others' reasons"
        ),
        pytest.param(
            [budget("d", action="Allow", **NOON), budget("few", nodes=1)],
            1,
            id="allowed, and limited besides",
        ),
    ],
)
def test_so_many_of_ten_idle_nodes_go(budgets: list[Budget], go: int) -> None:
    assert len(made(*budgets).removals) == go


@pytest.mark.parametrize(
    ("budgets", "detail"),
    [
        pytest.param([budget(nodes=0)], "budget few allows no removal", id="denied for good"),
        pytest.param(
            [budget("office", nodes=0, **NOON)],
            "budget office allows no removal until 2026-01-01 13:00 UTC",
            id="denied for a time",
        ),
        pytest.param(
            [budget(nodes=2)], "budget few allows 2 nodes to be out of service, and 2 are", id="used up"
        ),
        pytest.param(
            [budget("nights", action="Allow", **NIGHT)],
            "budget nights is closed until 2026-01-01 22:00 UTC",
            id="not allowed yet",
        ),
        pytest.param(
            [
                budget("later", action="Allow", schedule="0 23 * * *", duration="1h"),
                budget("nights", action="Allow", **NIGHT),
            ],
            "budget nights is closed until 2026-01-01 22:00 UTC",
            id="the window that opens first is named",
        ),
        pytest.param(
            [budget("b", nodes=2), budget("a", nodes=1)],
            "budget a allows 1 node to be out of service, and 1 are",
            id="the strictest is named",
        ),
    ],
)
def test_a_node_that_waits_is_told_for_what(budgets: list[Budget], detail: str) -> None:
    assert blocks(made(*budgets)) == {(BlockReason.BUDGET, detail)}


def test_the_next_look_is_when_the_window_changes() -> None:
    assert made(budget(nodes=0, **NOON)).wake_at == datetime(2026, 1, 1, 13, tzinfo=UTC)
    assert made(budget(action="Allow", **NIGHT)).wake_at == datetime(2026, 1, 1, 22, tzinfo=UTC)


def test_purchases_are_not_bound() -> None:
    bought = made(budget(nodes=0), nodes=[], waiting=pending(3), view=pool("p", group()))
    assert len(bought.purchases) == 1


# --- what counts -------------------------------------------------------------------------------------------------


def test_removals_under_way_count() -> None:
    assert len(made(budget(nodes=3), removals=in_flight("n0", "n1")).removals) == 1


def test_a_removal_counts_until_its_end_was_seen() -> None:
    """The cloud has forgotten the instance, but the Node is still there."""
    told = made(budget(nodes=3), removals=in_flight("gone-1", "gone-2"))
    assert len(told.removals) == 1


def test_a_removal_that_has_begun_is_not_called_back_by_a_window() -> None:
    """The budget speaks of what may begin; status shows that more is in use than allowed."""
    told = made(budget(nodes=0, **NOON), removals=in_flight("n0"))
    assert told.removals == ()
    assert [(state.allowed, state.in_use) for state in told.budgets["default"]] == [(0, 1)]


def test_nodes_that_others_take_away_count() -> None:
    nodes = [node("n0", deletion_timestamp=ago(minutes=1)), *(node(name) for name in NAMES[1:])]
    assert len(made(budget(nodes=3), nodes=nodes).removals) == 2


def test_unready_nodes_count_against_working_ones() -> None:
    nodes = [unready("n0"), *(node(name) for name in NAMES[1:])]
    patient = replace(EAGER, unready_time=timedelta(hours=1))
    view = pool("p", group(nodes=NAMES), down=patient)
    assert len(made(budget(nodes=3), nodes=nodes, view=view).removals) == 2


def test_unready_nodes_do_not_wait_for_each_other() -> None:
    nodes = [unready(name) for name in NAMES[:3]]
    nodes += [node(name) for name in NAMES[3:]]
    told = made(budget(nodes=2), nodes=nodes)
    assert [removal.reason for removal in told.removals] == [RemovalReason.UNREADY] * 2
    assert told.budgets["default"][0].in_use == 3


def test_an_unready_node_that_goes_is_not_counted_twice() -> None:
    nodes = [unready("n0"), *(node(name) for name in NAMES[1:])]
    assert len(made(budget(nodes=4), nodes=nodes).removals) == 4


def test_shares_are_of_all_pools_of_the_policy_and_of_no_other() -> None:
    views = [pool(name, group(name, nodes=[f"{name}{i}" for i in range(10)]), down=EAGER) for name in "ab"]
    other = pool("c", group("c", nodes=[f"c{i}" for i in range(10)]), down=EAGER, policy="other")
    nodes = [node(f"{name}{i}") for name in "abc" for i in range(10)]
    policies = [policy(budgets=[budget(nodesPercent=10)]), policy("other")]
    told = plan(snapshot(*views, other, nodes=nodes, policies=policies))
    gone = [removal.pool for removal in told.removals]
    assert (gone.count("a") + gone.count("b"), gone.count("c")) == (2, 10)


def test_nodes_that_have_yet_to_start_are_part_of_no_share() -> None:
    starting = [node(f"s{i}", ready=False, created_at=ago(minutes=1)) for i in range(10)]
    nodes = [*(node(name) for name in NAMES), *starting]
    assert len(made(budget(nodesPercent=20), nodes=nodes).removals) == 2


# --- with others -------------------------------------------------------------------------------------------------


def test_an_atomic_group_larger_than_its_budget_stays_whole() -> None:
    def slices(size: int) -> PoolView:
        up = ScaleUpSettings(atomic=True)
        return pool("p", group(nodes=NAMES[:size], max_size=size), up=up, down=EAGER)

    def told(size: int) -> Plan:
        nodes = [node(name) for name in NAMES[:size]]
        return made(budget(nodes=4), nodes=nodes, view=slices(size))

    assert [len(told(4).removals), len(told(5).removals)] == [4, 0]
    assert told(5).nodes["n0"].detail == (
        "4 of the 5 nodes of atomic group asg-a can go: "
        "budget few allows 4 nodes to be out of service, and 4 are"
    )


def test_what_is_said_of_a_dry_run_is_bound_as_well() -> None:
    view = pool("p", group(nodes=NAMES), down=EAGER, mode=Mode.DRY_RUN)
    told = made(budget(nodes=3), view=view)
    assert (len(told.dry_run_removals), told.removals) == (3, ())


def test_what_a_budget_keeps_stays_a_candidate() -> None:
    told = made(budget(nodes=0), unneeded_since={name: ago(hours=1) for name in NAMES})
    assert {candidate.unneeded_since for candidate in told.pools["p"].candidates} == {ago(hours=1)}


def test_the_state_of_each_budget() -> None:
    told = made(
        budget("always", nodesPercent=20),
        budget("office", nodes=0, reasons=["Underutilized"], **NOON),
        budget("nights", nodes=0, **NIGHT),
        budget("allowed", action="Allow", reasons=["Underutilized"], **NIGHT),
    )
    one, ten = datetime(2026, 1, 1, 13, tzinfo=UTC), datetime(2026, 1, 1, 22, tzinfo=UTC)
    assert told.budgets["default"] == (
        BudgetState(name="always", open=True, allowed=2, in_use=2, until=None),
        BudgetState(name="office", open=True, allowed=0, in_use=2, until=one),
        BudgetState(name="nights", open=False, allowed=None, in_use=2, until=ten),
        BudgetState(name="allowed", open=False, allowed=0, in_use=2, until=ten),
    )


def test_a_busy_node_is_told_that_it_is_busy() -> None:
    there = [node("a"), node("b")]
    view = pool("p", group(nodes=["a", "b"]), down=EAGER)
    pods = {"a": running(3), "b": running(1, shape(500))}
    told = made(budget(nodes=0), nodes=there, view=view, pods=pods)
    assert [told.nodes[name].block for name in "ab"] == [BlockReason.NOT_UNDERUTILIZED, BlockReason.BUDGET]
