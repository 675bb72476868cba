"""What was bought for is not bought for again, however its nodes were filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.cluster.groups import Instance
from springtide.cluster.records import NodeRecord, PodRecord
from springtide.cluster.snapshot import GroupMemory, OutstandingPurchase, Promise, Snapshot
from springtide.planning.plan import PendingOutcome, Plan
from springtide.planning.planner import plan
from tests.unit.planning.world import (
    GIB,
    NOW,
    ago,
    group,
    instance_of,
    node,
    pending,
    policy,
    pool,
    shape,
    snapshot,
    template,
)

HALF, THIRD, SIXTH = shape(2000), shape(1333), shape(666)


def bought(
    fills: Sequence[Sequence[PodRecord]],
    *,
    arrived: Sequence[NodeRecord] = (),
    others: Sequence[PodRecord] = (),
    cpu: int = 4000,
) -> Snapshot:
    """A second after a purchase of one node for each of the fills, some of which may have come."""
    promised = {
        pod.uid: Promise("p", "g", f"plan-0/{number}") for number, pods in enumerate(fills) for pod in pods
    }
    instances: list[Instance] = [instance_of(each.name) for each in arrived]
    memory = GroupMemory(
        purchase=OutstandingPurchase(
            since=ago(seconds=1), from_target=0, to_target=len(fills), plan_id="plan-0", registered=0
        )
    )
    made_of = template(cpu=cpu)
    view = pool(
        "p",
        group("g", target=len(fills), max_size=100, instances=instances, made_of=made_of),
        memory={"g": memory},
    )
    waiting = [pod for pods in fills for pod in pods]
    return snapshot(view, nodes=arrived, waiting=[*waiting, *others], promised=promised)


def outcomes(made: Plan) -> dict[PendingOutcome, int]:
    counts: dict[PendingOutcome, int] = {}
    for verdict in made.pending:
        counts[verdict.outcome] = counts.get(verdict.outcome, 0) + len(verdict.pods)
    return counts


def full_nodes() -> list[list[PodRecord]]:
    """Two halves; three thirds; and so on alternately: first fit, largest first, needs another node for these."""
    return [
        [*pending(1, HALF), *pending(1, THIRD), *pending(1, SIXTH)],
        [*pending(1, HALF), *pending(1, THIRD), *pending(1, SIXTH)],
        [*pending(3, THIRD)],
        [*pending(6, SIXTH)],
    ]


def young(name: str) -> NodeRecord:
    return node(name, created_at=ago(seconds=1), ready_changed_at=ago(seconds=1))


def test_on_nodes_to_come_everyone_has_the_company_that_was_planned() -> None:
    made = plan(bought(full_nodes()))
    assert made.purchases == ()
    assert outcomes(made) == {PendingOutcome.FITS_UPCOMING: 15}


def test_a_node_that_has_come_takes_a_whole_company_too() -> None:
    made = plan(bought(full_nodes(), arrived=[young("n1"), young("n2")]))
    assert made.purchases == ()
    assert sum(outcomes(made).values()) == 15


def test_a_node_that_others_are_on_takes_who_still_fits() -> None:
    """The scheduler put another pod on it: one of its company must go elsewhere, and only that one is bought for."""
    seen = bought([pending(2, HALF)], arrived=[young("n1")])
    stranger = replace(pending(1, HALF)[0], node_name="n1")
    occupied = replace(seen, picture=replace(seen.picture, pods_by_node={"n1": (stranger,)}))
    made = plan(occupied)
    assert outcomes(made) == {PendingOutcome.FITS_EXISTING: 1, PendingOutcome.TRIGGERS: 1}
    assert [purchase.count for purchase in made.purchases] == [1]


def test_who_was_not_in_the_purchase_does_not_take_their_room() -> None:
    made = plan(bought(full_nodes(), others=pending(2, HALF)))
    assert [purchase.count for purchase in made.purchases] == [1]
    assert outcomes(made) == {PendingOutcome.FITS_UPCOMING: 15, PendingOutcome.TRIGGERS: 2}


def test_a_company_that_no_node_takes_any_more_is_parted() -> None:
    """The template has been corrected downwards since."""
    made = plan(bought([pending(2, HALF)], cpu=3000))
    assert outcomes(made) == {PendingOutcome.FITS_UPCOMING: 1, PendingOutcome.TRIGGERS: 1}


@pytest.mark.parametrize("expander", ["price", "least-waste", "least-cost"])
def test_the_pass_after_a_purchase_buys_nothing(expander: str) -> None:
    groups = [
        pool(
            f"p{n}",
            group(f"g{n}", max_size=100, made_of=template(cpu=cpu, memory=gib * GIB, price=price)),
        )
        for n, (cpu, gib, price) in enumerate(
            [(2000, 8, 0.11), (4000, 8, 0.17), (4000, 32, 0.3), (16000, 64, 0.8)]
        )
    ]
    waiting = [
        pod for n in range(40) for pod in pending(3, shape(300 + 130 * (7 * n % 23), (1 + 5 * n % 13) * GIB))
    ]
    seen = snapshot(*groups, waiting=waiting, policies=[policy(expanders=(expander,))])
    made = plan(seen)
    assert sum(len(purchase.pods) for purchase in made.purchases) == len(waiting)
    assert all(sum(p.fills) == len(p.pods) and len(p.fills) == p.count for p in made.purchases)
    assert plan(_after(seen, made)).purchases == ()


def _after(seen: Snapshot, made: Plan) -> Snapshot:
    to = {(p.pool, p.group): p.to_target for p in made.purchases}
    pools = []
    for view in seen.pools:
        (only,) = view.groups
        target = to.get((view.name, only.id), 0)
        outstanding = OutstandingPurchase(since=NOW, from_target=0, to_target=target, plan_id=made.id)
        memory = {only.id: GroupMemory(purchase=outstanding if target else None)}
        pools.append(replace(view, groups=(replace(only, target=target),), memory=memory))
    promised = {uid: promise for p in made.purchases for uid, promise in p.promises(made.id)}
    return replace(seen, now=NOW + timedelta(seconds=1), pools=tuple(pools), promised=promised)
