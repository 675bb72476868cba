"""Turns at a PodDisruptionBudget: first come, first served; who is through, or gives up, makes way."""

from __future__ import annotations

from springtide.actuation.budget_turns import BudgetTurns, budget_of
from springtide.planning.scale_down.budgets import BudgetIndex
from tests.unit.actuation.world import budget, pod

WEB = ("default", "web-pdb")
OTHER = ("default", "other")


def test_nobody_waits_where_nobody_was_refused() -> None:
    assert BudgetTurns(at_a_time=1).before("a", WEB) == ""


def test_the_first_that_was_refused_is_the_first_to_ask_again() -> None:
    turns = BudgetTurns(at_a_time=1)
    turns.wait("b", WEB, pod())
    turns.wait("a", WEB, pod())
    assert (turns.before("b", WEB), turns.before("a", WEB), turns.before("c", WEB)) == ("", "b", "b")


def test_its_turn_ends_with_its_last_pod() -> None:
    turns, pods = BudgetTurns(at_a_time=1), [pod(), pod()]
    for each in pods:
        turns.wait("a", WEB, each)
    turns.wait("b", WEB, pod())
    turns.served("a", WEB, pods[0])
    assert turns.before("b", WEB) == "a"
    turns.served("a", WEB, pods[1])
    assert turns.before("b", WEB) == ""


def test_budgets_have_queues_of_their_own() -> None:
    turns = BudgetTurns(at_a_time=1)
    turns.wait("a", WEB, pod())
    assert (turns.before("b", OTHER), turns.before("b", None)) == ("", "")


def test_a_drain_that_ends_leaves_all_queues() -> None:
    turns = BudgetTurns(at_a_time=1)
    with turns.drain("a"):
        turns.wait("a", WEB, pod())
        turns.wait("a", OTHER, pod())
        turns.wait("b", WEB, pod())
    assert (turns.before("b", WEB), turns.before("b", OTHER)) == ("", "")


def test_the_budget_of_a_pod() -> None:
    assert budget_of(pod(), BudgetIndex([budget(1)])) == WEB
    assert budget_of(pod(), BudgetIndex([budget(1, app="db")])) is None
