"""Choice by money and by priority, through whole plans: what is bought, and what is not bought of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from springtide.api.settings import Expander
from springtide.cluster.groups import NodeGroup
from springtide.cluster.snapshot import PoolView
from springtide.planning.plan import Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import GIB, group, pending, policy, pool, shape, snapshot, template

GPU = "nvidia.com/gpu"


def bought(made: Plan) -> dict[str, int]:
    return {purchase.group: purchase.count for purchase in made.purchases}


def by(*pools: PoolView, pods: list[Any], expanders: tuple[Expander, ...], **spec: Any) -> Plan:
    return plan(snapshot(*pools, waiting=pods, policies=[policy(expanders=expanders, **spec)]))


def priced(name: str, *, cpu: int, price: float | None, gpus: int = 0, max_size: int = 100) -> NodeGroup:
    """cpu in cores, with 4 GiB each."""
    extended = {GPU: gpus} if gpus else {}
    made_of = template(cpu=cpu * 1000, memory=cpu * 4 * GIB, price=price, extended=extended)
    return group(name, made_of=made_of, max_size=max_size)


PRICE = (Expander.PRICE,)
CPU_POD = shape(1000, 4 * GIB)
GPU_POD = shape(1000, 4 * GIB, extended={GPU: 1})

# --- price -----------------------------------------------------------------------------------------------------


def test_the_cheaper_of_two_equal_kinds_is_bought() -> None:
    made = by(
        pool("dear", priced("dear", cpu=4, price=0.4)),
        pool("cheap", priced("cheap", cpu=4, price=0.2)),
        pods=pending(8, CPU_POD),
        expanders=PRICE,
    )
    assert bought(made) == {"cheap": 2}
    assert made.purchases[0].chosen_by == "price 0.40/h (1.00 of the pods' cheapest) (of 2 options)"
    assert made.purchases[0].hourly_cost == pytest.approx(0.4)


def test_equal_nodes_of_different_price_in_one_pool_are_not_taken_for_equal() -> None:
    spot, demand = priced("spot", cpu=4, price=0.1, max_size=1), priced("demand", cpu=4, price=0.3)
    assert bought(by(pool("general", demand, spot), pods=pending(8, CPU_POD), expanders=PRICE)) == {
        "spot": 1,
        "demand": 1,
    }


def test_pods_without_gpu_are_not_put_on_dear_nodes_that_they_would_fill_well() -> None:
    made = by(
        pool("gpu", priced("gpu", cpu=16, price=9.0, gpus=4)),
        pool("cpu", priced("cpu", cpu=4, price=0.2)),
        pods=[*pending(64, CPU_POD), *pending(4, GPU_POD)],
        expanders=PRICE,
    )
    # The one GPU node that is needed has room for 12 plain pods; whatever is bought first, it is not more than that.
    assert bought(made)["gpu"] == 1
    assert bought(made)["cpu"] == pytest.approx(14.5, abs=1.5)


def test_the_last_half_empty_large_node_is_not_bought() -> None:
    made = by(
        pool("large", priced("large", cpu=16, price=0.7)),
        pool("small", priced("small", cpu=1, price=0.05)),
        pods=pending(33, CPU_POD),
        expanders=PRICE,
    )
    assert bought(made) == {"large": 2, "small": 1}


def test_a_lone_pod_gets_the_cheapest_node_that_takes_it() -> None:
    made = by(
        pool("large", priced("large", cpu=16, price=0.6)),
        pool("small", priced("small", cpu=4, price=0.2)),
        pods=pending(1, CPU_POD),
        expanders=PRICE,
    )
    assert bought(made) == {"small": 1}


def test_an_unknown_price_loses_against_a_known_one() -> None:
    made = by(
        pool("a", priced("unknown", cpu=4, price=None)),
        pool("b", priced("known", cpu=4, price=50.0, max_size=1)),
        pods=pending(8, CPU_POD),
        expanders=PRICE,
    )
    assert bought(made) == {"known": 1, "unknown": 1}


def test_without_any_price_the_next_expander_decides() -> None:
    made = by(
        pool("a", priced("small", cpu=4, price=None)),
        pool("b", priced("large", cpu=16, price=None)),
        pods=pending(16, CPU_POD),
        expanders=(Expander.PRICE, Expander.LEAST_NODES),
    )
    assert bought(made) == {"large": 1}
    assert made.purchases[0].chosen_by == "price unknown, least-nodes 1 (of 2 options)"


def test_after_an_expander_of_sizes_the_packing_is_bought_whole() -> None:
    made = by(
        pool("large", priced("large", cpu=16, price=0.7)),
        pool("small", priced("small", cpu=1, price=0.05)),
        pods=pending(33, CPU_POD),
        expanders=(Expander.MOST_PODS, Expander.LEAST_NODES, Expander.PRICE),
    )
    assert bought(made) == {"large": 3}


# --- priority --------------------------------------------------------------------------------------------------

PRIORITY = (Expander.PRIORITY, Expander.LEAST_WASTE)


def weighted(view: PoolView, weight: int) -> PoolView:
    return replace(view, settings=replace(view.settings, weight=weight))


def test_the_heavier_pool_is_bought_from_while_it_has_room() -> None:
    light = weighted(pool("light", group("light")), 1)
    heavy = weighted(pool("heavy", group("heavy", max_size=1)), 2)
    assert bought(by(light, heavy, pods=pending(8), expanders=PRIORITY)) == {"heavy": 1, "light": 1}


TEXT = "10: ['^spot-']\n50: ['^reserved-a$', '^none']"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        pytest.param(["spot-a", "reserved-a", "other"], {"reserved-a": 2}, id="the highest match wins"),
        pytest.param(["spot-a", "reserved-b", "other"], {"spot-a": 2}, id="what matches nothing is left out"),
    ],
)
def test_the_policys_text_ranks_groups_by_their_ids(groups: list[str], expected: dict[str, int]) -> None:
    pools = [weighted(pool(name, group(name)), 100 - number) for number, name in enumerate(groups)]
    assert bought(by(*pools, pods=pending(8), expanders=PRIORITY, priorities=TEXT)) == expected


def test_groups_of_one_pool_with_different_priorities_are_not_balanced() -> None:
    both = pool("general", group("spot-a"), group("reserved-a"))
    assert bought(by(both, pods=pending(8), expanders=PRIORITY, priorities=TEXT)) == {"reserved-a": 2}


@pytest.mark.parametrize("text", ["10: ['(unclosed']", "10: ['^neither']"])
def test_broken_text_and_text_that_matches_nothing_rule_nothing_out(text: str) -> None:
    both = (pool("a", group("a")), pool("b", group("b", made_of=template(cpu=8000, memory=64 * GIB))))
    chain = (Expander.PRIORITY, Expander.LEAST_NODES)
    assert bought(by(*both, pods=pending(8), expanders=chain, priorities=text)) == {"b": 1}
