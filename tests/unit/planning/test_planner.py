"""Whole plans for small worlds: what is bought, what is given back, and what is said about the rest."""

from __future__ import annotations

from springtide.planning.plan import PendingOutcome, Plan, PurchaseReason
from springtide.planning.planner import plan
from tests.unit.planning.world import group, node, pending, pool, running, shape, snapshot, template


def bought(made: Plan) -> dict[str, tuple[int, int]]:
    return {purchase.group: (purchase.from_target, purchase.to_target) for purchase in made.purchases}


def outcomes(made: Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for verdict in made.pending:
        found[verdict.outcome.value] = found.get(verdict.outcome.value, 0) + len(verdict.pods)
    return found


def test_nothing_to_do_is_an_empty_plan() -> None:
    made = plan(snapshot(pool("general", group(nodes=["n1"])), nodes=[node("n1")], pods={"n1": running(3)}))
    assert (made.purchases, made.removals, made.soft_taints) == ((), (), ())


def test_pods_that_fit_nowhere_get_as_many_nodes_as_hold_them() -> None:
    made = plan(snapshot(pool("general", group()), waiting=pending(9, shape(cpu=1000))))
    assert bought(made) == {"asg-a": (0, 3)}
    assert outcomes(made) == {PendingOutcome.TRIGGERS: 9}
    assert made.purchases[0].reason is PurchaseReason.PENDING_PODS
    assert len(made.purchases[0].pods) == 9
    assert made.purchases[0].hourly_cost == 3 * 0.2


def test_pods_that_fit_a_ready_node_cause_no_purchase() -> None:
    made = plan(
        snapshot(pool("general", group(nodes=["n1"])), nodes=[node("n1")], waiting=pending(4), pods={})
    )
    assert bought(made) == {}
    assert outcomes(made) == {PendingOutcome.FITS_EXISTING: 4}


def test_new_nodes_are_spread_over_the_groups_of_a_pool() -> None:
    zones = [group(name, made_of=template(labels={"zone": name})) for name in ("a", "b", "c")]
    made = plan(snapshot(pool("general", *zones), waiting=pending(24)))
    assert bought(made) == {"a": (0, 2), "b": (0, 2), "c": (0, 2)}
