"""Giving instances back: each is terminated once; after a lost answer its state is read before anything is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from springtide.actuation.patience import drifting
from springtide.actuation.ports import Fence, ManagedPool
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.targets import GroupLocks, TargetMemory
from springtide.providers.base import (
    AmbiguousError,
    CredentialsError,
    Lifecycle,
    ProviderError,
    RefusedError,
    TerminateOutcome,
    TerminateResult,
)

REMEMBER_SECONDS: Final = 1800.0
"""So long an instance we terminated is not terminated again, though an older listing may still show it. By the event
loop's clock, which nobody sets."""

BATCH: Final = 10
"""Instances in one call, which providers may have to terminate one by one within `cloud_call_timeout`."""

InstanceKey = tuple[str, str, str]
"""Pool, group, instance."""


class InstanceFate(StrEnum):
    """What the cloud says of an instance."""

    ALIVE = "Alive"
    GOING = "Going"
    """Terminating, by whomever."""
    OFF = "Off"
    """Terminated: the machine does not run any more."""
    UNKNOWN = "Unknown"
    """The cloud could not be read."""

    @property
    def is_going(self) -> bool:
        """To be terminated no second time."""
        return self in (InstanceFate.GOING, InstanceFate.OFF)


_FATES: Final = {
    Lifecycle.ALIVE: InstanceFate.ALIVE,
    Lifecycle.TERMINATING: InstanceFate.GOING,
    Lifecycle.TERMINATED: InstanceFate.OFF,
}


@dataclass(slots=True)
class _Attempt:
    """The terminations asked for together, while they last."""

    todo: set[str]
    results: dict[str, TerminateResult] = field(default_factory=dict)
    message: str = ""


class Terminator:
    """Terminates instances by name, with decrement."""

    def __init__(
        self,
        *,
        fence: Fence,
        locks: GroupLocks,
        targets: TargetMemory,
        settings: ActuationSettings,
    ) -> None:
        self._fence = fence
        self._locks = locks
        self._targets = targets
        self._settings = settings
        self._doubtful: set[InstanceKey] = set()
        self._terminated: dict[InstanceKey, float] = {}

    async def terminate(
        self, pool: ManagedPool, group: str, instances: Iterable[str]
    ) -> Mapping[str, TerminateResult]:
        """Terminate these instances; one final result for each.

        UNKNOWN: within `terminate_patience` it could not be found out. What an earlier process may have terminated,
        ask `fates` about first. Raises MutationForbidden.
        """
        attempt = _Attempt(todo=set(instances))
        self._leave_out_terminated(pool, group, attempt)
        give_up_at = asyncio.get_running_loop().time() + self._settings.terminate_patience
        waits = drifting(first=self._settings.cloud_retry_first, most=self._settings.cloud_retry_most)
        while attempt.todo:
            await self._once(pool, group, attempt)
            pause = next(waits)
            if attempt.todo and asyncio.get_running_loop().time() + pause > give_up_at:
                break
            if attempt.todo:
                await asyncio.sleep(pause)
        for instance in attempt.todo:
            attempt.results[instance] = self._gave_up(pool, group, instance, attempt.message)
        return attempt.results

    async def fates(
        self, pool: ManagedPool, group: str, instances: Iterable[str]
    ) -> Mapping[str, InstanceFate]:
        """What the cloud says of these instances, freshly read."""
        wanted = list(instances)
        try:
            async with asyncio.timeout(self._settings.cloud_call_timeout):
                found = await pool.provider.lifecycles(pool.resource, group, wanted)
        except (ProviderError, TimeoutError):
            return dict.fromkeys(wanted, InstanceFate.UNKNOWN)
        return {instance: _FATES[found[instance]] for instance in wanted}

    def is_doubtful(self, pool: ManagedPool, group: str, instance: str) -> bool:
        """Whether the last call for the instance ended without its answer, and nothing was found out since: it may still
        take effect."""
        return (pool.name, group, instance) in self._doubtful

    async def _once(self, pool: ManagedPool, group: str, attempt: _Attempt) -> None:
        """Read what is doubtful, then ask for those that are certainly alive."""
        certain = await self._resolve_doubts(pool, group, attempt)
        for first in range(0, len(certain), BATCH):
            await self._call(pool, group, certain[first : first + BATCH], attempt)

    async def _resolve_doubts(self, pool: ManagedPool, group: str, attempt: _Attempt) -> list[str]:
        doubted = sorted(i for i in attempt.todo if (pool.name, group, i) in self._doubtful)
        certain = sorted(attempt.todo.difference(doubted))
        if not doubted:
            return certain
        # Under the lock, for a call that is on its way is doubtful, too: read before its effect, the instance would pass
        # for alive, and be asked for a second time.
        async with self._locks.of(pool.name, group):
            read = await self.fates(pool, group, doubted)
        for instance, fate in read.items():
            if fate is InstanceFate.UNKNOWN:
                attempt.message = "the cloud could not be read after an answer was lost"
                continue
            self._doubtful.discard((pool.name, group, instance))
            if fate.is_going:
                # Ours, most likely, whose answer was lost; the reading shows the lowered target already.
                self._settle(pool, group, attempt, instance, TerminateResult(TerminateOutcome.TERMINATED))
            else:
                certain.append(instance)
        return certain

    async def _call(self, pool: ManagedPool, group: str, instances: Sequence[str], attempt: _Attempt) -> None:
        async with self._locks.of(pool.name, group):
            # Whoever had the lock may have asked for the same instances: these are gone by now, or doubtful.
            self._leave_out_terminated(pool, group, attempt)
            keys = {(pool.name, group, i) for i in attempt.todo.intersection(instances)} - self._doubtful
            instances = [i for i in instances if (pool.name, group, i) in keys]
            if not instances:
                return
            self._fence.check()
            # Doubtful from before the call, so that even a cancellation in the middle leaves the doubt behind.
            self._doubtful |= keys
            try:
                async with self._fence.mutation(at_most=self._settings.cloud_call_timeout):
                    results = await pool.provider.terminate(pool.resource, group, instances)
            except (AmbiguousError, TimeoutError) as error:
                attempt.message = str(error) or "the cloud did not answer in time"
                return
            except (RefusedError, CredentialsError) as error:
                # Patience is for what passes by itself: who is not allowed to now will not be in a minute.
                results = dict.fromkeys(instances, TerminateResult(TerminateOutcome.REFUSED, str(error)))
            except ProviderError as error:
                # By the protocol nothing was changed then.
                self._doubtful -= keys
                attempt.message = str(error)
                return
            self._take(pool, group, attempt, results)

    def _take(
        self, pool: ManagedPool, group: str, attempt: _Attempt, results: Mapping[str, TerminateResult]
    ) -> None:
        terminated = 0
        for instance, result in results.items():
            if result.outcome is TerminateOutcome.UNKNOWN:
                attempt.message = result.message
                continue
            self._doubtful.discard((pool.name, group, instance))
            if result.outcome is TerminateOutcome.NOT_SENT:
                attempt.message = result.message
                continue
            terminated += result.outcome is TerminateOutcome.TERMINATED
            self._settle(pool, group, attempt, instance, result)
        if terminated:
            self._targets.lowered(pool.name, group, by=terminated)

    def _settle(
        self, pool: ManagedPool, group: str, attempt: _Attempt, instance: str, result: TerminateResult
    ) -> None:
        attempt.results[instance] = result
        attempt.todo.discard(instance)
        if result.outcome is not TerminateOutcome.REFUSED:
            self._terminated[pool.name, group, instance] = asyncio.get_running_loop().time()

    def _gave_up(self, pool: ManagedPool, group: str, instance: str, message: str) -> TerminateResult:
        if (pool.name, group, instance) in self._doubtful:
            return TerminateResult(TerminateOutcome.UNKNOWN, message)
        return TerminateResult(TerminateOutcome.REFUSED, message)

    def _leave_out_terminated(self, pool: ManagedPool, group: str, attempt: _Attempt) -> None:
        now = asyncio.get_running_loop().time()
        self._terminated = {key: at for key, at in self._terminated.items() if now - at <= REMEMBER_SECONDS}
        for instance in sorted(attempt.todo):
            if (pool.name, group, instance) in self._terminated:
                attempt.results[instance] = TerminateResult(
                    TerminateOutcome.ALREADY_GONE, "terminated before"
                )
                attempt.todo.discard(instance)
