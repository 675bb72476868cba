"""The rough bound: what pods ask of one resource, where that is cheapest. Never above what a plan costs."""

from __future__ import annotations

import pytest

from springtide.planning.expanders.appraisal import Appraisal
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import assess
from springtide.planning.planner import plan
from springtide.planning.pods.pending import Demand
from springtide.planning.scale_up.catalog import Catalog
from springtide.planning.scale_up.joint_problem import Stage, kinds_of
from springtide.planning.scale_up.lots import Lot
from springtide.scheduling.fresh import fresh_node
from springtide.scheduling.packing.rules import EMPTY_BOOK
from tests.unit.planning.world import GIB, group, pending, policy, pool, shape, snapshot, template

# Prices per vCPU: 0.05 and 0.04; per GiB: 0.0125 and 0.02.
POOLS = [
    pool("roomy", group("a", made_of=template(cpu=4000, memory=16 * GIB, price=0.2), max_size=1000)),
    pool("lean", group("b", made_of=template(cpu=8000, memory=16 * GIB, price=0.32), max_size=1000)),
]


def stage(lots: list[Lot]) -> Stage:
    states = assess(snapshot(*POOLS)).groups
    catalog = Catalog(
        {key: fresh_node(state.group.template, ()) for key, state in states.items() if state.group.template}
    )
    appraisal = Appraisal(policy(), catalog, list(states.values()))
    candidates = catalog.candidates(
        list(states.values()), [lot.demand.shape for lot in lots], apart=appraisal.apart
    )
    ledger = Ledger(states.values(), [policy()])
    return Stage(catalog, ledger, EMPTY_BOOK, lots, kinds_of(candidates, states, ledger, atomic=True))


def lot(number: int, cpu: int, gib: int, count: int) -> Lot:
    of = shape(cpu, gib * GIB)
    return Lot(number, Demand(shape=of, pods=tuple(pending(count, of))))


@pytest.mark.parametrize(
    ("lots", "bound"),
    [
        pytest.param([lot(0, 1000, 1, 10)], 10 * 0.04, id="cpu decides"),
        pytest.param([lot(0, 100, 2, 40)], 80 * 0.0125, id="memory decides"),
        pytest.param([lot(0, 1000, 1, 10), lot(1, 500, 1, 20)], 20 * 0.04, id="lots add up"),
        pytest.param([], 0.0, id="nothing costs nothing"),
    ],
)
def test_the_dearest_resource_bounds_the_cost(lots: list[Lot], bound: float) -> None:
    counts = {each.number: each.demand.count for each in lots}
    assert stage(lots).rough_bound(counts) == pytest.approx(bound)


def test_no_plan_costs_less() -> None:
    lots = [lot(n, 300 + 170 * (5 * n % 11), 1 + 3 * n % 7, 4) for n in range(12)]
    waiting = [pod for each in lots for pod in each.demand.pods]
    made = plan(snapshot(*POOLS, waiting=waiting, policies=[policy(expanders=("least-cost",))]))
    cost = sum(purchase.hourly_cost or 0.0 for purchase in made.purchases)
    assert 0 < stage(lots).rough_bound({each.number: each.demand.count for each in lots}) <= cost
