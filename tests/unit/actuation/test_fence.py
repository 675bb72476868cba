"""The fence around each mutation: no right, no call; and no call that outlives the right to make it."""

from __future__ import annotations

import asyncio

import pytest

from springtide.actuation.ports import Fence, MutationForbidden
from springtide.cluster.api_errors import ApiError
from springtide.leadership.gate import MutationGate

pytestmark = pytest.mark.looptime


def loop_time() -> float:
    return asyncio.get_running_loop().time()


async def call_of(seconds: float, *, fence: Fence, at_most: float) -> None:
    async with fence.mutation(at_most=at_most):
        await asyncio.sleep(seconds)


async def test_nothing_is_sent_through_a_closed_gate() -> None:
    gate = MutationGate(loop_time)
    gate.close("another process leads")
    with pytest.raises(MutationForbidden, match="another process leads"):
        await call_of(1, fence=Fence(gate), at_most=10)
    assert loop_time() == 0


@pytest.mark.parametrize(
    ("lease_left", "at_most", "ends_after"),
    [
        pytest.param(60, 20, 20, id="its own deadline when that is shorter"),
        pytest.param(7, 20, 7, id="what is left of the lease when that is shorter"),
    ],
)
async def test_a_mutation_ends_within_the_lease(lease_left: float, at_most: float, ends_after: float) -> None:
    gate = MutationGate(loop_time)
    gate.open_until(lease_left)
    with pytest.raises(TimeoutError):
        await call_of(3600, fence=Fence(gate), at_most=at_most)
    assert loop_time() == ends_after


async def test_a_renewal_does_not_lengthen_a_mutation_under_way() -> None:
    gate = MutationGate(loop_time)
    gate.open_until(7)
    asyncio.get_running_loop().call_later(5, gate.open_until, 60)
    with pytest.raises(TimeoutError):
        await call_of(3600, fence=Fence(gate), at_most=20)
    assert loop_time() == 7


async def test_a_quick_call_is_not_disturbed() -> None:
    await call_of(1, fence=Fence(MutationGate.always_open()), at_most=10)
    assert loop_time() == 1


async def test_a_call_whose_answer_was_not_heard_may_take_effect_for_a_while() -> None:
    fence = Fence(MutationGate.always_open())
    assert fence.heard_out
    with pytest.raises(TimeoutError):
        await call_of(3600, fence=fence, at_most=1)
    assert not fence.heard_out
    await asyncio.sleep(10.1)
    assert fence.heard_out


async def test_an_answer_that_is_no_is_an_answer() -> None:
    fence = Fence(MutationGate.always_open())
    with pytest.raises(ApiError):
        async with fence.mutation(at_most=1):
            raise ApiError(status=409)
    assert fence.heard_out
