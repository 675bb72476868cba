"""Evicting pods through the Eviction API: budgets respected, refusals retried, ends waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from springtide.actuation.budget_turns import BudgetTurns, budget_of
from springtide.actuation.patience import growing, passes, patiently
from springtide.actuation.ports import Fence, NodeApi
from springtide.actuation.residents import grace_seconds
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.waves import patience_seconds, waves
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


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a pod was not evicted now."""

    message: str
    passes: bool
    """It may be evicted the next time."""
    by_budget: bool = False
    wait: float = 0.0
    """So many seconds the API server wants to be left alone."""


class _Stays(Exception):
    """A pod does not go, so the drain has failed."""

    def __init__(self, left: NotEvicted) -> None:
        super().__init__(left.message)
        self.left = left


class Evictor:
    """Evicts the pods of nodes."""

    def __init__(self, nodes: NodeApi, *, fence: Fence, settings: ActuationSettings) -> None:
        self._nodes = nodes
        self._fence = fence
        self._settings = settings
        self._turns = BudgetTurns(at_a_time=settings.parallel_evictions_of_budget)

    async def drain(
        self, node: str, pods: Sequence[PodRecord], *, limits: EvictionLimits, witness: EvictionWitness
    ) -> NotEvicted | None:
        """Evict these pods of the node, by priority, and wait until they are gone; the first that would not go, or None.

        Takes at most what pods wait for lower priorities, then `limits.retry_for`, then the longest grace and 30 s. Raises
        MutationForbidden, KubeError.
        """
        with self._turns.drain(node):
            return await self._drain(node, limits, witness).run(pods)

    async def evict_best_effort(
        self, node: str, pods: Sequence[PodRecord], *, limits: EvictionLimits, witness: EvictionWitness
    ) -> None:
        """Ask once for each pod's eviction, lower priorities first; a refusal is no failure, and nothing is waited
        for."""
        drain = self._drain(node, limits, witness)
        for wave in waves(pods):
            for pod in wave:
                await drain.ask(pod)

    def _drain(self, node: str, limits: EvictionLimits, witness: EvictionWitness) -> _Drain:
        return _Drain(
            node,
            nodes=self._nodes,
            fence=self._fence,
            settings=self._settings,
            turns=self._turns,
            limits=limits,
            witness=witness,
        )


class _Drain:
    """The evictions of one node."""

    def __init__(
        self,
        node: str,
        *,
        nodes: NodeApi,
        fence: Fence,
        settings: ActuationSettings,
        turns: BudgetTurns,
        limits: EvictionLimits,
        witness: EvictionWitness,
    ) -> None:
        self._node = node
        self._nodes = nodes
        self._fence = fence
        self._settings = settings
        self._turns = turns
        self._limits = limits
        self._witness = witness
        self._door = asyncio.Semaphore(settings.parallel_evictions)
        self._answered: set[str] = set()
        """Uids of the pods that were evicted, or refused at least once."""
        self._news = asyncio.Event()
        """Set when one more has been answered."""
        self._due: dict[str, float] = {}
        """Uid of an evicted pod -> when it must be gone, in the loop's time."""

    async def run(self, pods: Sequence[PodRecord]) -> NotEvicted | None:
        """The first pod that would not go: no other is asked to go after that. None: all are gone."""
        patience = patience_seconds(pods, most=self._limits.max_grace)
        go_on_at = asyncio.get_running_loop().time() + patience
        asked: set[str] = set()
        # A task group, so that a failure of one ends all, and nothing goes on evicting behind a rollback.
        try:
            async with asyncio.TaskGroup() as group:
                for wave in waves(pods):
                    await self._wait_for(asked, until=go_on_at)
                    for pod in wave:
                        group.create_task(self._evict(pod))
                    asked |= {pod.uid for pod in wave}
            await self._wait_until_gone(asked, until=None)
        except BaseExceptionGroup as failures:
            return _first(failures)
        except _Stays as stays:
            return stays.left
        return None

    async def ask(self, pod: PodRecord) -> _Refusal | None:
        """One attempt; None when the pod was evicted or is gone."""
        grace = grace_seconds(pod, most=self._limits.max_grace)
        try:
            async with (
                self._turns.door(budget_of(pod, self._limits.budgets)),
                self._fence.mutation(at_most=self._settings.kube_call_timeout),
            ):
                await self._nodes.evict(pod, grace_seconds=grace)
        except TimeoutError:
            return _refusal(ApiUnreachable(f"eviction of pod {pod.namespace}/{pod.name}: no answer in time"))
        except KubeError as error:
            return None if await self._is_gone(pod, error) else _refusal(error)
        self._due[pod.uid] = asyncio.get_running_loop().time() + grace + self._settings.termination_slack
        self._witness.evicted(pod, grace)
        return None

    # --- one pod ------------------------------------------------------------------------------------------------

    async def _evict(self, pod: PodRecord) -> None:
        """Ask until the pod is evicted or gone. Raises _Stays."""
        async with self._door:
            refusal = await self._ask_in_turn(pod)
        if refusal is not None:
            # Outside the door: pods that wait for their budget must not keep the others from being asked for.
            await self._insist(pod, refusal)

    async def _insist(self, pod: PodRecord, refusal: _Refusal) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._limits.retry_for.total_seconds()
        announced = False
        for wait in growing(first=self._settings.eviction_first_retry, most=self._settings.eviction_retry):
            pause = max(wait, refusal.wait)
            if refusal.by_budget and not announced:
                announced = True
                self._witness.blocked(pod, refusal.message, timedelta(seconds=give_up_at - loop.time()))
            if not refusal.passes or loop.time() + pause > give_up_at:
                raise _Stays(NotEvicted(pod, refusal.message, evicted=False))
            await asyncio.sleep(pause)
            again = await self._ask_in_turn(pod)
            if again is None:
                return
            refusal = again

    async def _ask_in_turn(self, pod: PodRecord) -> _Refusal | None:
        """One attempt, unless another node's pods wait for the same budget since earlier."""
        budget = budget_of(pod, self._limits.budgets)
        first = self._turns.before(self._node, budget)
        if first:
            name = "/".join(budget or ())
            message = f"PodDisruptionBudget {name} is short, and it is the turn of node {first}"
            refusal: _Refusal | None = _Refusal(message, passes=True, by_budget=True)
        else:
            refusal = await self.ask(pod)
        self._answered.add(pod.uid)
        self._news.set()
        if budget is not None:
            if refusal is not None and refusal.by_budget:
                self._turns.wait(self._node, budget, pod)
            else:
                self._turns.served(self._node, budget, pod)
        return refusal

    async def _is_gone(self, pod: PodRecord, error: KubeError) -> bool:
        if not isinstance(error, ApiError):
            return False
        if error.status == 404:
            return True
        if error.status != 409:
            return False
        # Either the name belongs to another pod by now (uid precondition), or the budget was changed meanwhile.
        return all(other.uid != pod.uid for other in await self._present())

    # --- waiting ------------------------------------------------------------------------------------------------

    async def _wait_for(self, asked: set[str], *, until: float) -> None:
        """Wait for the pods that were asked until they are gone, or refused for the time being, or it takes too long.
        Raises _Stays for one that overstays its grace: then nobody else need move for nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not asked <= self._answered:
                    self._news.clear()
                    await self._news.wait()
        await self._wait_until_gone(asked & self._due.keys(), until=until)

    async def _wait_until_gone(self, uids: set[str], *, until: float | None) -> None:
        """Wait for these pods; raises _Stays for one that overstays its grace. `until`: wait no longer than that; None: as
        long as it takes."""
        loop = asyncio.get_running_loop()
        pauses = growing(first=self._settings.pod_poll_first, most=self._settings.pod_poll_interval)
        while uids and (until is None or loop.time() < until):
            left = [pod for pod in await self._present() if pod.uid in uids and not pod.finished]
            overdue = next((pod for pod in left if self._must_be_gone(pod) <= loop.time()), None)
            if overdue is not None:
                raise _Stays(NotEvicted(overdue, "still there after its grace", evicted=True))
            if not left:
                return
            await asyncio.sleep(next(pauses))

    def _must_be_gone(self, pod: PodRecord) -> float:
        """In the loop's time. One that is there again after its eviction found it gone gets its grace from now."""
        grace = grace_seconds(pod, most=self._limits.max_grace) + self._settings.termination_slack
        return self._due.setdefault(pod.uid, asyncio.get_running_loop().time() + grace)

    async def _present(self) -> Sequence[PodRecord]:
        return await patiently(lambda: self._nodes.pods_on(self._node), patience=self._settings.read_patience)


def _first(failures: BaseExceptionGroup[BaseException]) -> NotEvicted:
    """The pod that does not go, unless something worse has happened: that is raised."""
    worse = [failure for failure in failures.exceptions if not isinstance(failure, _Stays)]
    if worse:
        raise worse[0] from None
    return next(failure.left for failure in failures.exceptions if isinstance(failure, _Stays))


def _refusal(error: KubeError) -> _Refusal:
    by_budget = isinstance(error, ApiError) and error.status == 429 and "DisruptionBudget" in error.causes
    may_pass = passes(error) or (isinstance(error, ApiError) and error.status == 409)
    # For a budget the API server's hint is a constant of 10 s, or none; only an overloaded server's own hint may
    # lengthen the wait.
    hint = 0.0 if by_budget else (getattr(error, "retry_after", None) or 0.0)
    return _Refusal(_message(error), passes=may_pass, by_budget=by_budget, wait=hint)


def _message(error: KubeError) -> str:
    if not isinstance(error, ApiError):
        return str(error)
    details = [str(cause.get("message", "")) for cause in error.details.get("causes") or ()]
    return "; ".join(text for text in [error.message, *details] if text)
