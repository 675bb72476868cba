"""The API server answers one request in twenty badly, or not at all; so do its watches. The end is as without that."""

from __future__ import annotations

import pytest

from devcluster.api_proxy import Faults
from tests.e2e.world import World
from tests.faults.amount import LONG, report
from tests.faults.real.churn import STEADY, EndState, churning
from tests.faults.real.seat import USUAL_ELECTION, Seat
from tests.faults.real.vitals import vitals
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

RATE = 0.05
PAUSE_SECONDS = 7.0
STEPS = 80 if LONG else 20
WARM_UP = 5
"""Of them: then all kinds of connections have been made."""
SEEDS = (11, 12, 13) if LONG else (11,)
IN_THE_END = 3
"""Large pods."""
SPARE_SOCKETS = 16
"""Connections to the API server that a moment of many calls may leave idle; a leak would show far more of them, for every
fault breaks one."""


async def run(world: World, seat: Seat, *, faults: Faults | None, seed: int) -> EndState:
    """The same walk with or without faults, then rest."""
    async with Witness(world) as witness, churning(world, witness) as churn:
        await seat.start(*USUAL_ELECTION)
        await world.condition(churn.pool, "Ready", "True")
        witness.watch_purchases(*churn.groups)
        seat.proxy.faults = faults
        # Without faults the pace may be quicker: the end does not depend on the way.
        pause = PAUSE_SECONDS if faults else PAUSE_SECONDS / 3
        assert seat.operator is not None
        await churn.steps(seed=seed, count=WARM_UP, pause=pause)
        before = vitals(seat.operator.process.pid)
        await churn.steps(seed=seed + 1, count=STEPS - WARM_UP, pause=pause)
        end = await churn.come_to_rest(IN_THE_END, timeout=90)
        seat.proxy.faults = None
        seat.operator.check()
        after = vitals(seat.operator.process.pid)
        report(
            f"vitals {'with' if faults else 'without'} faults, seed {seed}", f"{before}; in the end {after}"
        )
        assert after.sockets <= before.sockets + SPARE_SOCKETS, f"connections leak: {before}, then {after}"
        await seat.operator.stop()
        assert seat.operator.process.returncode == 0
        await witness.verify(*churn.groups)
        assert world.raises(churn.groups[0]) + world.raises(churn.groups[1]), "nothing was ever bought"
        return end


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
async def test_with_one_fault_in_twenty_requests_the_end_is_that_of_a_clean_run(
    world: World, seat: Seat, seed: int
) -> None:
    clean = await run(world, seat, faults=None, seed=seed)
    assert clean == EndState(running=IN_THE_END + STEADY, target=IN_THE_END, nodes=IN_THE_END, marks=())
    await world.tidy()
    faults = Faults(rate=RATE, seed=seed)
    faulty = await run(world, seat, faults=faults, seed=seed)
    told = ", ".join(f"{kind.value} {count}" for kind, count in sorted(faults.counts.items()))
    report(f"faulty API server, seed {seed}", f"{told}; {len(seat.proxy.record)} mutations passed on")
    assert faulty == clean
    assert sum(faults.counts.values()) >= 20, "too few faults to mean anything"
    assert len(faults.counts) >= 6, "too few kinds of them"
