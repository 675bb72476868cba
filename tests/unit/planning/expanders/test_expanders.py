"""Expanders: each keeps the best options, the next chooses among those, the rest is drawn by lot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from springtide.api.settings import Expander
from springtide.cluster.shape import PodShape
from springtide.planning.expanders.expanders import best, choose
from springtide.planning.expanders.options import ExpansionOption

GIB = 2**30


def option(
    group: str, *, nodes: int, pods: int, cpu: int = 4000, pod_cpu: int = 1000, known: bool = True
) -> ExpansionOption:
    shape = PodShape(number=0, namespace="default", labels={}, requests={"cpu": pod_cpu, "memory": GIB})
    capacity = {"cpu": cpu, "memory": 16 * GIB} if known else {}
    return ExpansionOption(
        pool="general", group=group, nodes=nodes, served=((shape, pods),), capacity=capacity
    )


FULL = option("full", nodes=2, pods=8)
"""Nothing of 8 cpu idle, 24 of 32 GiB idle: waste 0 + 0.75."""
HALF = option("half", nodes=1, pods=2)
"""waste 0.5 + 0.875."""
BULK = option("bulk", nodes=3, pods=9)
"""waste 0.25 + 1 - 9/48."""


@pytest.mark.parametrize(
    ("expander", "kept"),
    [
        (Expander.RANDOM, [FULL, HALF, BULK]),
        (Expander.MOST_PODS, [BULK]),
        (Expander.LEAST_WASTE, [FULL]),
        (Expander.LEAST_NODES, [HALF]),
    ],
)
def test_each_keeps_its_best(expander: Expander, kept: list[ExpansionOption]) -> None:
    assert best([FULL, HALF, BULK], expander) == kept


PRICED = [
    replace(FULL, hourly_price=1.0, worth=1.6, priority=3),
    replace(HALF, hourly_price=0.2, worth=0.4, priority=7),
    replace(BULK, hourly_price=None, priority=None),
]


@pytest.mark.parametrize(
    ("expander", "kept", "story"),
    [
        (Expander.PRICE, [PRICED[1]], "price 0.20/h (0.50 of the pods' cheapest) (of 3 options)"),
        (Expander.PRIORITY, [PRICED[1]], "priority 7 (of 3 options)"),
    ],
)
def test_what_was_appraised_is_ranked(expander: Expander, kept: list[ExpansionOption], story: str) -> None:
    assert best(PRICED, expander) == kept
    assert choose(PRICED, [expander], seed="plan").story == story


def test_without_any_price_or_priority_nothing_is_ruled_out_and_the_story_says_so() -> None:
    unknown = [FULL, BULK]
    assert best(unknown, Expander.PRICE) == best(unknown, Expander.PRIORITY) == unknown
    choice = choose(unknown, [Expander.PRIORITY, Expander.PRICE], seed="plan")
    assert choice.story == "priority matches none, price unknown, least-nodes 2 (of 2 options)"


@pytest.mark.parametrize(
    ("priorities", "winner"),
    [((-1, None), 0), ((-2, None), None), ((-2, 0), 1), ((-2, -3), None)],
)
def test_priorities_below_minus_one_never_win(
    priorities: tuple[int | None, int | None], winner: int | None
) -> None:
    options = [replace(FULL, priority=each) for each in priorities]
    assert best(options, Expander.PRIORITY) == (options if winner is None else [options[winner]])


def test_waste_is_the_sum_of_idle_shares() -> None:
    assert FULL.waste == 0.75
    assert HALF.waste == 1.375


def test_an_option_of_unknown_capacity_loses_but_is_not_lost() -> None:
    unknown = option("unknown", nodes=1, pods=1, known=False)
    assert best([unknown, HALF], Expander.LEAST_WASTE) == [HALF]
    assert best([unknown], Expander.LEAST_WASTE) == [unknown]


def test_the_next_expander_breaks_the_tie_of_the_first() -> None:
    small, large = option("small", nodes=1, pods=4), option("large", nodes=2, pods=4)
    choice = choose([large, small], [Expander.MOST_PODS, Expander.LEAST_NODES], seed="plan")
    assert choice.option is small
    assert choice.story == "most-pods 4, least-nodes 1 (of 2 options)"


def test_a_decided_chain_asks_no_further() -> None:
    choice = choose([FULL, HALF, BULK], [Expander.LEAST_WASTE, Expander.RANDOM], seed="plan")
    assert choice.option is FULL
    assert choice.story == "least-waste 0.75 (of 3 options)"


def test_one_option_needs_no_expander() -> None:
    assert choose([HALF], [Expander.LEAST_WASTE], seed="plan").story == "the only option"


def test_the_lot_falls_the_same_way_for_the_same_plan_and_differently_for_others() -> None:
    tied = [option(f"asg-{number}", nodes=1, pods=4) for number in range(8)]
    drawn = [choose(tied, [Expander.LEAST_WASTE], seed=f"plan-{number}").option for number in range(40)]
    again = [choose(tied, [Expander.LEAST_WASTE], seed=f"plan-{number}").option for number in range(40)]
    assert drawn == again
    assert len({each.group for each in drawn}) > 4
