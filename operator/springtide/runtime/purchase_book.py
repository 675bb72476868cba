"""Purchases are written to the NodePool's status before the cloud is asked: the PurchaseLog that the operator runs with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from springtide.actuation.patience import growing, passes
from springtide.actuation.ports import ManagedPool, NotWritten
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.api_errors import ApiError, KubeError
from springtide.planning.plan import Purchase
from springtide.reporting.reporter import Reporter
from springtide.runtime.memory import Memories, PoolMemory


class PurchaseBook:
    """Remembers each purchase, and has it written."""

    def __init__(
        self,
        memories: Memories,
        reporter: Reporter,
        *,
        clock: Callable[[], datetime],
        settings: ActuationSettings | None = None,
    ) -> None:
        self._memories = memories
        self._reporter = reporter
        self._clock = clock
        self._patience = (settings or ActuationSettings()).write_ahead_patience

    async def write_ahead(self, pool: ManagedPool, purchases: Sequence[Purchase], *, plan_id: str) -> None:
        """See PurchaseLog.write_ahead. From the first instant on the purchases count as made, so that a plan made
        meanwhile buys nothing twice; they are withdrawn with the outcome that says that they were not."""
        self._memories.request(purchases, plan_id=plan_id, now=self._clock())
        give_up_at = asyncio.get_running_loop().time() + self._patience
        for wait in growing(first=0.1, most=1.0):
            memory = self._memories.by_pool.get(pool.name, PoolMemory())
            try:
                await self._reporter.write_ahead(pool.resource, memory.groups)
                return
            except KubeError as error:
                if not _may_pass(error) or asyncio.get_running_loop().time() + wait > give_up_at:
                    raise NotWritten(str(error)) from error
            await asyncio.sleep(wait)


def _may_pass(error: KubeError) -> bool:
    # Conflicts are resolved by reading again; more than one in a row is bad luck, or a quarrel.
    return passes(error) or (isinstance(error, ApiError) and error.status in (409, 422))
