"""The record of every API call the cloud received, for tests and benchmarks to count and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import overload

OK = "ok"

_READS = ("Describe", "Get", "List")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: when it arrived, what was asked, and how it ended (`ok` or the AWS error code)."""

    action: str
    params: Mapping[str, str]
    outcome: str
    service: str = ""
    access_key: str = ""
    monotonic: float = field(default_factory=time.monotonic)
    """Seconds on the machine's monotonic clock at arrival."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Wall time at arrival."""
    duration_s: float = 0.0

    @property
    def is_mutation(self) -> bool:
        """Whether the action can change anything."""
        return not self.action.startswith(_READS)

    @property
    def group(self) -> str:
        """The Auto Scaling group it names, if any."""
        return self.params.get("AutoScalingGroupName", "")


class CallLog(Sequence[Call]):
    """All calls in order of completion."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._waiters: set[asyncio.Event] = set()

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | Sequence[Call]:
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def add(self, call: Call) -> None:
        """Record a call and wake who waits for one."""
        self._calls.append(call)
        for waiter in self._waiters:
            waiter.set()

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def of(self, action: str, *, group: str | None = None, outcome: str | None = None) -> list[Call]:
        """The calls of one action, on one group and with one outcome if given."""
        return [
            call
            for call in self._calls
            if call.action == action and group in (None, call.group) and outcome in (None, call.outcome)
        ]

    @property
    def mutations(self) -> list[Call]:
        """The calls that could change something."""
        return [call for call in self._calls if call.is_mutation]

    async def wait_for(
        self, action: str, *, count: int = 1, group: str | None = None, timeout_s: float = 30.0
    ) -> list[Call]:
        """Wait until so many calls of the action were seen; returns them. Raises TimeoutError."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                while len(found := self.of(action, group=group)) < count:
                    waiter.clear()
                    await waiter.wait()
                return found
        finally:
            self._waiters.discard(waiter)
