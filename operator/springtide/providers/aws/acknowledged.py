"""Our own last acknowledged word on each group's desired capacity, against reads that lag behind it.

AWS's reads are eventually consistent: after a change is acknowledged, a describe may still show the capacity from
before. Deciding on such a read would buy the same nodes twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

TRUSTED_FOR = timedelta(seconds=60)
"""How long our word overrides reads of values that we have replaced; after that, AWS is believed whatever it says."""


@dataclass(frozen=True, slots=True)
class _Word:
    capacity: int
    superseded: frozenset[int]
    at: datetime


class Acknowledged:
    """Acknowledged changes of the groups of one region."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._words: dict[str, _Word] = {}
        self._raised_at: dict[str, datetime] = {}

    def changed(self, group: str, *, before: int, after: int) -> None:
        """AWS acknowledged that the group's capacity went from `before` to `after`."""
        now = self._clock()
        word = self._words.get(group)
        superseded = word.superseded if word and now - word.at <= TRUSTED_FOR else frozenset()
        self._words[group] = _Word(after, (superseded | {before}) - {after}, now)

    def raised(self, group: str, *, at: datetime) -> None:
        """The group was last raised at this time (AWS's clock if known): older launch failures are history."""
        self._raised_at[group] = at

    def raised_at(self, group: str) -> datetime | None:
        """When this process last raised the group; None if it never did."""
        return self._raised_at.get(group)

    def perhaps(self, group: str, *, after: int) -> None:
        """The answer to a change to `after` was lost: reads of that value may be the truth now."""
        if word := self._words.get(group):
            self._words[group] = replace(word, superseded=word.superseded - {after})

    def desired(self, group: str, read: int) -> int:
        """The capacity to believe, given what was read: ours when the read shows a value that we replaced."""
        word = self._words.get(group)
        if word is None or read not in word.superseded:
            return read
        return word.capacity if self._clock() - word.at <= TRUSTED_FOR else read
