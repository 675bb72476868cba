"""Evictions: graces, budgets, retries, successors of the same name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from springtide.actuation.eviction import EvictionLimits, EvictionWitness, Evictor, NotEvicted
from springtide.actuation.ports import Fence, MutationForbidden
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.api_errors import ApiError, ApiUnreachable
from springtide.cluster.records import DisruptionBudget, PodRecord
from springtide.leadership.gate import MutationGate
from springtide.planning.scale_down.budgets import BudgetIndex
from tests.unit.actuation.world import FakeNodes, Pauses, blocked_by_budget, budget, pod

pytestmark = pytest.mark.looptime

LIMITS = EvictionLimits(max_grace=timedelta(minutes=10), retry_for=timedelta(minutes=2))
OVERLOADED = ApiError(status=429, reason="TooManyRequests", message="too many requests", retry_after=7)


class Drain:
    """One node "n" with pods, drained by an Evictor."""

    def __init__(self, *pods: PodRecord, forbidden: str = "") -> None:
        self.nodes = FakeNodes(Pauses())
        self.pods = pods
        self.told: list[str] = []
        for each in pods:
            self.nodes.land("n", each)
        gate = MutationGate.always_open()
        if forbidden:
            gate.close(forbidden)
        self._evictor = Evictor(self.nodes, fence=Fence(gate), settings=ActuationSettings())

    async def run(self, limits: EvictionLimits = LIMITS) -> NotEvicted | None:
        witness = EvictionWitness(
            evicted=lambda pod, grace: self.told.append(f"{pod.name} evicted, {grace} s"),
            blocked=lambda pod, message, rest: self.told.append(f"{pod.name} blocked"),
        )
        return await self._evictor.drain("n", self.pods, limits=limits, witness=witness)


@pytest.mark.parametrize(
    ("own", "most", "given"),
    [
        pytest.param(30, 600, 30, id="its own when that is shorter"),
        pytest.param(3600, 600, 600, id="capped by maxGracefulTermination"),
        pytest.param(0, 600, 0, id="none when it wants none"),
    ],
)
async def test_a_pod_gets_the_grace(own: int, most: int, given: int) -> None:
    drain = Drain(pod("web", termination_grace_seconds=own))
    assert await drain.run(replace(LIMITS, max_grace=timedelta(seconds=most))) is None
    assert drain.nodes.evictions == [("web", given)]


async def test_a_budget_that_frees_up_lets_the_drain_finish_and_is_told_once() -> None:
    drain = Drain(pod("web"))
    drain.nodes.fail("evict", blocked_by_budget(), times=4)
    assert await drain.run() is None
    assert drain.told == ["web blocked", "web evicted, 30 s"]


async def test_pods_that_wait_for_their_budget_do_not_hold_up_the_others() -> None:
    drain = Drain(*(pod(f"web-{number}") for number in range(50)))
    drain.nodes.fail("evict", blocked_by_budget(), times=20)
    begun = asyncio.get_running_loop().time()
    assert await drain.run() is None
    assert asyncio.get_running_loop().time() - begun < 5


async def test_attempts_are_at_most_ten_seconds_apart() -> None:
    drain = Drain(pod("web"))
    drain.nodes.fail("evict", blocked_by_budget(), times=1000)
    refused = await drain.run()
    assert refused is not None
    assert not refused.evicted
    assert drain.nodes.calls.count("evict") >= 12


async def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks() -> None:
    drain = Drain(pod("web"))
    drain.nodes.fail("evict", OVERLOADED, times=1)
    begun = asyncio.get_running_loop().time()
    assert await drain.run() is None
    assert asyncio.get_running_loop().time() - begun > 7
    assert drain.told == ["web evicted, 30 s"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ApiError(status=500, message="more than one PodDisruptionBudget"), id="500"),
        pytest.param(ApiError(status=409, message="the budget was modified"), id="409"),
        pytest.param(ApiUnreachable("connection reset"), id="no answer"),
    ],
)
async def test_is_tried_again_after(error: Exception) -> None:
    drain = Drain(pod("web"))
    drain.nodes.fail("evict", error, times=3)  # type: ignore[arg-type]
    assert await drain.run() is None
    assert drain.nodes.evictions == [("web", 30)]


async def test_what_never_passes_is_not_tried_again() -> None:
    drain = Drain(pod("web"))
    drain.nodes.fail("evict", ApiError(status=403, reason="Forbidden", message="no"), times=1000)
    refused = await drain.run()
    assert refused is not None
    assert drain.nodes.calls.count("evict") == 1


async def test_a_pod_that_went_by_itself_is_gone() -> None:
    drain = Drain(pod("web"))
    drain.nodes.pods.clear()
    assert await drain.run() is None
    assert drain.told == []


async def test_a_successor_of_the_same_name_is_not_evicted() -> None:
    drain = Drain(pod("db-0"))
    drain.nodes.pods.clear()
    drain.nodes.land("another node", pod("db-0"))
    assert await drain.run() is None
    assert drain.nodes.evictions == []


async def test_without_leave_to_act_no_pod_is_evicted() -> None:
    drain = Drain(pod("web-1"), pod("web-2"), forbidden="the lease is lost")
    with pytest.raises(MutationForbidden, match="the lease is lost"):
        await drain.run()
    assert drain.nodes.calls == []


async def test_a_failure_of_one_eviction_ends_the_others() -> None:
    drain = Drain(*(pod(f"web-{number}") for number in range(5)))
    drain.nodes.fail("evict", ApiError(status=409, message="race"), times=1)
    drain.nodes.fail("evict", blocked_by_budget(), times=1000)
    drain.nodes.fail("pods_on", ApiError(status=403, reason="Forbidden", message="pods is forbidden"))
    with pytest.raises(ApiError, match="pods is forbidden"):
        await drain.run()
    calls = len(drain.nodes.calls)
    await asyncio.sleep(60)
    assert len(drain.nodes.calls) == calls


class CountingNodes(FakeNodes):
    """Knows how many evictions were under way at the same time."""

    def __init__(self) -> None:
        super().__init__(Pauses())
        self.under_way = self.most = 0

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await super().evict(pod, grace_seconds=grace_seconds)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize(
    ("budgets", "most"),
    [
        pytest.param([budget(100)], 12, id="under one budget, twelve of all nodes together"),
        pytest.param([budget(100, app="other")], 60, id="under none, twenty of each node"),
    ],
)
async def test_so_many_evictions_are_asked_for_at_a_time(budgets: list[DisruptionBudget], most: int) -> None:
    nodes = CountingNodes()
    evictor = Evictor(nodes, fence=Fence(MutationGate.always_open()), settings=ActuationSettings())
    limits = replace(LIMITS, budgets=BudgetIndex(budgets))
    witness = EvictionWitness(evicted=lambda *_: None, blocked=lambda *_: None)

    async def drain(node: str) -> NotEvicted | None:
        pods = [pod() for _ in range(30)]
        for each in pods:
            nodes.land(node, each)
        return await evictor.drain(node, pods, limits=limits, witness=witness)

    assert await asyncio.gather(*map(drain, "abc")) == [None, None, None]
    assert nodes.most == most
