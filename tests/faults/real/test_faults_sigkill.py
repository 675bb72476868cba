"""The operator is killed (SIGKILL) exactly at the most telling points of its work; a fresh one goes on.

Whatever the point: nothing is bought twice, all pods run in the end, no disruption budget is violated at any time, no mark
stays on a node, no instance is terminated with pods on it, targets are what is there, and what is not ours is not touched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from devcluster.traps import Moment, Trap
from tests.e2e.test_scale_down import QUICK, bare_pod, taints
from tests.e2e.world import HARD_TAINT, HOSTNAME, OWN, SET, TERMINATE, World
from tests.faults.real import moments
from tests.faults.real.moments import ApiPoint, CloudPoint, Point
from tests.faults.real.seat import Seat
from tests.faults.real.stage import budget, no_marks, ready_nodes
from tests.faults.real.witness import Witness, marks_of

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

BEFORE, AFTER = Moment.BEFORE, Moment.AFTER
CATCH_SECONDS = 60


@pytest_asyncio.fixture(loop_scope="session")
async def foreign(world: World) -> AsyncIterator[str]:
    """An idle group that no NodePool names: a temptation."""
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    yield group


async def killed_when_caught(seat: Seat, trap: Trap[Any]) -> None:
    """SIGKILL with this one request in flight; then its connection breaks.

    One: an eviction that is under way beside it would be cancelled in the API server between noting the pod in its
    budget's status.disruptedPods and deleting it. Then the budget counts the pod as gone, and allows less, for two minutes
    (DeletionTimeout of the disruption controller); the drain waits that long.
    """
    await trap.caught(timeout=CATCH_SECONDS)

    async def alone() -> bool:
        return seat.proxy.record.unanswered <= 1

    await seat.world.until(alone, "other requests to be answered")
    await seat.kill()
    trap.drop()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(ApiPoint(matches=moments.purchase_noted, moment=BEFORE), id="before the note of it"),
        pytest.param(ApiPoint(matches=moments.purchase_noted, moment=AFTER), id="noted, not yet called"),
        pytest.param(CloudPoint(action=SET, moment=BEFORE), id="just before SetDesiredCapacity"),
        pytest.param(CloudPoint(action=SET, moment=AFTER), id="SetDesiredCapacity done, answer unheard"),
    ],
)
async def test_killed_in_a_purchase(
    world: World, seat: Seat, witness: Witness, foreign: str, point: Point
) -> None:
    group = await world.group()
    pool = await world.pool(group, policy=await world.policy())
    await seat.start()
    await world.condition(pool, "Ready", "True")
    trap = point.set(seat, witness)
    app = await world.deployment(2, cpu="3", nodeSelector={"group": group})
    await killed_when_caught(seat, trap)

    await seat.start()
    await world.running(app, 2, timeout=60)
    await world.condition(pool, "ScalingUp", "False")
    assert max(world.raises(group)) == 2
    assert witness.launched[group] == 2
    await witness.verify(group, foreign=foreign)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(ApiPoint(matches=moments.soft_taint, moment=BEFORE), id="before the soft taint"),
        pytest.param(ApiPoint(matches=moments.soft_taint, moment=AFTER), id="after the soft taint"),
        pytest.param(ApiPoint(matches=moments.hard_taint, moment=BEFORE), id="before the hard taint"),
        pytest.param(ApiPoint(matches=moments.hard_taint, moment=AFTER), id="after the hard taint"),
        pytest.param(ApiPoint(matches=moments.draining, moment=AFTER), id="drain noted, not begun"),
        pytest.param(ApiPoint(matches=moments.eviction, moment=BEFORE), id="before the first eviction"),
        pytest.param(ApiPoint(matches=moments.eviction, moment=AFTER), id="after the first eviction"),
        pytest.param(ApiPoint(matches=moments.last_eviction, moment=AFTER), id="after the last eviction"),
        pytest.param(ApiPoint(matches=moments.terminating, moment=BEFORE), id="drained, not noted"),
        pytest.param(ApiPoint(matches=moments.terminating, moment=AFTER), id="termination noted, not called"),
        pytest.param(CloudPoint(action=TERMINATE, moment=BEFORE), id="just before TerminateInstance"),
        pytest.param(CloudPoint(action=TERMINATE, moment=AFTER), id="TerminateInstance done, unheard"),
    ],
)
async def test_killed_in_a_removal(
    world: World, seat: Seat, witness: Witness, foreign: str, point: Point
) -> None:
    group = await world.group(desired=2)
    await ready_nodes(world, group, 2)
    # Two nodes a quarter full each; on one, they fill more than half of it, so it is needed then.
    app = await world.deployment(4, cpu="500m", nodeSelector={"group": group})
    await world.running(app, 4)
    assert list((await world.pods_by(HOSTNAME, app)).values()) == [2, 2]
    await budget(world, app, min_available=3)
    witness.guard(app, 3)
    await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    trap = point.set(seat, witness)
    await seat.start()
    await killed_when_caught(seat, trap)

    await seat.start()
    await world.nodes_settle(group, 1, timeout=60)
    await world.running(app, 4)
    await no_marks(world, group)
    assert witness.launched[group] == 2
    assert len(world.cloud.calls.of(TERMINATE, outcome="ok")) == 1
    await witness.verify(group, foreign=foreign)


@pytest.mark.parametrize("moment", [BEFORE, AFTER])
async def test_killed_in_a_rollback(
    world: World, seat: Seat, witness: Witness, foreign: str, moment: Moment
) -> None:
    group = await world.group(desired=1)
    (node,) = await world.nodes_settle(group, 1)
    await world.pool(group, policy=await world.policy(scaleDown=QUICK))
    trap = ApiPoint(matches=moments.rollback, moment=moment).set(seat, witness)
    await seat.start("--delay-after-taint=3s")

    async def tainted() -> bool:
        return HARD_TAINT in taints((await world.nodes(group))[0])

    await world.until(tainted, "the hard taint")
    await bare_pod(world, nodeName=node["metadata"]["name"])
    await killed_when_caught(seat, trap)

    await seat.start()
    await no_marks(world, group)
    assert world.mutations(group) == []
    await witness.verify(group, foreign=foreign)


@pytest.mark.parametrize("moment", [BEFORE, AFTER])
async def test_killed_while_letting_a_pool_go(
    world: World, seat: Seat, witness: Witness, foreign: str, moment: Moment
) -> None:
    group = await world.group(desired=1)
    await world.nodes_settle(group, 1)
    pool = await world.pool(group, policy=await world.policy(scaleDown=QUICK | {"unneededTime": "1h"}))
    await seat.start()

    async def marked() -> bool:
        return marks_of((await world.nodes(group))[0]) != []

    await world.until(marked, "the soft taint")
    trap = ApiPoint(matches=moments.finalizer_taken_off, moment=moment).set(seat, witness)
    await world.api.delete(f"{OWN}/nodepools/{pool}")
    await killed_when_caught(seat, trap)

    await seat.start()

    async def gone() -> bool:
        return await world.api.find(f"{OWN}/nodepools/{pool}") is None

    await world.until(gone, "the NodePool to be gone", timeout=60)
    assert world.mutations(group) == []
    await witness.verify(group, foreign=foreign)
