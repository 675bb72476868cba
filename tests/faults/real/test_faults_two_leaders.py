"""Two operators, one Lease: the leader's network is cut, it is frozen, clocks are wrong. Never do both change things.

Judged by what arrived, not by what they say: the record of each one's proxy in front of the API server, and of AWS.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from devcluster.api_proxy import Cut
from tests.e2e.world import SET, World
from tests.faults.amount import report
from tests.faults.real.churn import STEADY, Churn, EndState, churning
from tests.faults.real.seat import USUAL_ELECTION, Seat, open_seat
from tests.faults.real.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]

LEASE = "/apis/coordination.k8s.io/v1/namespaces/springtide-system/leases/springtide"
SKEWED = str(Path(__file__).with_name("skewed.py"))
SKEW_SECONDS = 30
AWAY_SECONDS = 60.0
FROZEN_SECONDS = 30.0
TAKE_OVER_SECONDS = 20.0
"""After a crash, or what looks like one from outside: the lease duration of 15 s, a retry, and a second look."""
HANDED_OVER_SECONDS = 2.0
"""After a clean exit."""
PAUSE_SECONDS = 3.0
"""So much the work changes: in any 20 s something is to be bought or removed."""
IN_THE_END = 3


@pytest_asyncio.fixture(loop_scope="session")
async def churn(world: World, witness: Witness) -> AsyncIterator[Churn]:
    async with churning(world, witness) as churn:
        witness.watch_purchases(*churn.groups)
        yield churn


@pytest_asyncio.fixture(loop_scope="session")
async def first(world: World) -> AsyncIterator[Seat]:
    async with open_seat(world, "first") as seat:
        yield seat


@pytest_asyncio.fixture(loop_scope="session")
async def second(world: World) -> AsyncIterator[Seat]:
    async with open_seat(world, "second") as seat:
        yield seat


async def leads(seat: Seat, *, timeout: float = 40) -> float:
    """Wait until it holds the Lease and has changed something; monotonic time of that first change."""

    async def holds() -> bool:
        lease = await seat.world.api.find(LEASE)
        return lease is not None and str(lease["spec"].get("holderIdentity", "")).startswith(f"{seat.name}_")

    async def changed() -> bool:
        return seat.mutation_times() != []

    await seat.world.until(holds, f"{seat.name} to hold the Lease", timeout=timeout)
    await seat.world.until(changed, f"{seat.name} to change something", timeout=timeout)
    return seat.mutation_times()[0]


NORMAL = ("-m", "springtide.cli.main")


@asynccontextmanager
async def at_work(
    churn: Churn, first: Seat, second: Seat, *, programs: tuple[tuple[str, ...], tuple[str, ...]]
) -> AsyncIterator[None]:
    """`first` leads and has much to do, `second` stands by; the work goes on for as long as the context."""
    await first.start(*USUAL_ELECTION, program=programs[0])
    await leads(first)
    await second.start(*USUAL_ELECTION, program=programs[1])
    working = asyncio.create_task(churn.steps(seed=5, count=10_000, pause=PAUSE_SECONDS))
    try:
        await churn.world.until(lambda: has_bought(first), "the leader to buy", timeout=60)
        assert second.mutation_times() == []
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def has_bought(seat: Seat) -> bool:
    return any(call.action == SET for call in seat.cloud_mutations())


async def until(instant: float) -> None:
    """Wait for an instant of the monotonic clock: how long a fault lasts."""
    await asyncio.sleep(max(0.0, instant - time.monotonic()))


async def all_is_well_in_the_end(churn: Churn) -> None:
    end = await churn.come_to_rest(IN_THE_END, timeout=90)
    assert end == EndState(running=IN_THE_END + STEADY, target=IN_THE_END, nodes=IN_THE_END, marks=())
    await churn.witness.verify(*churn.groups)


def never_both(old: Seat, new: Seat) -> None:
    """Whatever the old leader changed came before the first change of the new one."""
    last, first = old.mutation_times()[-1], new.mutation_times()[0]
    assert last < first, f"the old leader changed something {last - first:.3f} s after the new one's first"


@pytest.mark.parametrize("how", list(Cut))
async def test_a_leader_cut_off_for_a_minute_changes_nothing_after_its_successor(
    churn: Churn, first: Seat, second: Seat, how: Cut
) -> None:
    async with at_work(churn, first, second, programs=(NORMAL, NORMAL)):
        cut_at = time.monotonic()
        first.proxy.cut(how)
        took = await leads(second) - cut_at
        # The old one cannot reach the API server, but AWS it can; and when the network is mended, both.
        await until(cut_at + AWAY_SECONDS)
        first.proxy.heal()
    await all_is_well_in_the_end(churn)
    report(
        f"take-over, network cut, {how.value}", f"{took:.1f} s from the cut to the successor's first change"
    )
    never_both(first, second)
    assert took < TAKE_OVER_SECONDS
    assert first.operator is not None
    assert first.operator.process.returncode not in (None, 0), "who lost the Lease ends, with an error"


async def test_a_leader_that_was_frozen_changes_nothing_when_it_wakes_up(
    churn: Churn, first: Seat, second: Seat
) -> None:
    async with at_work(churn, first, second, programs=(NORMAL, NORMAL)):
        assert first.operator is not None
        frozen_at = time.monotonic()
        first.operator.process.send_signal(signal.SIGSTOP)
        try:
            took = await leads(second) - frozen_at
            await until(frozen_at + FROZEN_SECONDS)
        finally:
            first.operator.process.send_signal(signal.SIGCONT)
        await asyncio.wait_for(first.operator.process.wait(), 30)
    await all_is_well_in_the_end(churn)
    report("take-over, frozen", f"{took:.1f} s from SIGSTOP to the successor's first change")
    never_both(first, second)
    assert took < TAKE_OVER_SECONDS
    assert first.operator.process.returncode != 0


def skewed(seconds: int) -> tuple[str, ...]:
    """An operator whose clock is so far ahead."""
    return (SKEWED, str(seconds))


async def clock_of_holder(world: World) -> float:
    """How many seconds it is ahead."""
    renewed = datetime.fromisoformat((await world.api.get(LEASE))["spec"]["renewTime"])
    return (renewed - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize(
    "programs",
    [
        pytest.param((NORMAL, skewed(SKEW_SECONDS)), id="the standby's clock is ahead"),
        pytest.param((skewed(SKEW_SECONDS), NORMAL), id="the leader's clock is ahead"),
    ],
)
async def test_with_a_wrong_clock_nobody_takes_over_from_a_leader_that_lives(
    churn: Churn, first: Seat, second: Seat, programs: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    async with at_work(churn, first, second, programs=programs):
        # Twice the lease duration: by the standby's clock the Lease has expired, or is good for long, all the time.
        await until(time.monotonic() + 30)
        assert second.mutation_times() == []
        ahead = [await clock_of_holder(churn.world)]
        killed_at = time.monotonic()
        await first.kill()
        took = await leads(second) - killed_at
        ahead.append(await clock_of_holder(churn.world))
    # The clocks really were wrong: who holds the Lease writes its time into it.
    assert [round(seconds, -1) for seconds in ahead] == [SKEW_SECONDS * (one != NORMAL) for one in programs]
    await all_is_well_in_the_end(churn)
    who = "standby" if programs[0] == NORMAL else "leader"
    report(f"take-over, SIGKILL, {who} ahead", f"{took:.1f} s from SIGKILL to the successor's first change")
    never_both(first, second)
    assert took < TAKE_OVER_SECONDS


async def test_a_leader_that_is_stopped_hands_over_at_once(churn: Churn, first: Seat, second: Seat) -> None:
    async with at_work(churn, first, second, programs=(NORMAL, NORMAL)):
        assert first.operator is not None
        stopping = await first.operator.stop()
        stopped_at = time.monotonic()
        took = await leads(second) - stopped_at
    await all_is_well_in_the_end(churn)
    told = f"{took:.1f} s from the old leader's end, {stopping:.1f} s after SIGTERM, to the successor's first change"
    report("take-over, clean exit", told)
    never_both(first, second)
    assert took < HANDED_OVER_SECONDS
    assert first.operator.process.returncode == 0
