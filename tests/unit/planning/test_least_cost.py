"""least-cost: all groups planned together, never dearer than what price buys, every pod served, every bound kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from springtide.api.settings import Expander, ScaleUpSettings
from springtide.cluster.groups import NodeGroup
from springtide.cluster.records import PodRecord
from springtide.cluster.selector import LabelRequirement, LabelSelector, SelectorOperator
from springtide.cluster.shape import PodAffinityTerm, PodShape
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from springtide.planning.scale_up.searches import Searches
from tests.unit.planning.world import GIB, group, pending, policy, pool, shape, snapshot, template

APART = shape(600, GIB, labels={"app": "apart"})
ALONE = PodAffinityTerm(
    topology_key="kubernetes.io/hostname",
    selector=LabelSelector((LabelRequirement("app", SelectorOperator.IN, ("apart",)),)),
    namespaces=("default",),
)
object.__setattr__(APART, "pod_anti_affinity", (ALONE,))


def sized(name: str, cpu: int, price: float | None, **fields: Any) -> NodeGroup:
    return group(name, made_of=template(cpu=cpu, memory=64 * GIB, price=price), **fields)


def bought(groups: Sequence[NodeGroup], waiting: Sequence[PodRecord], *chain: Expander, **spec: Any) -> Plan:
    expanders = chain or (Expander.LEAST_COST,)
    given = snapshot(
        pool("general", *groups), waiting=waiting, policies=[policy(expanders=expanders, **spec)]
    )
    return plan(given)


def nodes(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


def served(made: Plan) -> Counter[PodShape]:
    return Counter(pod.shape for purchase in made.purchases for pod in purchase.pods)


def cost(made: Plan) -> float:
    return sum(purchase.hourly_cost or 0.0 for purchase in made.purchases)


# Three nodes of 6 cpu hold all of these, each five of the one and one or more of the other shape. Who fills node after node
# as full as it goes needs two large and two small ones.
MIXED = [*pending(12, shape(1100, GIB)), *pending(7, shape(500, GIB))]
GROUPS = (sized("large", 6000, 1.0), sized("small", 4000, 0.7))


def test_all_pods_are_planned_together() -> None:
    assert cost(bought(GROUPS, MIXED, Expander.PRICE)) == pytest.approx(3.4)
    made = bought(GROUPS, MIXED)
    assert nodes(made) == {"large": 3}
    assert served(made) == Counter(pod.shape for pod in MIXED)
    assert made.costs["default"].planned == pytest.approx(3.0)
    assert 2.5 < made.costs["default"].lower_bound <= 3.0
    assert made.purchases[0].chosen_by.startswith(
        "least-cost 3.00 an hour, at most 3.3% above the least possible"
    )


def test_a_greedy_plan_carries_its_bound_too() -> None:
    made = bought(GROUPS, MIXED, Expander.MOST_PODS)
    found = made.costs["default"]
    assert found.planned == pytest.approx(cost(made))
    assert 2.5 < found.lower_bound <= 3.0 + 1e-9


def test_a_group_that_is_bought_whole_bounds_the_cost_like_any_other() -> None:
    whole = pool("whole", sized("cheap", 4000, 0.1, max_size=2), up=ScaleUpSettings(atomic=True))
    dear = pool("dear", sized("dear", 2000, 1.0))
    chain = policy(expanders=(Expander.LEAST_WASTE,))
    made = plan(snapshot(whole, dear, waiting=pending(1, shape(2000, 64 * GIB)), policies=[chain]))
    assert made.costs["default"].lower_bound <= 0.2 + 1e-9


def test_without_all_prices_there_is_no_cost() -> None:
    made = bought([sized("unknown", 4000, None)], pending(3), Expander.LEAST_WASTE)
    assert made.purchases
    assert made.costs == {}


def test_groups_of_unknown_price_are_left_to_the_greedy_plan() -> None:
    tied = shape(500, GIB, selector={"disk": "ssd"})
    unknown = group("unknown", made_of=template(price=None, labels={"disk": "ssd"}))
    made = bought([unknown, *GROUPS], [*pending(2, tied), *MIXED])
    assert served(made) == Counter(pod.shape for pod in [*pending(2, tied), *MIXED])
    assert nodes(made)["unknown"] == 1


def test_pods_that_keep_apart_stay_apart() -> None:
    made = bought(GROUPS, [*pending(4, APART), *pending(8, shape(1000, GIB))])
    assert served(made)[APART] == 4
    assert sum(nodes(made).values()) >= 4


def test_a_limit_that_the_cheapest_plan_breaks_holds() -> None:
    groups = (sized("large", 8000, 1.0), sized("small", 1000, 0.1))
    free = bought(groups, pending(8, shape(1000, GIB)))
    assert nodes(free) == {"small": 8}
    bound = bought(groups, pending(8, shape(1000, GIB)), limits={"max": {"nodes": 3}})
    assert sum(nodes(bound).values()) <= 3
    assert served(bound)


def test_what_was_found_before_serves_the_next_search() -> None:
    searches = Searches()
    given = snapshot(
        pool("general", *GROUPS), waiting=MIXED, policies=[policy(expanders=(Expander.LEAST_COST,))]
    )
    first = plan(given, searches=searches)
    again = plan(given, searches=searches)
    assert nodes(again) == nodes(first) == {"large": 3}
    assert searches.costs()["default"].planned == pytest.approx(3.0)


BURSTS = st.lists(
    st.tuples(
        st.sampled_from(
            [shape(300, GIB), shape(900, 7 * GIB), shape(1700, GIB), shape(2600, 20 * GIB), APART]
        ),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda burst: burst[0].number,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bursts=BURSTS,
    prices=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    most=st.lists(st.integers(1, 12), min_size=3, max_size=3),
)
def test_never_dearer_than_price_and_never_fewer_pods(
    bursts: list[tuple[PodShape, int]], prices: list[int], most: list[int]
) -> None:
    groups = [
        sized(name, cpu, price / 10, max_size=size)
        for name, cpu, price, size in zip(("s", "m", "l"), (1000, 2000, 4000), prices, most, strict=True)
    ]
    waiting = [pod for of, count in bursts for pod in pending(count, of)]
    greedy = bought(groups, waiting, Expander.PRICE)
    cheap = bought(groups, waiting)
    assert served(cheap) == served(greedy)
    assert cost(cheap) <= cost(greedy) + 1e-9
    for purchase in cheap.purchases:
        assert purchase.to_target <= purchase.max_size
    if cheap.purchases:
        assert cheap.costs["default"].lower_bound <= cost(cheap) + 1e-9
