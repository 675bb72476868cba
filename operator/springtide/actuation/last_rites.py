"""The Node of a terminated instance: waited for until the cloud's node controller deletes it, else deleted by us.

Not every cluster has such a controller (kubeadm without a cloud controller manager). There a Node would stay NotReady for
ever, with its pods and their volumes held by nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from springtide.actuation.interruptions import Stuck
from springtide.actuation.outcome import NodeDeleted
from springtide.actuation.ports import ManagedPool, NodeObject
from springtide.actuation.removal_record import RemovalRecord
from springtide.actuation.removal_tools import RemovalTools, told_of
from springtide.actuation.taints import says_ready
from springtide.actuation.terminations import InstanceFate


@dataclass(slots=True)
class _Watch:
    """When, by the loop's clock, what was seen."""

    ask_at: float
    off_since: float | None = None


class LastRites:
    """Sees one node off whose instance was terminated."""

    def __init__(
        self,
        node: str,
        *,
        record: RemovalRecord,
        pool: ManagedPool,
        tools: RemovalTools,
        read: Callable[[], Awaitable[NodeObject | None]],
    ) -> None:
        """`read`: the Node as it is now; None when this very one is gone."""
        self._node = node
        self._record = record
        self._pool = pool
        self._tools = tools
        self._read = read

    async def see_off(self) -> None:
        """Wait until the Node is gone. Raises Stuck when it stays, MutationForbidden, KubeError."""
        settings = self._tools.settings
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + settings.node_gone_timeout
        watch = _Watch(ask_at=loop.time() + settings.instance_off_poll)
        while (node := await self._read()) is not None:
            if await self._is_overdue(node, watch):
                await self._delete(watch)
            elif loop.time() >= give_up_at:
                raise Stuck(self._why_it_stays(node, watch))
            await asyncio.sleep(settings.node_gone_poll)

    async def _is_overdue(self, node: NodeObject, watch: _Watch) -> bool:
        """Whether the Node may be deleted: by a fresh answer of the cloud its instance is off, and was so for the whole
        grace; and no kubelet says the contrary, which would mean that we asked the wrong cloud, or of the wrong machine."""
        grace, now = self._tools.settings.node_deletion_grace, asyncio.get_running_loop().time()
        if not grace or says_ready(node) or now < watch.ask_at:
            return False
        watch.ask_at = now + self._tools.settings.instance_off_poll
        if not await self._is_off():
            watch.off_since = None
        elif watch.off_since is None:
            watch.off_since = now
        return watch.off_since is not None and now - watch.off_since >= grace

    async def _is_off(self) -> bool:
        instance = self._record.instance
        fates = await self._tools.terminator.fates(self._pool, self._record.group, [instance])
        return fates[instance] is InstanceFate.OFF

    async def _delete(self, watch: _Watch) -> None:
        await self._tools.editor.delete(self._node, uid=self._record.node_uid)
        outlived = asyncio.get_running_loop().time() - (watch.off_since or 0.0)
        self._tools.emit(
            NodeDeleted(
                at=self._tools.clock(),
                outlived=timedelta(seconds=outlived),
                **told_of(self._node, self._record),
            )
        )

    def _why_it_stays(self, node: NodeObject, watch: _Watch) -> str:
        settings = self._tools.settings
        waited = timedelta(seconds=settings.node_gone_timeout)
        stays = f"instance {self._record.instance} was terminated, but its Node is still there {waited} later"
        if says_ready(node):
            return f"{stays} and says that it is Ready: is it the node of another instance?"
        if settings.node_deletion_grace and watch.off_since is None:
            return f"{stays}, and the cloud does not say that the instance is off: does a lifecycle hook hold it?"
        return f"{stays}: is the cloud's node controller running?"
