"""Which requests and watch events go wrong, and how: drawn at a rate, from a seed, counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from devcluster.api_proxy.requests import ApiRequest


class Fault(StrEnum):
    """What can befall a request."""

    CONFLICT = "conflict"
    """409, nothing done; mutations only."""
    GONE = "gone"
    """410 Expired, as for a version that was compacted away; lists and watches only."""
    TOO_MANY_REQUESTS = "too-many-requests"
    """429 with a Status and Retry-After, nothing done."""
    PRIORITY_AND_FAIRNESS = "priority-and-fairness"
    """429 as API priority and fairness refuses: plain text, nothing done."""
    INTERNAL_ERROR = "internal-error"
    """500, nothing done."""
    UNAVAILABLE = "unavailable"
    """503, nothing done."""
    SLOW = "slow"
    """Passed on late."""
    TIMEOUT = "timeout"
    """504 after a while, although it took effect."""
    RESET = "reset"
    """The connection breaks, nothing done."""
    ANSWER_LOST = "answer-lost"
    """It takes effect, then the connection breaks."""


class EventFault(StrEnum):
    """What can befall a watch at one of its events."""

    CUT = "cut"
    """The connection breaks in the middle of the line."""
    GONE = "gone"
    """An ERROR event with 410 instead, and the end."""
    DUPLICATE = "duplicate"
    """The event comes twice."""


_MUTATIONS_ONLY = frozenset({Fault.CONFLICT})
_LISTS_ONLY = frozenset({Fault.GONE})


@dataclass(kw_only=True)
class Faults:
    """Draws faults. The same seed draws the same ones, for the same requests in the same order."""

    rate: float
    """Of all requests and of all watch events, from 0 to 1."""
    seed: int
    kinds: tuple[Fault, ...] = tuple(Fault)
    event_kinds: tuple[EventFault, ...] = tuple(EventFault)
    slow_s: float = 1.0
    """SLOW and TIMEOUT take up to so long."""
    counts: Counter[Fault | EventFault] = field(default_factory=Counter)
    """What was injected so far."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def for_request(self, request: ApiRequest) -> Fault | None:
        """What befalls this request; None: nothing."""
        if self._random.random() >= self.rate:
            return None
        possible = [kind for kind in self.kinds if _can_befall(kind, request)]
        if not possible:
            return None
        fault = self._random.choice(possible)
        self.counts[fault] += 1
        return fault

    def for_event(self) -> EventFault | None:
        """What befalls the next event of a watch; None: nothing."""
        if not self.event_kinds or self._random.random() >= self.rate:
            return None
        fault = self._random.choice(self.event_kinds)
        self.counts[fault] += 1
        return fault

    def seconds(self) -> float:
        """How late this one is."""
        return self._random.uniform(0.1, 1.0) * self.slow_s


def _can_befall(kind: Fault, request: ApiRequest) -> bool:
    if kind in _MUTATIONS_ONLY:
        return request.is_mutation
    if kind in _LISTS_ONLY:
        return request.is_watch or "continue" in request.query or "limit" in request.query
    return True
