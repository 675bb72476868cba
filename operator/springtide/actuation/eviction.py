"""Evicting pods through the Eviction API: budgets respected, refusals retried, ends waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from weakref import WeakValueDictionary

from springtide.actuation.patience import growing, passes, patiently
from springtide.actuation.ports import Fence, NodeApi
from springtide.actuation.residents import grace_seconds
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError
from springtide.cluster.records import PodRecord
from springtide.planning.scale_down.budgets import BudgetIndex


@dataclass(frozen=True, slots=True)
class EvictionLimits:
    """What the pool's settings and PodDisruptionBudgets say of evictions."""

    max_grace: timedelta
    retry_for: timedelta
    """maxPodEvictionTime"""
    budgets: BudgetIndex = field(default_factory=lambda: BudgetIndex(()))


@dataclass(frozen=True, slots=True)
class EvictionWitness:
    """Told of what happens to each pod, while it happens."""

    evicted: Callable[[PodRecord, int], None]
    """Pod, grace in seconds."""
    blocked: Callable[[PodRecord, str, timedelta], None]
    """Pod, the API server's message, how long it is tried yet. Once for each pod."""


@dataclass(frozen=True, slots=True)
class NotEvicted:
    """A pod that did not go."""

    pod: PodRecord
    message: str
    evicted: bool
    """True: the eviction was accepted, but the pod is still there."""


class Evictor:
    """Evicts the pods of nodes."""

    def __init__(self, nodes: NodeApi, *, fence: Fence, settings: ActuationSettings) -> None:
        self._nodes = nodes
        self._fence = fence
        self._settings = settings
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()
        """By namespace and name of a PodDisruptionBudget; there as long as somebody holds or awaits it."""

    async def drain(
        self, node: str, pods: Sequence[PodRecord], *, limits: EvictionLimits, witness: EvictionWitness
    ) -> NotEvicted | None:
        """Evict these pods of the node and wait until they are gone; the first that would not go, or None.

        Takes at most `limits.retry_for`, then the longest grace and 30 s. Raises MutationForbidden, KubeError.
        """
        door = asyncio.Semaphore(self._settings.parallel_evictions)

        async def one(pod: PodRecord) -> NotEvicted | None:
            async with door:
                first_refusal = await self._try(node, pod, limits=limits, witness=witness)
            if first_refusal is None:
                return None
            # Outside the door: pods that wait for their budget must not keep the others from being asked for.
            return await self._insist(node, pod, first_refusal, limits=limits, witness=witness)

        # A task group, so that a failure of one ends all, and nothing goes on evicting behind a rollback.
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(one(pod)) for pod in pods]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for task in asked:
            refused = task.result()
            if refused is not None:
                return refused
        return await self._wait_until_gone(node, pods, limits=limits)

    async def evict_best_effort(
        self, node: str, pods: Sequence[PodRecord], *, limits: EvictionLimits, witness: EvictionWitness
    ) -> None:
        """Ask once for each pod's eviction; a refusal is no failure, and nothing is waited for."""
        for pod in pods:
            await self._try(node, pod, limits=replace(limits, retry_for=timedelta(0)), witness=witness)

    async def _try(
        self, node: str, pod: PodRecord, *, limits: EvictionLimits, witness: EvictionWitness
    ) -> KubeError | None:
        """One attempt; None when the pod was evicted or is gone."""
        grace = grace_seconds(pod, most=limits.max_grace)
        try:
            async with (
                self._turn(pod, limits.budgets),
                self._fence.mutation(at_most=self._settings.kube_call_timeout),
            ):
                await self._nodes.evict(pod, grace_seconds=grace)
        except TimeoutError:
            return ApiUnreachable(f"eviction of pod {pod.namespace}/{pod.name}: no answer in time")
        except KubeError as error:
            if await self._is_gone(node, pod, error):
                return None
            return error
        witness.evicted(pod, grace)
        return None

    @asynccontextmanager
    async def _turn(self, pod: PodRecord, budgets: BudgetIndex) -> AsyncIterator[None]:
        """Only so many evictions at a time ask the same budget, on whatever nodes.

        Each writes the budget's status, and one that meets another there sleeps half a second in the API server
        before it tries again (EvictionsRetry in kubernetes pkg/registry/core/pod/storage/eviction.go). Measured: 190
        evictions under one budget take 35 s one after another and 10 s with 12 at a time; more are no faster, and hold
        the connections that other removals need.
        """
        covering = budgets.covering(pod)
        if not covering:
            yield
            return
        key = (covering[0].namespace, covering[0].name)
        turn = self._turns.setdefault(key, asyncio.Semaphore(self._settings.parallel_evictions_of_budget))
        async with turn:
            yield

    async def _is_gone(self, node: str, pod: PodRecord, error: KubeError) -> bool:
        if not isinstance(error, ApiError):
            return False
        if error.status == 404:
            return True
        if error.status != 409:
            return False
        # Either the name belongs to another pod by now (uid precondition), or the budget was changed meanwhile.
        present = await patiently(lambda: self._nodes.pods_on(node), patience=self._settings.read_patience)
        return all(other.uid != pod.uid for other in present)

    async def _insist(
        self,
        node: str,
        pod: PodRecord,
        refusal: KubeError,
        *,
        limits: EvictionLimits,
        witness: EvictionWitness,
    ) -> NotEvicted | None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + limits.retry_for.total_seconds()
        announced = False
        for wait in growing(first=self._settings.eviction_first_retry, most=self._settings.eviction_retry):
            if not _may_pass(refusal):
                return NotEvicted(pod, str(refusal), evicted=False)
            if _is_budget(refusal) and not announced:
                announced = True
                witness.blocked(pod, _message(refusal), timedelta(seconds=give_up_at - loop.time()))
            pause = _pause(refusal, wait, most=self._settings.eviction_retry)
            if loop.time() + pause > give_up_at:
                return NotEvicted(pod, _message(refusal), evicted=False)
            await asyncio.sleep(pause)
            again = await self._try(node, pod, limits=limits, witness=witness)
            if again is None:
                return None
            refusal = again
        raise AssertionError("unreachable: the waits are endless")

    async def _wait_until_gone(
        self, node: str, pods: Sequence[PodRecord], *, limits: EvictionLimits
    ) -> NotEvicted | None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        due = {
            pod.uid: started + grace_seconds(pod, most=limits.max_grace) + self._settings.termination_slack
            for pod in pods
        }
        pauses = growing(first=self._settings.pod_poll_first, most=self._settings.pod_poll_interval)
        while due:
            present = await patiently(
                lambda: self._nodes.pods_on(node), patience=self._settings.read_patience
            )
            left = [pod for pod in present if pod.uid in due and not pod.finished]
            overdue = next((pod for pod in left if due[pod.uid] <= loop.time()), None)
            if overdue is not None:
                return NotEvicted(overdue, "still there after its grace", evicted=True)
            if not left:
                return None
            await asyncio.sleep(next(pauses))
        return None


def _is_budget(error: KubeError) -> bool:
    return isinstance(error, ApiError) and error.status == 429 and "DisruptionBudget" in error.causes


def _may_pass(error: KubeError) -> bool:
    return passes(error) or (isinstance(error, ApiError) and error.status == 409)


def _pause(error: KubeError, wait: float, *, most: float) -> float:
    # For a budget the API server's hint is a constant of 10 s, or none; only an overloaded server's own hint may
    # lengthen the wait.
    hint = getattr(error, "retry_after", None) or 0.0
    return min(max(wait, hint), most) if _is_budget(error) else max(wait, hint)


def _message(error: KubeError) -> str:
    if not isinstance(error, ApiError):
        return str(error)
    details = [str(cause.get("message", "")) for cause in error.details.get("causes") or ()]
    return "; ".join(text for text in [error.message, *details] if text)
