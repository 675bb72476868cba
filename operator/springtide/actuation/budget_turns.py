"""Whose turn it is where removals share a PodDisruptionBudget.

A budget that has become short is used by one node at a time, in the order in which they were refused. Were it used by all
at once, each would get some of its pods out and none all of them: they would time out together, and nothing would be gone
but pods that had to move for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from springtide.cluster.records import PodRecord
from springtide.planning.scale_down.budgets import BudgetIndex, BudgetKey


def budget_of(pod: PodRecord, budgets: BudgetIndex) -> BudgetKey | None:
    """The budget that the API server asks when the pod is evicted; a pod with several cannot be evicted at all."""
    covering = budgets.covering(pod)
    return (covering[0].namespace, covering[0].name) if covering else None


class BudgetTurns:
    """Shared by all removals of the process; another process begins with empty queues."""

    def __init__(self, *, at_a_time: int) -> None:
        """`at_a_time`: requests for evictions that may ask one budget at the same moment."""
        self._at_a_time = at_a_time
        self._doors: WeakValueDictionary[BudgetKey, asyncio.Semaphore] = WeakValueDictionary()
        """There as long as somebody is inside, or waits to be."""
        self._queues: dict[BudgetKey, dict[str, set[str]]] = {}
        """Budget -> the nodes that wait for it, first come first -> uids of their pods that were refused."""

    @asynccontextmanager
    async def door(self, budget: BudgetKey | None) -> AsyncIterator[None]:
        """Only so many evictions at a time ask the same budget, on whatever nodes.

        Each writes the budget's status, and one that meets another there sleeps half a second in the API server
        before it tries again (EvictionsRetry in kubernetes pkg/registry/core/pod/storage/eviction.go). Measured, for 190
        evictions under one budget, single runs on two cores under varying load: 35 s one after another, 9 to 24 s with 12
        at a time, 12 s with 32; 64 and 200 were no faster, and hold the connections that other removals need.
        """
        if budget is None:
            yield
            return
        door = self._doors.setdefault(budget, asyncio.Semaphore(self._at_a_time))
        async with door:
            yield

    def before(self, node: str, budget: BudgetKey | None) -> str:
        """The node whose turn it is; empty: it is this one's, or nobody waits."""
        queue = self._queues.get(budget, {}) if budget is not None else {}
        first = next(iter(queue), node)
        return "" if first == node else first

    def wait(self, node: str, budget: BudgetKey, pod: PodRecord) -> None:
        """The pod waits for its budget: its node takes its place in the queue, if it has none."""
        self._queues.setdefault(budget, {}).setdefault(node, set()).add(pod.uid)

    def served(self, node: str, budget: BudgetKey, pod: PodRecord) -> None:
        """The pod waits no longer; with its last one the node leaves the queue."""
        queue = self._queues.get(budget, {})
        waiting = queue.get(node)
        if waiting is None:
            return
        waiting.discard(pod.uid)
        if not waiting:
            del queue[node]
        if not queue:
            self._queues.pop(budget, None)

    @contextmanager
    def drain(self, node: str) -> Iterator[None]:
        """When the drain ends, however it does, the node leaves all queues."""
        try:
            yield
        finally:
            for queue in self._queues.values():
                queue.pop(node, None)
            self._queues = {budget: queue for budget, queue in self._queues.items() if queue}
