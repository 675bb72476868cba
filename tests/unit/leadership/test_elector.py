"""The elector: one leads, another takes over, and whatever goes wrong, never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import looptime
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.leadership.elector import Candidate, Elector
from springtide.leadership.lease import LeaseTimes
from tests.unit.leadership.election import Election, Spell, Trouble, WatchedGate, loop_time

pytestmark = pytest.mark.looptime


@pytest_asyncio.fixture
async def election() -> AsyncIterator[Election]:
    """Whatever a test does, never were two gates open at once."""
    made = Election()
    # As shipped: the Lease is there, and nobody holds it.
    made.server.create({"kind": "Lease", "metadata": {"name": "springtide"}, "spec": {}})
    yield made
    await made.over()


async def test_a_lone_candidate_leads_at_once_and_goes_on(election: Election) -> None:
    alone = election.candidate("a")
    assert await election.until(lambda: alone.leads, within=1) < 0.2
    await asyncio.sleep(3600)
    assert alone.leads
    assert alone.losses == []
    assert election.server.holder == "a_1"
    assert election.server.lease is not None
    assert election.server.lease["spec"]["leaseTransitions"] == 1


async def test_it_renews_every_retry_period(election: Election) -> None:
    election.candidate("a")
    await asyncio.sleep(60)
    times = [at for at, _ in election.server.writes[1:]]
    assert {round(later - earlier, 3) for earlier, later in pairwise(times)} == {2.0}


async def test_a_lease_given_back_is_taken_within_a_retry_period(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(30)
    assert not second.leads
    assert await first.stop()
    assert await election.until(lambda: second.leads, within=2) < 1.5


async def test_a_dead_leaders_lease_runs_out(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(30)
    await first.kill()
    assert 13 < await election.until(lambda: second.leads, within=20) < 17


async def test_a_new_process_does_not_take_an_old_ones_lease_for_its_own(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    await first.kill()
    successor = election.candidate("a-again")
    assert 15 <= await election.until(lambda: successor.leads, within=20) < 17


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.REFUSED, Trouble.ANSWERS_LOST, Trouble.LATE])
async def test_a_leader_that_cannot_renew_gives_up_before_another_leads(
    election: Election, trouble: Trouble
) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(30)
    first.link.spells.append(Spell(trouble, loop_time(), loop_time() + 60))
    assert await election.until(lambda: not first.leads, within=20) <= 10.1
    # Renewals whose answers are lost prolong the lease all the same.
    assert await election.until(lambda: second.leads, within=20) < 17
    assert "could not be renewed within 10 s" in first.losses[0]


@pytest.mark.parametrize("trouble", list(Trouble))
async def test_a_short_trouble_costs_nothing(election: Election, trouble: Trouble) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    election.candidate("b")
    await asyncio.sleep(30)
    first.link.spells.append(Spell(trouble, loop_time(), loop_time() + 6))
    await asyncio.sleep(60)
    assert first.leads
    assert first.losses == []


@pytest.mark.parametrize("trouble", [Trouble.FROZEN_BEFORE, Trouble.FROZEN_AFTER])
async def test_a_process_that_was_frozen_wakes_up_before_a_closed_gate(
    election: Election, trouble: Trouble
) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(30)
    first.link.spells.append(Spell(trouble, loop_time(), loop_time() + 60))
    await asyncio.sleep(59)
    assert second.leads
    assert "the lease was not renewed in time" in first.gate.why_closed()
    await asyncio.sleep(5)
    assert len(first.losses) == 1
    assert election.leaders == [second]


async def test_a_deleted_lease_is_made_anew_by_its_holder(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(30)
    election.server.delete()
    await asyncio.sleep(60)
    assert election.leaders == [first]
    assert not second.leads
    assert first.losses == []
    assert election.server.holder == "a_1"


async def test_a_deleted_lease_of_a_leader_that_is_cut_off_is_waited_for(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    election.candidate("b")
    await asyncio.sleep(30)
    first.link.spells.append(Spell(Trouble.CUT, loop_time(), loop_time() + 60))
    election.server.delete()
    newcomer = election.candidate("c")
    await asyncio.sleep(14)
    assert election.leaders == []
    await election.until(lambda: len(election.leaders) == 1, within=5)
    assert newcomer.losses == []


async def test_a_lease_taken_away_by_hand_is_lost(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    await asyncio.sleep(30)
    lease = dict(election.server.read() or {})
    election.server.replace({**lease, "spec": {**lease["spec"], "holderIdentity": "somebody"}})
    assert await election.until(lambda: bool(first.losses), within=5) < 2.5
    assert first.losses == ["Lease springtide-system/springtide was taken from us: somebody holds it"]


async def test_others_fields_of_the_lease_survive(election: Election) -> None:
    assert election.server.lease is not None
    election.server.lease["metadata"]["labels"] = {"team": "infra"}
    election.server.lease["spec"]["strategy"] = "OldestEmulationVersion"
    first = election.candidate("a")
    await asyncio.sleep(10)
    await first.stop()
    lease: Any = election.server.lease
    assert lease["metadata"]["labels"] == {"team": "infra"}
    assert lease["spec"]["strategy"] == "OldestEmulationVersion"
    assert lease["spec"]["holderIdentity"] == ""
    assert lease["spec"]["leaseDurationSeconds"] == 1


async def test_the_first_start_of_all_waits_for_a_leader_that_may_be_there(election: Election) -> None:
    election.server.delete()
    first = election.candidate("a")
    assert 15 <= await election.until(lambda: first.leads, within=20) < 16


async def test_giving_back_what_one_never_had_touches_nothing(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    second = election.candidate("b")
    await asyncio.sleep(5)
    assert await second.stop()
    await asyncio.sleep(60)
    assert election.leaders == [first]


async def test_giving_back_is_tried_again_when_the_last_renewal_is_in_doubt(election: Election) -> None:
    first = election.candidate("a")
    await election.until(lambda: first.leads, within=1)
    first.link.spells.append(Spell(Trouble.ANSWERS_LOST, loop_time(), loop_time() + 3))
    await asyncio.sleep(3.1)
    assert await first.stop()
    assert election.server.holder == ""


async def test_a_defect_closes_the_gate(election: Election) -> None:
    class Broken:
        async def read(self, **_: Any) -> Any:
            return election.server.read()

        async def create(self, lease: Any, **_: Any) -> Any:
            return election.server.create(lease)

        async def replace(self, lease: Any, **_: Any) -> Any:
            if loop_time() > 5:
                raise ZeroDivisionError("a defect")
            return election.server.replace(lease)

    gate = WatchedGate(loop_time, election)
    elector = Elector(Broken(), Candidate(identity="a", namespace="ns"), gate=gate, clock=loop_time)
    await elector.campaign()
    with pytest.raises(ZeroDivisionError):
        await elector.hold()
    assert gate.why_closed() == "a defect"


# --- whatever happens -------------------------------------------------------------------------------------------------

HORIZON = 120.0

spells = st.builds(
    lambda trouble, begins, lasts: Spell(trouble, begins, begins + lasts),
    st.sampled_from(Trouble),
    st.floats(0, HORIZON),
    st.floats(0.1, 40),
)
acts = st.tuples(
    st.floats(0, HORIZON), st.sampled_from(["kill", "stop", "start", "delete the Lease"]), st.integers(0, 2)
)
candidates = st.tuples(
    # Clocks began anywhere; wall clocks differ by minutes, speeds by half a percent.
    st.floats(-10, 1e6),
    st.floats(0.995, 1.005),
    st.lists(spells, max_size=6),
)


@settings(max_examples=40, deadline=None)
@given(
    many=st.lists(candidates, min_size=2, max_size=3),
    what=st.lists(acts, max_size=6),
    duration=st.sampled_from([3.0, 15.0]),
)
def test_never_two_gates_are_open_and_in_the_end_one_is(
    many: list[tuple[float, float, list[Spell]]], what: list[tuple[float, str, int]], duration: float
) -> None:
    times = LeaseTimes(duration=duration, renew_deadline=duration * 2 / 3, retry_period=duration * 2 / 15)

    async def story() -> None:
        election = Election(times=times)
        for number, (skew, rate, troubles) in enumerate(many):
            election.candidate(f"p{number}", skew=skew, rate=rate).link.spells.extend(troubles)
        try:
            for at, deed, number in sorted(what):
                await asyncio.sleep(max(0.0, at - loop_time()))
                await _do(election, deed, number)
            await asyncio.sleep(max(0.0, HORIZON + 40 - loop_time()))
            await _all_are_up(election)
            await election.until(lambda: len(election.leaders) == 1, within=3 * duration + 5)
            leader = election.leaders[0]
            await asyncio.sleep(60)
            assert election.leaders == [leader], "nobody changes what works"
        finally:
            await election.over()

    loop = looptime.new_event_loop(noop_cycles=1)
    try:
        loop.run_until_complete(story())
    finally:
        loop.close()


async def _do(election: Election, deed: str, number: int) -> None:
    process = election.processes[number % len(election.processes)]
    match deed:
        case "kill":
            await process.kill()
        case "stop":
            await process.stop()
        case "start":
            await process.kill()
            process.start()
        case _:
            election.server.delete()


async def _all_are_up(election: Election) -> None:
    for process in election.processes:
        if process.is_dead:
            process.start()
