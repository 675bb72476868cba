"""Victims: in which order spare nodes are tried to be given back."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from zlib import crc32

from springtide.planning.landscape import GroupKey
from springtide.planning.limits import Ledger
from springtide.planning.node_eligibility import Spare

_Kind = tuple[bool, bool, bool]


def in_order(spares: Iterable[Spare], *, since: Mapping[str, datetime], ledger: Ledger) -> list[Spare]:
    """Best victims first: empty nodes; then those that were unneeded before, so that timers do not start anew;
    then the emptiest. Within each kind the largest groups of a pool give first, so that its zones stay balanced."""
    by_pool: defaultdict[str, list[Spare]] = defaultdict(list)
    for spare in spares:
        by_pool[spare.pool.name].append(spare)
    kinds = {spare.node.name: _kind(spare, since) for each in by_pool.values() for spare in each}

    def emptiest(spare: Spare) -> tuple[_Kind, float, str]:
        return (kinds[spare.node.name], spare.utilization, spare.node.name)

    balanced = [
        _balanced(sorted(by_pool[pool], key=emptiest), kinds=kinds, ledger=ledger) for pool in sorted(by_pool)
    ]
    return list(heapq.merge(*balanced, key=emptiest))


def rotated(victims: Sequence[Spare], *, since: Mapping[str, datetime], now: datetime) -> list[Spare]:
    """The same, but those that were not unneeded before begin at another node in each pass. For when not all can be
    asked: else the first of them, asked in vain each time, would keep the others from ever being asked."""
    first = [spare for spare in victims if spare.is_empty or spare.node.name in since]
    others = [spare for spare in victims if not spare.is_empty and spare.node.name not in since]
    start = crc32(now.isoformat().encode()) % len(others) if others else 0
    return [*first, *others[start:], *others[:start]]


def _kind(spare: Spare, since: Mapping[str, datetime]) -> _Kind:
    return (not spare.is_empty, bool(spare.drain.waiting_for), spare.node.name not in since)


def _balanced(emptiest: Sequence[Spare], *, kinds: Mapping[str, _Kind], ledger: Ledger) -> list[Spare]:
    """The nodes of one pool, by kind; within each kind always one of the group that has the most left."""
    given: Counter[GroupKey] = Counter()
    keyed = []
    for order, spare in enumerate(emptiest):
        left_of_group = ledger.target(spare.key) - given[spare.key]
        given[spare.key] += 1
        keyed.append(((kinds[spare.node.name], -left_of_group, order), spare))
    return [spare for _, spare in sorted(keyed, key=lambda entry: entry[0])]
