"""What we know of groups' targets before the cloud's next listing does: our own acknowledged writes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from springtide.cluster.groups import NodeGroup

TRUST: Final = timedelta(seconds=60)
"""So long our own write is believed against an older read; then whatever the cloud says is the truth."""

GroupKey = tuple[str, str]
"""Pool, group."""


@dataclass(frozen=True, slots=True)
class _Write:
    at: datetime
    change: Callable[[int], int]


class TargetMemory:
    """Our last writes by group; corrects listings that were read before them."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._writes: dict[GroupKey, list[_Write]] = defaultdict(list)
        self._intents: dict[GroupKey, int] = {}

    def acknowledged(self, pool: str, group: str, target: int) -> None:
        """The cloud accepted this target just now."""
        self._writes[pool, group] = [_Write(self._clock(), lambda _: target)]

    def lowered(self, pool: str, group: str, *, by: int) -> None:
        """So many instances were just terminated, each lowering the target by one."""
        self._writes[pool, group].append(_Write(self._clock(), lambda target: max(0, target - by)))

    def clock_jumped(self, by: timedelta) -> None:
        """Our own writes are as old as before, though the wall clock was set."""
        for key, writes in self._writes.items():
            self._writes[key] = [replace(write, at=write.at + by) for write in writes]

    @contextmanager
    def intending(self, pool: str, group: str, *, target: int) -> Iterator[None]:
        """While this lasts, the target is being raised: what it will be counts already, or it were bought twice."""
        self._intents[pool, group] = target
        try:
            yield
        finally:
            self._intents.pop((pool, group), None)

    def effective_target(self, pool: str, group: str, *, target: int, read_at: datetime | None) -> int:
        """The target as far as we know, given one that was read at `read_at` (None: nobody knows when)."""
        now = self._clock()
        recent = [write for write in self._writes.get((pool, group), ()) if now - write.at <= TRUST]
        if recent:
            self._writes[pool, group] = recent
        else:
            self._writes.pop((pool, group), None)
        for write in recent:
            if read_at is None or read_at < write.at:
                target = write.change(target)
        return max(target, self._intents.get((pool, group), 0))

    def corrected(self, group: NodeGroup) -> NodeGroup:
        """The group as listed, with the target it has as far as we know."""
        target = self.effective_target(group.pool, group.id, target=group.target, read_at=group.read_at)
        return group if target == group.target else replace(group, target=target)


class GroupLocks:
    """One lock for each group: mutations of one group are serialised."""

    def __init__(self) -> None:
        # Whoever holds or awaits a lock keeps it; groups that are gone leave nothing behind.
        self._locks: WeakValueDictionary[GroupKey, asyncio.Lock] = WeakValueDictionary()

    def of(self, pool: str, group: str) -> asyncio.Lock:
        return self._locks.setdefault((pool, group), asyncio.Lock())
