"""Instances whose Node vanished since their cloud was last read: presumed gone, until a newer listing shows them.

A machine that dies takes its Node with it, and its pods want a place at once, while the last listing still shows it
running. Its group will replace it: with the dead one left out, the target tells that an instance is coming. Left in, it
would pass for one whose Node somebody deleted, and the replacement would be bought once more.

One that a newer listing shows runs on without its Node (kubectl delete node). It is marked, so that nobody waits for it:
else the growth that was presumed while it was left out would be waited for until maxNodeProvisionTime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from springtide.cluster.groups import NodeGroup
from springtide.cluster.picture import ClusterPicture

REMEMBERED: Final = timedelta(minutes=2)
"""Longer than a cloud that answers goes unread; one that does not is another matter."""
LOST_FOR: Final = timedelta(hours=1)
"""So long an instance without its Node is known to have had one: longer than any purchase is waited for."""


class VanishedNodes:
    """Which Nodes vanished when."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._provider_ids: dict[str, str] = {}
        """By Node name, as of the last pass."""
        self._gone: dict[str, datetime] = {}
        """By provider id."""

    def saw(self, picture: ClusterPicture) -> None:
        """A pass begins with this picture."""
        now = self._clock()
        self._provider_ids = {node.name: node.provider_id for node in picture.nodes if node.provider_id}
        back = set(self._provider_ids.values())
        self._gone = {
            each: at for each, at in self._gone.items() if each not in back and now - at <= LOST_FOR
        }

    def gone(self, node: str) -> None:
        """An informer has just seen this Node vanish."""
        provider_id = self._provider_ids.get(node)
        if provider_id is not None:
            self._gone[provider_id] = self._clock()

    def without(self, group: NodeGroup) -> NodeGroup:
        """The group without the instances that the listing, being older than their Nodes' end, cannot speak for; those
        that outlived their Node are marked."""
        read_at = group.read_at
        if not self._gone or read_at is None:
            return group
        recently = self._clock() - REMEMBERED
        left = []
        for one in group.instances:
            at = self._gone.get(one.provider_id)
            if at is None:
                left.append(one)
            elif at <= read_at or at < recently:
                left.append(replace(one, lost_node=True))
        return replace(group, instances=tuple(left))

    def clock_jumped(self, by: timedelta) -> None:
        """The wall clock was set: what vanished did so as long ago as before."""
        self._gone = {each: at + by for each, at in self._gone.items()}
