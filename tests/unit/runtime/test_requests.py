"""Coalescing of pass requests, in virtual time."""

import asyncio

import pytest

from springtide.runtime.requests import PassRequests

pytestmark = pytest.mark.looptime


async def test_a_lone_wake_starts_a_pass_after_the_settle_time() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.wake("pod")
    batch = await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.2)
    assert batch.causes == {"pod": 1}


async def test_a_burst_makes_one_pass_after_it_calms_down() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)

    async def burst() -> None:
        for _ in range(5):
            requests.wake("pod")
            await asyncio.sleep(0.1)

    task = asyncio.create_task(burst())
    batch = await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.6)
    assert batch.causes == {"pod": 5}
    await task


async def test_an_endless_burst_waits_no_longer_than_settle_max() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)

    async def burst() -> None:
        while True:
            requests.wake("pod")
            await asyncio.sleep(0.1)

    task = asyncio.create_task(burst())
    await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(2.0)
    task.cancel()


async def test_a_scan_needs_no_settling() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.wake("scan", settle=False)
    await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.0)


async def test_a_scan_does_not_cut_a_burst_short() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.wake("pod")
    requests.wake("scan", settle=False)
    await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.2)


async def test_everyone_who_asked_gets_the_outcome_and_late_comers_the_next() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    early = [asyncio.create_task(requests.ask("scan")) for _ in range(2)]
    batch = await requests.next()
    late = asyncio.create_task(requests.ask("scan"))
    await asyncio.sleep(0)
    batch.answer("first")
    assert await asyncio.gather(*early) == ["first", "first"]
    (await requests.next()).answer("second")
    assert await late == "second"


async def test_what_goes_on_prolongs_the_settling_but_starts_none() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.prolong()
    requests.wake("pod")
    for _ in range(4):
        await asyncio.sleep(0.1)
        requests.prolong()
    await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.6)


async def test_a_second_request_about_the_same_is_no_news() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.wake("pod", about="shape-1")
    await asyncio.sleep(0.1)
    requests.wake("pod", about="shape-1")
    batch = await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.2)
    assert batch.causes == {"pod": 2}


async def test_a_request_about_something_else_is() -> None:
    requests: PassRequests[str] = PassRequests(settle=0.2, settle_max=2.0)
    requests.wake("pod", about="shape-1")
    await asyncio.sleep(0.1)
    requests.wake("pod", about="shape-2")
    await requests.next()
    assert asyncio.get_running_loop().time() == pytest.approx(0.3)
