"""What actuation needs of others: the API server's nodes and pods, the picture, the pools, leave to act."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any, Final, Protocol

from springtide.actuation.outcome import Outcome
from springtide.api.nodepool import NodePool
from springtide.api.resolve import PoolSettings
from springtide.cluster.api_errors import ApiUnreachable
from springtide.cluster.picture import ClusterPicture
from springtide.cluster.records import PodRecord
from springtide.leadership.gate import MutationGate
from springtide.planning.plan import Purchase
from springtide.providers.base import AmbiguousError, Provider

NodeObject = Mapping[str, Any]
"""A Node as the API server sent it, whole: what we do not know must survive our writes."""

Emit = Callable[[Outcome], None]
"""Takes every outcome, at once and without waiting."""

Clock = Callable[[], datetime]
"""The present, timezone-aware UTC."""

Picture = Callable[[], ClusterPicture]
"""The latest picture of the informers: owners of pods and disruption budgets for the drain rules."""


class NodeApi(Protocol):
    """Nodes and their pods, straight from the API server. All methods raise springtide.cluster.api_errors.KubeError."""

    async def read(self, name: str) -> NodeObject:
        """The Node; ApiError 404 when there is none."""
        ...

    async def patch(self, name: str, change: Mapping[str, Any]) -> NodeObject:
        """Apply a JSON merge patch; ApiError 409 when metadata.resourceVersion in it is not the present one."""
        ...

    async def delete(self, name: str, *, uid: str) -> None:
        """Delete the Node of this uid. ApiError 404: gone; 409: another Node has the name by now."""
        ...

    async def pods_on(self, name: str) -> Sequence[PodRecord]:
        """All pods bound to the node, as of now (a consistent read)."""
        ...

    async def evict(self, pod: PodRecord, *, grace_seconds: int) -> None:
        """Ask for the eviction of exactly this pod (precondition: its uid).

        ApiError 404: gone; 409: another pod of this name, or a race; 429 with cause DisruptionBudget: a budget forbids it.
        """
        ...


@dataclass(frozen=True, slots=True)
class ManagedPool:
    """A NodePool that we manage, who has its machines, and the settings in force."""

    resource: NodePool
    provider: Provider
    settings: PoolSettings

    @property
    def name(self) -> str:
        return self.resource.name


class NotWritten(Exception):
    """What had to be written down first could not be; str() says why."""


class PurchaseLog(Protocol):
    """Where purchases are written down before the cloud is asked, so that a successor finds them."""

    async def write_ahead(self, pool: ManagedPool, purchases: Sequence[Purchase], *, plan_id: str) -> None:
        """Write down all purchases of a pool, at once. Raises NotWritten: then none may be made.

        May be cancelled, or fail, after the effect: what is written down and was not made harms nothing.
        """
        ...


class MutationForbidden(Exception):
    """Nothing may be changed now; str() says why."""


LATE_EFFECT_SECONDS: Final = 10.0
"""A call without an answer may take effect so much later: in a queue of the API server or the cloud, or on the way."""


class Fence:
    """Asked immediately before each mutation, so that nothing is changed without the right to (a lost lease, …)."""

    def __init__(self, gate: MutationGate) -> None:
        self._gate = gate
        self._unheard_at = -inf
        """Loop time at which a call ended without its answer."""

    def check(self) -> None:
        """Raises MutationForbidden unless a mutation may be sent right now."""
        reason = self._gate.why_closed()
        if reason:
            raise MutationForbidden(reason)

    @asynccontextmanager
    async def mutation(self, *, at_most: float) -> AsyncIterator[None]:
        """Around one mutation: checks, then gives it `at_most` seconds, and always less than is left of the lease.

        Raises MutationForbidden before anything is sent, and TimeoutError when the answer is late: then it may have
        happened.
        """
        self.check()
        try:
            async with asyncio.timeout(min(at_most, self._gate.seconds_left())):
                yield
        except (asyncio.CancelledError, TimeoutError, AmbiguousError, ApiUnreachable):
            self._unheard_at = asyncio.get_running_loop().time()
            raise

    @property
    def heard_out(self) -> bool:
        """Whether every mutation of the last seconds was answered: no other can take effect any more."""
        return asyncio.get_running_loop().time() - self._unheard_at > LATE_EFFECT_SECONDS
