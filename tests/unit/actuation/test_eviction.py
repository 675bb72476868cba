"""Evictions: graces, budgets, retries, successors of the same name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

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
        pytest.param([budget(100)], 32, id="under one budget, 32 of all nodes together"),
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


# --- priorities --------------------------------------------------------------------------------------------------


def prioritised(name: str, priority: int, **fields: Any) -> PodRecord:
    return pod(name, priority=priority, **fields)


async def test_lower_priorities_go_first_and_higher_ones_wait_until_they_are_gone() -> None:
    drain = Drain(
        prioritised("dns", 2000), prioritised("db", 10), prioritised("web-1", 0), prioritised("web-2", 0)
    )
    left: list[set[str]] = []
    drain.nodes.watch = lambda: left.append({each.name for _, each in drain.nodes.pods.values()})
    assert await drain.run() is None
    assert [name for name, _ in drain.nodes.evictions] == ["web-1", "web-2", "db", "dns"]
    assert left[2:] == [{"db", "dns"}, {"dns"}]


async def test_pods_that_end_slowly_hold_up_higher_priorities_no_longer_than_their_grace() -> None:
    slow = prioritised("web", 0, termination_grace_seconds=60)
    drain = Drain(slow, prioritised("db", 10))
    drain.nodes.stubborn.add("web")
    begun = asyncio.get_running_loop().time()
    asked: list[float] = []
    drain.nodes.watch = lambda: asked.append(asyncio.get_running_loop().time() - begun)
    left = await drain.run()
    assert left is not None
    assert (left.pod.name, left.evicted) == ("web", True)
    assert asked[1] == pytest.approx(60, abs=3)


async def test_many_priorities_wait_no_longer_than_the_longest_grace_altogether() -> None:
    pods = [prioritised(f"p{number}", number, termination_grace_seconds=600) for number in range(10)]
    drain = Drain(*pods)
    drain.nodes.stubborn.update(each.name for each in pods)
    begun = asyncio.get_running_loop().time()
    asked: list[float] = []
    drain.nodes.watch = lambda: asked.append(asyncio.get_running_loop().time() - begun)
    await drain.run(replace(LIMITS, max_grace=timedelta(minutes=5)))
    assert len(asked) == 10
    assert max(asked) < 310


async def test_a_pod_that_waits_for_its_budget_does_not_hold_up_higher_priorities() -> None:
    drain = Drain(prioritised("web", 0), prioritised("db", 10))
    drain.nodes.fail("evict", blocked_by_budget(), times=3)
    begun = asyncio.get_running_loop().time()
    assert await drain.run() is None
    assert asyncio.get_running_loop().time() - begun < 15


async def test_when_one_will_not_go_those_of_higher_priority_are_not_asked() -> None:
    drain = Drain(prioritised("web", 0), prioritised("db", 10))
    drain.nodes.fail("evict", ApiError(status=403, reason="Forbidden", message="no"), times=1000)
    left = await drain.run()
    assert left is not None
    assert left.pod.name == "web"
    assert drain.nodes.calls.count("evict") == 1


# --- several nodes under one budget ------------------------------------------------------------------------------


class Tight(FakeNodes):
    """A cloud of pods whose budget allows one of them to be away, for so many seconds until its successor is ready."""

    def __init__(self, *, successor_takes: float) -> None:
        super().__init__(Pauses())
        self.away = 0
        self._takes = successor_takes

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        if self.away:
            self.calls.append("evict")
            raise blocked_by_budget()
        self.away += 1
        await super().evict(pod, grace_seconds=grace_seconds)
        asyncio.get_running_loop().call_later(self._takes, self._ready)

    def _ready(self) -> None:
        self.away -= 1


async def drains_of_two_nodes(*, pods: int, successor_takes: float) -> tuple[Tight, list[NotEvicted | None]]:
    nodes = Tight(successor_takes=successor_takes)
    evictor = Evictor(nodes, fence=Fence(MutationGate.always_open()), settings=ActuationSettings())
    limits = replace(LIMITS, budgets=BudgetIndex([budget(1)]))
    witness = EvictionWitness(evicted=lambda pod, grace: None, blocked=lambda pod, message, rest: None)
    residents = {name: [pod(f"{name}-{number}") for number in range(pods)] for name in ("a", "b")}
    for name, there in residents.items():
        for each in there:
            nodes.land(name, each)
    drains = [evictor.drain(name, there, limits=limits, witness=witness) for name, there in residents.items()]
    return nodes, await asyncio.gather(*drains)


async def test_two_nodes_that_share_a_short_budget_go_one_after_the_other() -> None:
    nodes, left = await drains_of_two_nodes(pods=3, successor_takes=8)
    assert left == [None, None]
    order = [name[0] for name, _ in nodes.evictions]
    assert order in ([*"aaabbb"], [*"bbbaaa"])


async def test_when_the_time_is_too_short_for_both_one_goes_all_the_same() -> None:
    """Each by itself would take a minute and a half of its two; shared, neither would be empty in time."""
    nodes, left = await drains_of_two_nodes(pods=6, successor_takes=18)
    assert left.count(None) == 1
    assert len(nodes.evictions) <= 7


async def test_who_waits_for_its_turn_says_so() -> None:
    _, left = await drains_of_two_nodes(pods=6, successor_takes=50)
    waits = "PodDisruptionBudget default/web-pdb is short, and it is the turn of node a"
    assert waits in [each.message for each in left if each is not None]


async def test_a_node_that_gives_up_makes_way_for_the_next() -> None:
    nodes = Tight(successor_takes=1000)
    evictor = Evictor(nodes, fence=Fence(MutationGate.always_open()), settings=ActuationSettings())
    limits = replace(LIMITS, budgets=BudgetIndex([budget(1)]))
    witness = EvictionWitness(evicted=lambda pod, grace: None, blocked=lambda pod, message, rest: None)
    first, second = pod("first"), pod("second")
    nodes.land("a", first)
    nodes.land("b", second)
    nodes.away = 1
    assert await evictor.drain("a", [first], limits=limits, witness=witness) is not None
    nodes.away = 0
    assert await evictor.drain("b", [second], limits=limits, witness=witness) is None
