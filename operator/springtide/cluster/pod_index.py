"""Pods by the node they are bound to, and the pods that wait for one; copied on write per node."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from springtide.cluster.records import PodRecord

_BY_KEY = attrgetter("key")


class PodIndex:
    """Follows changes of single pods; hands out immutable views that share all untouched nodes.

    Pods are found by their uid, a text that the record has anyway: a key made for the index would be as large again.
    """

    def __init__(self) -> None:
        self._bound: dict[str, dict[str, PodRecord]] = {}
        self._waiting: dict[str, PodRecord] = {}
        self._touched: set[str] = set()
        self._frozen_bound: dict[str, tuple[PodRecord, ...]] = {}
        self._frozen_waiting: tuple[PodRecord, ...] | None = ()

    @staticmethod
    def is_pending(pod: PodRecord) -> bool:
        """Not bound, not finished, not gated, not being deleted: the scheduler would look at it."""
        return not (pod.node_name or pod.finished or pod.gated or pod.deletion_timestamp)

    def change(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Take note of one change: (None, new), (old, new) or (old, None)."""
        if old is not None and not (new is not None and _same_place(old, new)):
            self._remove(old)
        if new is not None:
            self._add(new)

    def by_node(self) -> Mapping[str, tuple[PodRecord, ...]]:
        """Bound pods that hold resources, by node name, in the order of their keys. Never changes later."""
        if self._touched:
            frozen = dict(self._frozen_bound)
            for node in self._touched:
                pods = self._bound.get(node)
                if pods:
                    frozen[node] = tuple(sorted(pods.values(), key=_BY_KEY))
                else:
                    frozen.pop(node, None)
            self._frozen_bound = frozen
            self._touched.clear()
        return self._frozen_bound

    def pending(self) -> tuple[PodRecord, ...]:
        """Pods that wait for a node, in the order in which they began to."""
        if self._frozen_waiting is None:
            self._frozen_waiting = tuple(self._waiting.values())
        return self._frozen_waiting

    def _add(self, pod: PodRecord) -> None:
        if self.is_pending(pod):
            self._waiting[pod.uid] = pod
            self._frozen_waiting = None
        elif pod.node_name and not pod.finished:
            self._bound.setdefault(pod.node_name, {})[pod.uid] = pod
            self._touched.add(pod.node_name)

    def _remove(self, pod: PodRecord) -> None:
        if self._waiting.pop(pod.uid, None) is not None:
            self._frozen_waiting = None
        pods = self._bound.get(pod.node_name)
        if pods is not None and pods.pop(pod.uid, None) is not None:
            self._touched.add(pod.node_name)
            if not pods:
                del self._bound[pod.node_name]


def _same_place(old: PodRecord, new: PodRecord) -> bool:
    """Whether the new record simply takes the old one's place, so that a waiting pod keeps its turn."""
    return (
        old.uid == new.uid
        and old.node_name == new.node_name
        and old.finished == new.finished
        and PodIndex.is_pending(old) == PodIndex.is_pending(new)
    )
