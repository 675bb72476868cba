"""Instances whose Node vanished since their cloud was last read: presumed gone, until a newer listing shows them.

A machine that dies takes its Node with it, and its pods want a place at once, while the last listing still shows it
running. Its group will replace it: with the dead one left out, the target tells that an instance is coming. Left in, it
would pass for one whose Node somebody deleted, and the replacement would be bought once more.
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
            each: at for each, at in self._gone.items() if each not in back and now - at <= REMEMBERED
        }

    def gone(self, node: str) -> None:
        """An informer has just seen this Node vanish."""
        provider_id = self._provider_ids.get(node)
        if provider_id is not None:
            self._gone[provider_id] = self._clock()

    def without(self, group: NodeGroup) -> NodeGroup:
        """The group without the instances that the listing, being older than their Nodes' end, cannot speak for."""
        read_at = group.read_at
        if not self._gone or read_at is None:
            return group
        left = tuple(one for one in group.instances if self._gone.get(one.provider_id, read_at) <= read_at)
        return group if len(left) == len(group.instances) else replace(group, instances=left)
