"""Changing a Node that others change too: read, compute, write if nobody else wrote, else once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from springtide.actuation.patience import drifting, passes
from springtide.actuation.ports import Fence, NodeApi, NodeObject
from springtide.actuation.settings import ActuationSettings
from springtide.cluster.api_errors import ApiError, ApiUnreachable, KubeError

Change = Callable[[NodeObject], Mapping[str, Any] | None]
"""Node -> guarded patch, or None when it is as wanted already. May raise to give up."""


class NodeGone(Exception):
    """There is no Node of that name (any more)."""


class NodeEditor:
    """Applies changes to Nodes, each safe to repeat: after a lost answer the fresh read shows whether it was made."""

    def __init__(self, nodes: NodeApi, *, fence: Fence, settings: ActuationSettings) -> None:
        self._nodes = nodes
        self._fence = fence
        self._settings = settings

    async def apply(self, name: str, change: Change) -> NodeObject:
        """Make the change, for as long as Cluster Autoscaler would try; the Node as it is then.

        Raises NodeGone, MutationForbidden, KubeError, and whatever `change` raises.
        """
        return await self._attempt(name, change, patience=self._settings.conflict_patience)

    async def delete(self, name: str, *, uid: str) -> None:
        """Delete the Node of this uid; one that is gone, or made anew, is no failure.

        Raises MutationForbidden, KubeError, TimeoutError.
        """
        try:
            async with self._fence.mutation(at_most=self._settings.kube_call_timeout):
                await self._nodes.delete(name, uid=uid)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def undo(self, name: str, change: Change) -> NodeObject:
        """Like `apply`, but more stubborn: for changes that take our marks off."""
        return await self._attempt(name, change, patience=self._settings.rollback_patience)

    async def _attempt(self, name: str, change: Change, *, patience: float) -> NodeObject:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + patience
        waits = drifting(first=self._settings.conflict_interval, most=self._settings.cloud_retry_most)
        while True:
            try:
                return await self._once(name, change)
            except KubeError as error:
                if _is_missing(error):
                    raise NodeGone(name) from error
                if not (_is_conflict(error) or passes(error)):
                    raise
                # A conflict is over at once; whoever does not answer is asked ever less often.
                pause = self._settings.conflict_interval if _is_conflict(error) else next(waits)
                wait = max(pause, getattr(error, "retry_after", None) or 0.0)
                left = give_up_at - loop.time()
                if left < self._settings.conflict_interval or (wait > left and wait > pause):
                    raise
            await asyncio.sleep(min(wait, left))

    async def _once(self, name: str, change: Change) -> NodeObject:
        node = await self._nodes.read(name)
        patch = change(node)
        if patch is None:
            return node
        try:
            async with self._fence.mutation(at_most=self._settings.kube_call_timeout):
                return await self._nodes.patch(name, patch)
        except TimeoutError as error:
            raise ApiUnreachable(f"Node {name}: no answer in time") from error


def _is_conflict(error: KubeError) -> bool:
    return isinstance(error, ApiError) and error.status == 409


def _is_missing(error: KubeError) -> bool:
    return isinstance(error, ApiError) and error.status == 404
