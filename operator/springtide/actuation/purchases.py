"""Changing groups' targets: purchases and cancellations, one at a time for each group, and unregistered instances."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypedDict

from springtide.actuation.outcome import (
    CancellationDone,
    CancellationFailed,
    PurchaseAcknowledged,
    PurchaseDeferred,
    PurchaseFailed,
    PurchaseRefused,
    PurchaseStarted,
    UnregisteredFailed,
    UnregisteredTerminated,
)
from springtide.actuation.patience import growing
from springtide.actuation.ports import Clock, Emit, Fence, ManagedPool, MutationForbidden
from springtide.actuation.settings import ActuationSettings
from springtide.actuation.targets import GroupKey, GroupLocks, TargetMemory
from springtide.actuation.terminations import Terminator
from springtide.cluster.records import PodRecord
from springtide.planning.plan import Cancellation, Purchase, PurchaseReason, UnregisteredRemoval
from springtide.providers.base import (
    AmbiguousError,
    CredentialsError,
    ProviderError,
    RefusedError,
    TargetChange,
    TerminateOutcome,
    ThrottledError,
)


class _Told(TypedDict):
    pool: str
    group: str
    plan_id: str
    from_target: int
    to_target: int
    max_size: int
    reason: PurchaseReason
    pods: tuple[PodRecord, ...]


class Purchaser:
    """Carries out what a plan wants of groups' targets."""

    def __init__(
        self,
        *,
        terminator: Terminator,
        fence: Fence,
        locks: GroupLocks,
        targets: TargetMemory,
        settings: ActuationSettings,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._terminator = terminator
        self._fence = fence
        self._locks = locks
        self._targets = targets
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._under_way: dict[GroupKey, Purchase] = {}

    @property
    def under_way(self) -> Mapping[GroupKey, Purchase]:
        """Purchases whose answer is not here yet."""
        return dict(self._under_way)

    async def buy(self, pool: ManagedPool, purchase: Purchase, *, plan_id: str) -> None:
        """Raise the group's target; every end of it is an outcome."""
        key = (purchase.pool, purchase.group)
        told = _told(purchase, plan_id)
        if key in self._under_way:
            # The plan cannot have known what the earlier purchase will come to.
            message = f"the purchase of {self._under_way[key].to_target} is still under way"
            self._emit(PurchaseDeferred(at=self._clock(), message=message, **told))
            return
        self._under_way[key] = purchase
        try:
            with self._targets.intending(*key, target=purchase.to_target):
                async with self._locks.of(*key):
                    self._emit(PurchaseStarted(at=self._clock(), **told))
                    await self._raise_and_tell(pool, purchase, told)
        finally:
            del self._under_way[key]

    async def _raise_and_tell(self, pool: ManagedPool, purchase: Purchase, told: _Told) -> None:
        try:
            change = await self._raise_target(pool, purchase)
        except (RefusedError, CredentialsError, MutationForbidden) as error:
            self._emit(PurchaseRefused(at=self._clock(), message=str(error), **told))
        except Exception as error:
            # A defect in a provider leaves the same doubt as a lost answer.
            message = _message(error)
            ambiguous = isinstance(error, AmbiguousError) or not isinstance(error, ProviderError)
            self._emit(PurchaseFailed(at=self._clock(), message=message, ambiguous=ambiguous, **told))
        else:
            self._targets.acknowledged(purchase.pool, purchase.group, change.after)
            self._emit(
                PurchaseAcknowledged(at=self._clock(), before=change.before, target=change.after, **told)
            )

    async def _raise_target(self, pool: ManagedPool, purchase: Purchase) -> TargetChange:
        """Repeated while throttled, and once after a lost answer: the provider reads the target before it sends."""
        give_up_at = asyncio.get_running_loop().time() + self._settings.purchase_patience
        lost_answers = 0
        for wait in growing(first=self._settings.cloud_retry_first, most=self._settings.cloud_retry_most):
            try:
                async with self._fence.mutation(at_most=self._settings.cloud_call_timeout):
                    return await pool.provider.raise_target(
                        pool.resource, purchase.group, expected=purchase.from_target, to=purchase.to_target
                    )
            except ThrottledError:
                if asyncio.get_running_loop().time() + wait > give_up_at:
                    raise
            except (AmbiguousError, TimeoutError):
                lost_answers += 1
                if lost_answers > 1:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the waits are endless")

    async def cancel_then_buy(
        self,
        pool: ManagedPool,
        cancellations: Sequence[Cancellation],
        purchases: Sequence[Purchase],
        *,
        plan_id: str,
    ) -> None:
        """Purchases that may count on the room that cancellations of the same pool make: none without it.

        Else a cancellation that fails would leave the pool above its maximum.
        """
        given_up = await asyncio.gather(*(self.cancel(pool, each, plan_id=plan_id) for each in cancellations))
        if all(given_up):
            await asyncio.gather(*(self.buy(pool, purchase, plan_id=plan_id) for purchase in purchases))
            return
        for purchase in purchases:
            message = "what could not be had was not given up yet, so the pool has no room"
            self._emit(PurchaseDeferred(at=self._clock(), message=message, **_told(purchase, plan_id)))

    async def cancel(self, pool: ManagedPool, cancellation: Cancellation, *, plan_id: str) -> bool:
        """Give up capacity that no instance fulfils; whether that worked.

        Not repeated: the next pass sees what is still unfulfilled.
        """
        key = (cancellation.pool, cancellation.group)
        async with self._locks.of(*key):
            try:
                async with self._fence.mutation(at_most=self._settings.cloud_call_timeout):
                    change = await pool.provider.cancel_unfulfilled(
                        pool.resource, cancellation.group, to=cancellation.to_target
                    )
            except Exception as error:
                self._emit(
                    CancellationFailed(
                        at=self._clock(),
                        pool=cancellation.pool,
                        group=cancellation.group,
                        plan_id=plan_id,
                        to_target=cancellation.to_target,
                        failure=cancellation.failure,
                        message=_message(error),
                    )
                )
                return False
            self._targets.acknowledged(*key, change.after)
        self._emit(
            CancellationDone(
                at=self._clock(),
                pool=cancellation.pool,
                group=cancellation.group,
                plan_id=plan_id,
                before=change.before,
                after=change.after,
                failure=cancellation.failure,
                message=cancellation.message,
            )
        )
        return True

    async def remove_unregistered(
        self, pool: ManagedPool, removal: UnregisteredRemoval, *, plan_id: str
    ) -> None:
        """Give back instances that never became a Node."""
        try:
            results = await self._terminator.terminate(pool, removal.group, removal.instances)
        except Exception as error:
            self._emit(self._unregistered_failed(removal, removal.instances, _message(error), plan_id))
            return
        given_back = tuple(i for i in removal.instances if results[i].outcome is TerminateOutcome.TERMINATED)
        kept = tuple(
            i
            for i in removal.instances
            if results[i].outcome in (TerminateOutcome.REFUSED, TerminateOutcome.UNKNOWN)
        )
        if given_back:
            self._emit(
                UnregisteredTerminated(
                    at=self._clock(),
                    pool=removal.pool,
                    group=removal.group,
                    plan_id=plan_id,
                    instances=given_back,
                    message=removal.message,
                )
            )
        if kept:
            messages = dict.fromkeys(results[instance].message for instance in kept)
            self._emit(self._unregistered_failed(removal, kept, "; ".join(messages), plan_id))

    def _unregistered_failed(
        self, removal: UnregisteredRemoval, instances: tuple[str, ...], message: str, plan_id: str
    ) -> UnregisteredFailed:
        return UnregisteredFailed(
            at=self._clock(),
            pool=removal.pool,
            group=removal.group,
            plan_id=plan_id,
            instances=instances,
            message=message,
        )


def _told(purchase: Purchase, plan_id: str) -> _Told:
    return _Told(
        pool=purchase.pool,
        group=purchase.group,
        plan_id=plan_id,
        from_target=purchase.from_target,
        to_target=purchase.to_target,
        max_size=purchase.max_size,
        reason=purchase.reason,
        pods=purchase.pods,
    )


def _message(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the cloud did not answer in time"
    return str(error) or type(error).__name__
