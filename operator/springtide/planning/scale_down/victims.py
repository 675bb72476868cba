"""Victims: in which order spare nodes are tried to be given back."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from zlib import crc32

from springtide.cluster.snapshot import PolicyView
from springtide.planning.groups.families import Families
from springtide.planning.groups.limits import Ledger
from springtide.planning.groups.readiness import GroupState
from springtide.planning.landscape import GroupKey
from springtide.planning.scale_down.node_eligibility import Spare
from springtide.scheduling.fresh import FreshNode

_Kind = tuple[bool, bool, bool]


FamilyOf = Mapping[GroupKey, Hashable]
"""What groups have in common whose sizes are to be even."""


def in_order(
    spares: Iterable[Spare], *, since: Mapping[str, datetime], ledger: Ledger, families: FamilyOf
) -> list[Spare]:
    """Best victims first: empty nodes; then those that were unneeded before, so that timers do not start anew;
    then the emptiest. Within each kind the largest groups of a family give first, so that zones stay balanced."""
    members: defaultdict[Hashable, list[Spare]] = defaultdict(list)
    for spare in spares:
        members[families[spare.key]].append(spare)
    kinds = {spare.node.name: _kind(spare, since) for each in members.values() for spare in each}

    def emptiest(spare: Spare) -> tuple[_Kind, float, str]:
        return (kinds[spare.node.name], spare.utilization, spare.node.name)

    balanced = [
        _balanced(sorted(family, key=emptiest), kinds=kinds, ledger=ledger) for family in members.values()
    ]
    return list(heapq.merge(*balanced, key=emptiest))


def families_of(
    policies: Iterable[PolicyView],
    states: Mapping[GroupKey, GroupState],
    fresh: Mapping[GroupKey, FreshNode],
) -> FamilyOf:
    """The groups whose sizes are to be even: they share purchases, so they give back in turn. A group of which nobody
    knows what its nodes look like keeps company with those of its pool."""
    families: dict[GroupKey, Hashable] = {key: key[0] for key in states}
    for policy in policies:
        mine = [state for key, state in states.items() if key in fresh and state.pool.policy == policy.name]
        mine.sort(key=lambda state: (state.pool.created_at, state.pool.name))
        shared = Families(policy, mine, fresh)
        families.update((state.key, shared.of(state)) for state in mine)
    return families


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
    """The nodes of one family, by kind; within each kind always one of the group that has the most left."""
    given: Counter[GroupKey] = Counter()
    keyed = []
    for order, spare in enumerate(emptiest):
        left_of_group = ledger.target(spare.key) - given[spare.key]
        given[spare.key] += 1
        keyed.append(((kinds[spare.node.name], -left_of_group, order), spare))
    return [spare for _, spare in sorted(keyed, key=lambda entry: entry[0])]
