"""Changing groups' targets: purchases and cancellations, one at a time for each group, and unregistered instances.

A purchase is written down before the cloud is asked (docs/decisions/019), so that a crash neither repeats nor loses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
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
from springtide.actuation.patience import drifting
from springtide.actuation.ports import (
    Clock,
    Emit,
    Fence,
    ManagedPool,
    MutationForbidden,
    NotWritten,
    PurchaseLog,
)
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
        log: PurchaseLog,
        terminator: Terminator,
        fence: Fence,
        locks: GroupLocks,
        targets: TargetMemory,
        settings: ActuationSettings,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._log = log
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

    async def buy(self, pool: ManagedPool, purchases: Sequence[Purchase], *, plan_id: str) -> None:
        """Raise the targets of groups of one pool; every end of each is an outcome.

        All are written down first, in one write; without it nothing is bought.
        """
        free = [purchase for purchase in purchases if not self._is_busy(purchase, plan_id)]
        if not free:
            return
        with ExitStack() as until_written:
            reservations = [until_written.enter_context(self._reserve(purchase)) for purchase in free]
            trouble = await self._write_ahead(pool, free, plan_id=plan_id)
            if trouble:
                for purchase in free:
                    told = _told(purchase, plan_id)
                    self._emit(PurchaseDeferred(at=self._clock(), message=trouble, fault=True, **told))
                return
            # From here on each group is free again as soon as its own answer is here.
            kept = [reservation.pop_all() for reservation in reservations]
        await asyncio.gather(
            *(
                self._buy_one(pool, purchase, reservation, plan_id=plan_id)
                for purchase, reservation in zip(free, kept, strict=True)
            )
        )

    def _is_busy(self, purchase: Purchase, plan_id: str) -> bool:
        """Whether a purchase of the same group is under way: the plan cannot have known what it will come to."""
        earlier = self._under_way.get((purchase.pool, purchase.group))
        if earlier is not None:
            message = f"the purchase of {earlier.to_target} is still under way"
            told = _told(purchase, plan_id)
            self._emit(PurchaseDeferred(at=self._clock(), message=message, **told))
        return earlier is not None

    def _reserve(self, purchase: Purchase) -> ExitStack:
        """Until it is closed, the purchase counts as under way, and its target as reached."""
        key = (purchase.pool, purchase.group)
        reservation = ExitStack()
        self._under_way[key] = purchase
        reservation.callback(self._under_way.pop, key, None)
        reservation.enter_context(self._targets.intending(*key, target=purchase.to_target))
        return reservation

    async def _write_ahead(self, pool: ManagedPool, purchases: Sequence[Purchase], *, plan_id: str) -> str:
        """Why the purchases could not be written down; empty: they stand there."""
        try:
            async with self._fence.mutation(at_most=self._settings.write_ahead_patience):
                await self._log.write_ahead(pool, purchases, plan_id=plan_id)
        except MutationForbidden as error:
            return str(error)
        except NotWritten as error:
            return f"it could not be written to the NodePool's status first: {error}"
        except TimeoutError:
            return "it could not be written to the NodePool's status first: the API server did not answer in time"
        return ""

    async def _buy_one(
        self, pool: ManagedPool, purchase: Purchase, reservation: ExitStack, *, plan_id: str
    ) -> None:
        told = _told(purchase, plan_id)
        with reservation:
            async with self._locks.of(purchase.pool, purchase.group):
                self._emit(PurchaseStarted(at=self._clock(), **told))
                await self._raise_and_tell(pool, purchase, told)

    async def _raise_and_tell(self, pool: ManagedPool, purchase: Purchase, told: _Told) -> None:
        try:
            change = await self._raise_target(pool, purchase)
        except MutationForbidden as error:
            self._emit(PurchaseDeferred(at=self._clock(), message=str(error), fault=True, **told))
        except (RefusedError, CredentialsError) as error:
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
        for wait in drifting(first=self._settings.cloud_retry_first, most=self._settings.cloud_retry_most):
            try:
                async with self._fence.mutation(at_most=self._settings.cloud_call_timeout):
                    change = await pool.provider.raise_target(
                        pool.resource, purchase.group, expected=purchase.from_target, to=purchase.to_target
                    )
                # Found as wanted after an answer was lost: it was that call's doing, and the growth is ours.
                return replace(change, before=purchase.from_target) if lost_answers else change
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
            await self.buy(pool, purchases, plan_id=plan_id)
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
